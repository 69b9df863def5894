#!/usr/bin/env bash
# Snakemake runs this inside the new conda environment, in the repository's folder.
set -euo pipefail

python -m pip install --quiet --require-hashes -r envs/requirements.txt
python -m pip install --quiet --use-pep517 --no-deps --no-build-isolation --editable .
