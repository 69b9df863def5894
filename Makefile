# The commands that a person types. Each sets up what it needs, once: see envs/setup.sh.
# Works with GNU make 3.81 (macOS) and newer.

PYTHON ?= python3
UV ?= uv
BIN := .venv/bin

# Rules call `python -m flatreg.…`, which must be the environment's Python.
export PATH := $(CURDIR)/$(BIN):$(PATH)

LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links
# The extras of the CPU environment, and those that GPU nodes of a cluster need.
EXTRAS := --extra study --extra workflow --extra bench --extra develop --extra docs
CUDA_EXTRAS := --extra study --extra workflow --extra cuda

# With FROM=ARCHIVE, `make paper` and `make demo` make from its runs what follows from them.
unpack = $(if $(FROM),$(BIN)/python -m flatreg.publish.unpack '$(FROM)' --config config.yaml $(1) \
	--schema workflow/schemas/config.schema.json)

.DEFAULT_GOAL := setup
.PHONY: setup demo paper test faults cluster-test verify bench frontier docs lint lock sbom audit help tex chromium slurm

setup: .venv/installed tex ## set up .venv and TeX (other targets do so too, as needed)
	@echo "Everything is set up, nothing left to do. Next: make demo, or make help."

demo: .venv/installed tex ## run the pipeline on small data, to PDF and report (minutes)
	@$(call unpack,profiles/demo/study.yaml)
	@sh workflow/run.sh results/demo results/demo/paper.pdf \
		$(if $(PROFILE),--workflow-profile $(PROFILE)) --configfile profiles/demo/study.yaml

paper: .venv/installed tex ## run the whole study, to PDF and report (PROFILE=profiles/slurm: on a cluster; FROM=results/reference: without training)
	@$(call unpack)
	@sh workflow/run.sh results paper/main.pdf $(if $(PROFILE),--workflow-profile $(PROFILE))

test: .venv/installed tex chromium ## run the test suite
	@$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/faults --ignore tests/cluster

faults: demo ## test recovery: break the demo in many ways (a quarter of an hour; DRAW=SEED: each way once)
	@$(BIN)/python -m pytest -n 3 tests/faults $(if $(DRAW),--draw $(DRAW))

cluster-test: demo slurm ## test the demo and recovery on a real Slurm of two nodes (half an hour; DRAW=SEED: less of each)
	@$(BIN)/python -m pytest tests/cluster $(if $(DRAW),--draw $(DRAW))

verify: .venv/installed ## repeat a few runs and compare them with results/reference
	@$(BIN)/python -m flatreg.config config.yaml profiles/verify/study.yaml \
		--schema workflow/schemas/config.schema.json --out results/verify/config.json
	@runs=$$($(BIN)/python -m flatreg.publish.verify --config results/verify/config.json --list) && \
		$(BIN)/snakemake --profile profiles/verify $$runs
	@$(BIN)/python -m flatreg.publish.verify --config results/verify/config.json \
		--reference results/reference/metrics.csv --results results/verify

bench: .venv/installed .venv-torch/installed ## measure the cost of the penalty and of alternatives (needs a quiet machine)
	@$(BIN)/python -m bench.cost --torch .venv-torch/bin/python --out bench/results/cost.json

frontier: .venv/installed ## measure the penalty's spread against its cost (needs a quiet machine, and the data of make paper)
	@$(BIN)/python -m bench.frontier --data results/data --out bench/results/frontier.json

docs: .venv/installed ## build docs/ as a site, docs/_build/html/index.html; a warning is an error
	@$(BIN)/sphinx-build -q --fail-on-warning --nitpicky --jobs auto -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

lint: .venv/installed ## check style, that imports run downwards, and the Snakemake files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/snakemake --lint

lock: ## lock pyproject.toml in envs/requirements.txt, keeping pins (UPGRADE=1: newest; needs uv)
	@command -v $(UV) >/dev/null || { \
		echo "error: uv is missing; type: $(PYTHON) -m pip install uv" >&2; exit 1; }
	$(LOCK) $(if $(UPGRADE),--upgrade) $(EXTRAS) pyproject.toml -o envs/requirements.txt
	$(LOCK) $(CUDA_EXTRAS) -c envs/requirements.txt pyproject.toml -o envs/requirements-cuda.txt
	echo uv | $(LOCK) $(if $(UPGRADE),--upgrade) - -o envs/uv.txt

sbom: .venv/installed .venv-audit/installed ## write the environment's bill of materials, sbom.json (CycloneDX)
	@.venv-audit/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--of JSON -o sbom.json $(BIN)/python
	@echo "sbom.json"

audit: .venv-audit/installed ## list known vulnerabilities of the locked packages (asks PyPI)
	@.venv-audit/bin/pip-audit --strict --disable-pip --no-deps -r envs/requirements.txt

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

tex:
	@sh envs/setup.sh tex

chromium:
	@sh envs/setup.sh chromium

slurm:
	@sh envs/setup.sh slurm

.venv/installed: envs/requirements.txt pyproject.toml
	@sh envs/setup.sh venv $(PYTHON) .venv
	@touch $@

# Only `make sbom` and `make audit` use these.
.venv-audit/installed: envs/audit.txt
	@sh envs/setup.sh audit $(PYTHON) .venv-audit
	@touch $@

# Only the bench uses PyTorch, so it stays out of the study's environment.
.venv-torch/installed: envs/torch.txt
	@sh envs/setup.sh torch $(PYTHON) .venv-torch
	@touch $@
