"""Describe a finished study in machine-readable form, as an RO-Crate.

The crate lists the study's outputs, the meaning of its tables' columns, the data with their
licences, and the provenance: workflow, commit, machine and versions. The same study gives the same
bytes.

References:
    S. Soiland-Reyes et al. Packaging research artefacts with RO-Crate. 2022.
    doi:10.3233/DS-210053.
"""

from __future__ import annotations

import datetime
import json
import os
import re
from pathlib import Path
from typing import Any

import pandera.pandas as pa
import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from flatreg import command, config
from flatreg.config import Config
from flatreg.disk.files import read_json, sha256, write_json
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from flatreg.tables.registry import TABLES

FORMATS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".svg": "image/svg+xml",
}
# Facts of a run that identify the code and machine that made it.
MAKING = ("commit", "dirty", "python", "packages", "platform", "machine", "processor", "cores")


def main() -> None:
    """Write ro-crate-metadata.json."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_argument("--citation", type=Path, default=Path("CITATION.cff"))
    parser.add_argument("--workflow", type=Path, default=Path("Snakefile"))
    parser.add_out("ro-crate-metadata.json")
    arguments = parser.parse_args()
    crate = describe(arguments.config, arguments.citation, arguments.workflow, arguments.out.parent)
    write_json(arguments.out, generated(crate))


def describe(config_path: Path, citation_path: Path, workflow_path: Path, folder: Path) -> ROCrate:
    """The crate of a study.

    Args:
        config_path: completed config (JSON).
        citation_path: CITATION.cff, which gives title, authors, licence and keywords.
        workflow_path: the Snakefile.
        folder: the crate's folder; all paths are relative to it.

    Raises:
        UserError: a file of the study is missing.
    """
    study = read_json(config_path)
    results = Path(study["paths"]["results"])
    citation = read_citation(citation_path)
    origins = origins_of([run_dir(results, *run) for run in config.runs(study)])
    # Workflow registries read version 1.1, which has no term for a SHA-256.
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms["sha256"] = "http://schema.org/sha256"
    crate.name = citation["title"]
    crate.description = _abstract(study)
    crate.keywords = ", ".join(citation["keywords"])
    crate.root_dataset["version"] = str(citation["version"])
    crate.datePublished = _time(max(ended for _, _, ended in origins))
    crate.license = _add(
        crate,
        f"https://spdx.org/licenses/{citation['license']}",
        *("CreativeWork", {"name": citation["license"]}),
    )
    crate.root_dataset["author"] = [
        _add(crate, f"#author-{number}", "Organization", {"name": author["name"]})
        for number, author in enumerate(citation["authors"])
    ]
    crate.publisher = crate.root_dataset["author"][0]
    workflow = crate.add_workflow(
        dest_path=_relative(workflow_path, folder),
        properties=_properties(
            workflow_path, "The study as a workflow, from raw data to the paper"
        ),
        main=True,
        lang="snakemake",
        lang_version=_least_version(workflow_path),
    )
    data = [_data(crate, path, folder) for path in sorted((results / "data").glob("*.json"))]
    products = [
        _file(crate, config_path, folder, "The study's config, checked and completed"),
        *(_table(crate, path, folder) for path in sorted((results / "tables").glob("*.csv"))),
        *(
            _file(crate, path, folder, f"Figure: {path.stem.replace('_', ' ')}")
            for path in sorted((results / "figures").glob("*"))
            if path.suffix in FORMATS
        ),
        _file(crate, Path(study["paths"]["pdf"]), folder, "The paper"),
        _file(crate, results / "explore.html", folder, "The evidence, to explore"),
    ]
    shared = {"instrument": workflow, "object": data, "result": products}
    for number, origin in enumerate(origins):
        _action(crate, number, origin, shared)
    return crate


def generated(crate: ROCrate) -> dict[str, Any]:
    """The crate's JSON-LD, with entities sorted by name because their order has no meaning."""
    content = crate.metadata.generate()
    entities = sorted(content["@graph"], key=lambda entity: entity["@id"])
    compact = [{key: _compact(value) for key, value in entity.items()} for entity in entities]
    return content | {"@graph": compact}


def read_citation(path: Path) -> dict[str, Any]:
    """Read a CITATION.cff.

    Raises:
        UserError: the file is missing, is not YAML, or lacks a field.
    """
    try:
        citation = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read ({reason}); restore it from git") from error
    for name in ("title", "version", "license", "authors", "keywords"):
        if name not in citation:
            raise UserError(f"{path} lacks {name}; add it")
    return citation


def origins_of(folders: list[Path]) -> list[tuple[dict[str, Any], float, float]]:
    """The distinct code and machines that made runs, as facts, first begin and last end (s)."""
    origins: dict[str, tuple[dict[str, Any], float, float]] = {}
    for folder in folders:
        facts = read_json(folder / "facts.json")
        shared = {name: facts[name] for name in MAKING}
        key = json.dumps(shared, sort_keys=True)
        _, begun, ended = origins.get(key, (shared, facts["begun"], facts["ended"]))
        origins[key] = (shared, min(begun, facts["begun"]), max(ended, facts["ended"]))
    return sorted(origins.values(), key=lambda origin: origin[1])


