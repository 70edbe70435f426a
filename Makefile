# The two commands of the README are `make demo` and `make test`; each sets up what it needs first.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
DATA ?= landscape-data
BIN := .venv/bin
NODE = $$($(BIN)/python -c 'import pathlib, playwright; print(pathlib.Path(playwright.__file__).parent / "driver" / "node")')

.PHONY: demo test setup lint types unit clean

demo: .venv/installed
	@exec $(BIN)/landscape up --demo --host $(HOST) --port $(PORT) --data $(DATA)

test: .venv/tested-with lint types
	$(NODE) --test tests/frontend/
	$(BIN)/pytest

setup: .venv/tested-with

# The virtual environment with everything the service needs. Nothing but packages is downloaded.
.venv/installed: pyproject.toml constraints.txt $(wildcard setup.py) $(wildcard landscape/engine/native/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing packages into .venv/ ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

# ... and what the tests need besides, Chromium included.
.venv/tested-with: .venv/installed
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@sh tests/browser/need_chromium.sh
	@touch $@

lint: .venv/tested-with
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/tested-with
	$(BIN)/mypy

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
