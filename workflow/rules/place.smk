# Purpose: find the workflow's own files and the user's, wherever Snakemake was started: in the
#     checkout, in another folder, or in another workflow that uses this one as a module.
# Inputs: none
# Outputs: none

import os
import sys
from pathlib import Path

from snakemake.path_modifier import PathModifier


def check_packages():
    """Stop with one line if Snakemake's Python cannot read the study's config."""
    try:
        import flatreg.config
        import jsonschema
    except ModuleNotFoundError as error:
        sys.exit(
            f"error: {error.name} is missing in Snakemake's Python, {sys.executable}; type make "
            f"in {HOME.resolve()}, then use {HOME.resolve()}/.venv/bin/snakemake"
        )


def nearest_file(name):
    """A file of the working directory, or else that of the workflow's folder, if there is one."""
    beside = HOME / name
    return str(beside if beside.exists() and not os.path.exists(name) else Path(name))


def take_prefix(paths):
    """The study's paths below the `prefix` of a module.

    Snakemake adds the prefix to the paths of rules only, and the jobs use others too. So the paths
    get it here, and those of rules are left as they are.
    """
    modifier = workflow.modifier.path_modifier
    if modifier.modifies_prefixes:
        sys.exit(
            "error: module: replace_prefix is not supported; use prefix, or config: paths"
        )
    workflow.modifier.path_modifier = PathModifier(None, None, workflow)
    return {
        name: os.path.normpath(modifier.replace_prefix(path))
        for name, path in paths.items()
    }


RULES = workflow.current_basedir.get_path_or_uri(secret_free=True)
# Relative to the working directory, as all paths are.
HOME = Path(os.path.relpath(RULES)).parent.parent
check_packages()