def _table(crate: ROCrate, path: Path, folder: Path) -> Entity:
    entity = _file(crate, path, folder, f"Table: {path.stem.replace('_', ' ')}")
    if path.stem in TABLES:
        entity["variableMeasured"] = _columns(crate, path.stem, TABLES[path.stem])
    return entity


def _columns(crate: ROCrate, name: str, table: pa.DataFrameSchema) -> list[Entity]:
    """One entity per column of a table, with the description and unit from the schema."""
    return [
        _add(
            crate,
            f"#{name}-{column}",
            *("PropertyValue", {"name": column, "description": schema.description}),
        )
        for column, schema in table.columns.items()
    ]


def _data(crate: ROCrate, path: Path, folder: Path) -> Entity:
    """A data set with its source, licence, hash and manifest."""
    manifest = read_json(path)
    name = manifest["source"]
    licence = {"name": manifest["licence"]}
    digest = {"name": "SHA-256 of the prepared examples", "value": manifest["sha256"]}
    digest["propertyID"] = "sha256"
    entity = _add(
        crate,
        f"#data-{name}",
        "Dataset",
        {
            "name": manifest["title"],
            "version": manifest["version"],
            "url": manifest["url"],
            "citation": manifest["citation"],
            "license": _add(crate, f"#licence-{name}", "CreativeWork", licence),
            "identifier": _add(crate, f"#sha256-{name}", "PropertyValue", digest),
        },
    )
    file = _file(crate, path, folder, f"Manifest of {manifest['title']}")
    file["about"] = entity
    return entity


def _file(crate: ROCrate, path: Path, folder: Path, name: str) -> Entity:
    """A file of the study, with its size and hash.

    Raises:
        UserError: the file is missing.
    """
    return crate.add_file(dest_path=_relative(path, folder), properties=_properties(path, name))


def _properties(path: Path, name: str) -> dict[str, str]:
    if not path.exists():
        raise UserError(f"{path} is missing; finish the study first")
    return {
        "name": name,
        "encodingFormat": FORMATS.get(path.suffix, "text/plain"),
        "contentSize": str(path.stat().st_size),
        "sha256": sha256(path),
    }


def _least_version(workflow: Path) -> str | None:
    """The lowest version of Snakemake that a Snakefile allows."""
    match = re.search(r'min_version\("([\d.]+)"\)', workflow.read_text(encoding="utf-8"))
    return match[1] if match else None


def _action(
    crate: ROCrate,
    number: int,
    origin: tuple[dict[str, Any], float, float],
    properties: dict[str, Any],
) -> None:
    """Add the action that made runs of the study: from which commit, when, on what machine."""
    facts, begun, ended = origin
    commit = facts["commit"] or "no commit"
    changed = " with changes that no commit has" if facts["dirty"] else ""
    software = [_software(crate, "Python", facts["python"], "https://www.python.org")]
    for name, version in facts["packages"].items():
        software.append(_software(crate, name, version, f"pkg:pypi/{name}@{version}"))
    machine = f"{facts['processor']} ({facts['machine']}), {facts['cores']} cores"
    where = f"on {machine}, {facts['platform']}"
    action = {
        "name": f"Runs of the study, from commit {commit}{changed}",
        "description": f"Trained and measured {where}",
        "startTime": _time(begun),
        "endTime": _time(ended),
        "instrument": [properties["instrument"], *software],
    }
    _add(crate, f"#runs-{number}", "CreateAction", properties | action)
    crate.root_dataset.append_to("mentions", crate.get(f"#runs-{number}"))


def _software(crate: ROCrate, name: str, version: str, url: str) -> Entity:
    versions = {"version": version, "softwareVersion": version}
    kind, identifier = "SoftwareApplication", f"#software-{name}-{version}"
    return _add(crate, identifier, kind, {"name": name, "url": url, **versions})


def _abstract(study: Config) -> str:
    datasets = {name for protocol in study["protocols"].values() for name in protocol["datasets"]}
    return (
        f"A study of flatness-aware regularization, lambda / B * tr(H^2): {len(config.runs(study))}"
        f" runs in {len(study['protocols'])} protocols on {len(datasets)} data sets, with its "
        "tables, figures and paper."
    )


def _add(crate: ROCrate, name: str, kind: str, properties: dict[str, Any]) -> Entity:
    """Return the entity with this name; add it if it is new."""
    known = crate.get(name)
    if known is not None:
        return known
    entity = crate.add(ContextEntity(crate, name, properties={"@type": kind}))
    for key, value in properties.items():
        entity[key] = value
    return entity


def _compact(value: Any) -> Any:
    """A list of one item as that item, as the specification asks."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _time(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, in UTC."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).isoformat()


if __name__ == "__main__":
    command.run(main)
