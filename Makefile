# `make help` lists the targets. `make start` and `make test` do all their set-up on a fresh machine.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help start test check lint types contracts verify bench results clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

start: $(VENV)/.installed  ## set up if needed, then open the app (ARGS="capi-refs --plain")
	@$(BIN)/mltutor start $(ARGS)

test: $(VENV)/.test-installed  ## set up if needed, then run every test (ARGS="tests/unit -k stats")
	@$(BIN)/python -m pytest $(or $(ARGS),tests)

check: lint types contracts test verify  ## what CI runs: lint, types, import contracts, tests, verify

lint: $(VENV)/.test-installed  ## ruff, and clang-format and rustfmt where they are installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check tutor tests benchmarks
	@$(BIN)/python tests/architecture/formatting.py

types: $(VENV)/.test-installed  ## mypy --strict
	@$(BIN)/mypy

contracts: $(VENV)/.test-installed  ## which part may import which
	@$(BIN)/lint-imports

verify: $(VENV)/.test-installed  ## prove every exercise (ARGS="capi-refs")
	@$(BIN)/mltutor verify $(ARGS)

bench: $(VENV)/.test-installed  ## save to verdict against the usual way; table at the end, JSON in benchmarks/results
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@$(BIN)/python -m benchmarks.save_to_verdict $(ARGS)

results: $(VENV)/.test-installed  ## time every solution in one run, write docs/results.md (ARGS="cy-gae": print the page)
	@$(BIN)/python -m benchmarks.course_results $(ARGS)

clean:  ## remove the virtual environment and caches (never the workspace)
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache build dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"mltutor needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian, apt-get install python3-venv python3-dev"; exit 3; }

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "installing mltutor (torch is some 5 GB, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test-installed: pyproject.toml tests/setup-system | $(VENV)/bin/python
	@echo "installing mltutor with what its tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,cuda]'
	@bash tests/setup-system
	@touch $@ $(VENV)/.installed
