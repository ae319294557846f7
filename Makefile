# make demo   set everything up, run the pipeline on the sample data, show the results
# make test   set everything up, lint, run all tests
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# What tests/aws needs, each with pins of its own; only where Terraform is found.
EMULATOR := .venv-emulator/.ready
CHECKOV  := .venv-checkov/.ready
BENCH    := .venv-bench/.ready
AWS      := $(if $(shell command -v terraform),$(EMULATOR) $(CHECKOV))

.PHONY: help setup demo test lint audit pytest pytest-rooms pytest-faults pytest-lake pytest-aws sweep chaos emulator verify-aws bench bench-quick bench-report bench-console bench-verify scale lock vendor screenshots clean

help:
	@echo "make demo | test | lint | audit | sweep | chaos | emulator | verify-aws | bench | bench-quick | bench-report | bench-console | bench-verify | scale | lock | vendor | screenshots | clean"

setup: $(READY)

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Lakehead needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: $(READY)
	@$(BIN)/python -m lakehead.examples.demo

test: lint pytest

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive src infra
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/python infra/audit.py --where-reachable

# Holds every pinned dependency against the advisories that PyPI knows; fails where they cannot be asked for.
audit: $(READY)
	$(BIN)/python infra/audit.py

# Four parts, two at a time: what the deployment waits for (Terraform, Spark) leaves room for the others.
FAULTS := tests/badinput tests/chaos
LAKE   := tests/behaviour tests/browser tests/console

pytest: $(READY) $(AWS)
	@$(MAKE) --no-print-directory --jobs=2 --keep-going pytest-aws pytest-rooms pytest-faults pytest-lake

pytest-rooms: $(READY)
	nice -n 5 $(BIN)/pytest $(addprefix --ignore=,$(FAULTS) $(LAKE) tests/aws)

pytest-faults: $(READY)
	nice -n 5 $(BIN)/pytest $(FAULTS)

pytest-lake: $(READY)
	nice -n 5 $(BIN)/pytest $(LAKE)

pytest-aws: $(READY) $(AWS)
	$(BIN)/pytest tests/aws

# What takes minutes and repeats much of what `make test` shows.
sweep: $(READY) $(AWS)
	$(BIN)/pytest -m slow

# An hour: kills, failing disks and power losses by the thousand. Prints the figures that stand in docs/guarantees.md.
chaos: $(READY)
	$(BIN)/pytest -m slow tests/chaos
	PYTHONPATH=tests nice $(BIN)/python -m chaos $(ARGS)

emulator: $(EMULATOR) $(CHECKOV)

.venv-%/.ready: requirements/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# On a real account: says what it will do, asks, and takes down what it made.
verify-aws: $(READY)
	@$(BIN)/python infra/verify_aws.py $(ARGS)

# Lakehead beside its peers, half an hour; bench-quick takes three minutes. ARGS='--only bulk' for a part.
bench: $(READY) $(BENCH)
	$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(READY) $(BENCH)
	$(BIN)/python -m benchmarks --quick $(ARGS)

# The tables and plots of docs/performance.md, from the figures that the last full run left.
bench-report: $(READY) $(BENCH)
	.venv-bench/bin/python -m benchmarks.report

# A lake of 100,000 executions, made in minutes and kept in a temporary folder (or ARGS='--lake DIR'): 4 GB.
bench-console: $(READY)
	$(BIN)/python -m benchmarks.console $(ARGS)

# Proves a lake of many objects, again and again: make bench-verify ARGS="--objects 1000000" takes half an hour and 10 GB.
bench-verify: $(READY)
	$(BIN)/python -m benchmarks.verify $(ARGS)

# Half an hour: 5 GB and 5,000 partitions by both engines, within 4 GB of memory.
scale: $(READY)
	$(BIN)/python -m benchmarks.scale

# Pins every dependency, on every platform and Python this project runs on, with hashes.
lock: $(READY)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --generate-hashes --no-header \
	  --extra aws --extra console --extra graph --extra jsonata --extra notify --extra spark --group dev --output-file requirements/dev.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-emit-index-url --generate-hashes \
	  --no-header --extra aws --output-file src/lakehead/aws/glue-requirements.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --generate-hashes --no-header \
	  --extra aws --group emulator --output-file requirements/emulator.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --generate-hashes --no-header \
	  --group pyproject.toml:checkov --output-file requirements/checkov.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --generate-hashes --no-header \
	  --group pyproject.toml:bench --output-file requirements/bench.txt

# Fills the console's static/vendor from the npm packages that vendor/package-lock.json pins. Needs node and npm.
VENDORED := src/lakehead/console/static/vendor
vendor:
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && cp vendor/* "$$folder" && \
	  npm --prefix "$$folder" ci --ignore-scripts --no-audit --no-fund && \
	  target="$$PWD/$(VENDORED)" && cd "$$folder" && node node_modules/esbuild/install.js && node build.mjs "$$target"

# The pictures of the README, taken of a console at work. Needs chromium.
screenshots: $(READY)
	$(BIN)/python -m benchmarks.screenshots

clean:
	rm -rf $(VENV) .venv-emulator .venv-checkov .venv-bench build dist demo-lake .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
