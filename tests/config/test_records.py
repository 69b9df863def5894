"""A run's settings as a record: they are those of the config, and their keys do not change."""

from __future__ import annotations

import hashlib
import json
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from flatreg import config
from flatreg.config import CellSettings, MeasureSettings, Run, Settings, SurfaceSettings
from flatreg.train.lane import with_selection
from tests.configs import SETTINGS
from tests.copies import ROOT

SCHEMA_PATH = ROOT / "workflow/schemas/config.schema.json"
SCHEMA = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
# SHA-256 of `lines` of the study under each profile.
KEYS = {
    None: "85cf45caec63c0861790c2d07ec64404b08cc1031d228225614b6c0383f14280",
    "demo": "d8f7203afe599c94f65bc63916fa0ed1ba9d9900f7af4f93de1637bec3a68704",
    "autodiff": "2c1b219ed9a06bbbaefa31feeaaafcbfd3246b408bb50a2828d1f41ad9234111",
}


def study(profile: str | None) -> dict[str, Any]:
    overlay = [] if profile is None else [ROOT / f"profiles/{profile}/study.yaml"]
    return config.read([ROOT / "config.yaml", *overlay], SCHEMA_PATH)


@pytest.fixture(scope="module", params=KEYS, ids=str)
def profile_and_study(request: pytest.FixtureRequest) -> tuple[str | None, dict[str, Any]]:
    return request.param, study(request.param)


def lines(resolved: dict[str, Any]) -> str:
    """One line per run: its name, and the keys of its settings, of itself and of its search."""
    text = ""
    for run in config.runs(resolved):
        settings = config.settings(resolved, run)
        cell = config.cell_settings(resolved, run.protocol, run.dataset)
        keys = config.settings_key(settings), config.run_key(settings, "0" * 64)
        text += " ".join(["/".join(map(str, run)), *keys, config.selection_key(cell, run.lam)])
        text += "\n"
    return text


def written(resolved: dict[str, Any], run: Run) -> dict[str, Any]:
    """A run's settings, read from the config without the library."""
    training = dict(resolved["protocols"][run.protocol]["datasets"][run.dataset])
    del training["lambdas"], training["seeds"]
    texts = training["source"] in config.TEXT_SOURCES
    measure = resolved["measure"]
    search = config.search_of(resolved, *run[:3])
    return training | {
        "protocol": run.protocol,
        "dataset": run.dataset,
        "lambda": run.lam,
        "seed": run.seed,
        "data": resolved["data"].get("text" if texts else training["source"], {}),
        "search_of": search and {"protocol": search.protocol, "lambda": search.lam},
        "epoch_measure": {
            "examples": measure["epoch_examples"],
            "probes": measure["epoch_probes"],
        },
    }


def test_no_key_of_the_studies_has_moved(
    profile_and_study: tuple[str | None, dict[str, Any]],
) -> None:
    """A changed key trains its run again, and the run no longer matches the reference."""
    profile, resolved = profile_and_study
    assert hashlib.sha256(lines(resolved).encode()).hexdigest() == KEYS[profile]


def test_the_default_precision_is_in_no_key() -> None:
    """Runs from before there was a choice keep their keys; with another value they have others."""
    exact = replace(SETTINGS, precision="highest")
    before = {
        name: value for name, value in config.as_dict(SETTINGS).items() if name != "precision"
    }
    unused = {"penalty"}  # at lambda 0
    assert config.settings_key(SETTINGS) == config.digest(
        {name: value for name, value in before.items() if name not in unused}
    )
    assert config.settings_key(exact) != config.settings_key(SETTINGS)
    assert config.selection_key(exact, "0") != config.selection_key(SETTINGS, "0")


def test_as_a_dictionary_a_record_is_what_the_config_says(
    profile_and_study: tuple[str | None, dict[str, Any]],
) -> None:
    _, resolved = profile_and_study
    for run in config.runs(resolved):
        expected = written(resolved, run)
        settings = config.as_dict(config.settings(resolved, run))
        # The JSON of both: digests are computed from it.
        assert json.dumps(settings, sort_keys=True) == json.dumps(expected, sort_keys=True)
        assert settings == expected
    measure = {k: v for k, v in resolved["measure"].items() if not k.startswith("epoch_")}
    assert config.as_dict(config.measure_settings(resolved)) == measure
    assert config.as_dict(config.surface_settings(resolved)) == resolved["surface"]


def test_a_record_and_its_dictionary_have_one_digest() -> None:
    """The key of a training's checkpoints stays the same."""
    resolved = study("demo")
    for run in config.runs(resolved):
        settings = config.settings(resolved, run)
        making = {"run": "0" * 16, "making": {"code": "0" * 64}}
        expected = config.digest(making | {"settings": written(resolved, run)})
        assert config.digest(making | {"settings": settings}) == expected
    measure = {k: v for k, v in resolved["measure"].items() if not k.startswith("epoch_")}
    assert config.digest(config.measure_settings(resolved)) == config.digest(measure)


def test_the_fields_are_those_of_the_schema() -> None:
    def names(kind: type) -> set[str]:
        return {field.name for field in fields(kind)}

    added = {"protocol", "dataset", "data", "epoch_measure"}
    assert names(CellSettings) - added == set(SCHEMA["$defs"]["dataset"]["properties"]) - {
        *("lambdas", "seeds"),
    }
    assert names(Settings) - names(CellSettings) == {"lam", "seed", "search_of"}
    training = SCHEMA["$defs"]["dataset"]["properties"]
    for name, kind in (
        ("penalty", config.Penalty),
        ("convergence", config.Convergence),
    ):
        assert names(kind) == set(training[name]["properties"])
    assert names(config.Search) == set(training["search"]["properties"]) - {"lambda"} | {"lam"}
    measure = set(SCHEMA["properties"]["measure"]["properties"])
    assert names(MeasureSettings) == {name for name in measure if not name.startswith("epoch_")}
    surface = set(SCHEMA["properties"]["surface"]["properties"])
    assert names(SurfaceSettings) == surface - {"lambda"} | {"lam"}


def test_a_record_can_not_be_changed_nor_change_the_config() -> None:
    resolved = study("demo")
    before = json.dumps(resolved)
    settings = config.settings(resolved, config.runs(resolved)[0])
    with pytest.raises(FrozenInstanceError):
        settings.batch = 1
    for mapping in (settings.model, settings.schedule, settings.optimizer_arguments, settings.data):
        with pytest.raises(TypeError):
            mapping["name"] = "other"
    config.as_dict(settings)["model"]["hidden"].append(7)
    assert json.dumps(resolved) == before
    assert config.settings(resolved, config.runs(resolved)[0]) == settings


def test_a_run_whose_rates_are_given_needs_no_search() -> None:
    assert with_selection(SETTINGS, None) is SETTINGS
