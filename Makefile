# make train   from a fresh clone to a trained model, on whatever device is there
# make site    the visualizer, as files that any host can serve: viz/dist
# make test    every check: format, lint, types, rules, docs, the page, tests, and the page in a real browser
#
# Both can be run again at any time; what is already installed is not installed again.

MODEL ?= mlp
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help train site test format lint types rules unit docs page e2e screenshot clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

train: $(VENV)/.adapter ## train MODEL (mlp, conv or file.py:function) on handwritten digits
	$(BIN)/anneal train $(MODEL)

site: $(VENV)/.package ## build the visualizer's site into viz/dist (needs Node)
	$(BIN)/python build_wasm.py

test: format lint types rules docs page unit e2e ## every check

format: $(VENV)/.tests ## is the code formatted?
	$(BIN)/ruff format --check .

lint: $(VENV)/.tests
	$(BIN)/ruff check .

types: $(VENV)/.tests
	$(BIN)/mypy

rules: $(VENV)/.tests ## is the compiled rule module as fresh as the rules?
	$(BIN)/python -m anneal.rewrite.compile --check

unit: site $(VENV)/.tests $(VENV)/.required ## the tests and the examples in docstrings
	$(BIN)/pytest -n $(JOBS)

page: $(VENV)/.tests $(VENV)/.required ## the page's JavaScript: lint and tests
	$(BIN)/python tools/site_npm.py
	cd viz && node_modules/.bin/eslint .
	node --test viz/tests/*.test.mjs

e2e: site $(VENV)/.tests $(VENV)/.required ## the page in a real browser, with WebGPU in software
	$(BIN)/python build_wasm.py --check
	$(BIN)/python tools/site_npm.py
	$(BIN)/pytest -n $(JOBS) --dist loadfile e2e

docs: $(VENV)/.docs ## build the documentation into site/, warnings as errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "read it: site/index.html"

screenshot: $(VENV)/.adapter ## draw the dashboard for the README, from a real training
	$(BIN)/python tools/screenshot.py

clean: ## forget the virtual environment, caches and what was built
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis site viz/dist viz/node_modules viz/.lock* e2e/artifacts

# Stamps: each says that a step was done for this version of its sources.

$(VENV)/.package: pyproject.toml tools/venv.sh
	tools/venv.sh $(VENV)
	$(PIP) install --editable .
	@touch $@

$(VENV)/.docs: $(VENV)/.package
	$(PIP) install --editable '.[docs]'
	@touch $@

$(VENV)/.tests: $(VENV)/.package
	$(PIP) install --editable '.[test]'
	@touch $@

$(VENV)/.adapter: $(VENV)/.package tools/adapter.sh tools/adapter.py
	tools/adapter.sh $(BIN)/python
	@touch $@

$(VENV)/.required: $(VENV)/.package tools/adapter.sh tools/adapter.py tools/programs.sh
	tools/adapter.sh $(BIN)/python required
	tools/programs.sh tmux:tmux dot:graphviz node:nodejs npm:npm chromium:chromium
	@touch $@
