# The README names `make demo` and `make test`; both install what they need first.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
DATA ?= landscape-data
BIN := .venv/bin
DENO = DENO_DIR=../build/deno DENO_NO_UPDATE_CHECK=1 ../$(BIN)/deno
NODE = $$($(BIN)/python -c 'import pathlib, playwright; print(pathlib.Path(playwright.__file__).parent / "driver" / "node")')

.PHONY: demo test setup lint types kinds client reference first-minutes bench fuzz soak test-long two-users load readers locks images sbom clean

demo: .venv/installed
	@exec $(BIN)/landscape up --demo --host $(HOST) --port $(PORT) --data $(DATA)

# Runs JOBS test files at a time.
JOBS ?= 2
test: .venv/installed lint types
	@sh tests/browser/need_chromium.sh
	$(NODE) --test tests/frontend/
	$(BIN)/pytest -n $(JOBS) --dist loadfile

setup: .venv/installed

# The virtual environment with library, service and tests. Only packages are downloaded.
.venv/installed: pyproject.toml packaging/service/pyproject.toml constraints.txt setup.py $(wildcard landscape/engine/native/*.cpp landscape/engine/native/*.inc)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing packages into .venv/ (a minute or two, once) ..."
	@$(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]' -e packaging/service
	@touch $@

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/oxfmt --check frontend tests/frontend
	$(BIN)/oxlint frontend tests/frontend
	cd frontend && $(DENO) check --quiet js && $(DENO) lint --quiet
	$(BIN)/python -m tests.language
	$(BIN)/python landscape/client/generate_aio.py --check
	$(BIN)/python -m landscape.kinds.generate --check

types: .venv/installed
	$(BIN)/mypy

# Functions, client and page of every kind of result, from its definition in landscape/kinds/.
kinds: .venv/installed
	$(BIN)/python -m landscape.kinds.generate

# The awaitable client, from the blocking one.
client: .venv/installed
	$(BIN)/python landscape/client/generate_aio.py

# API reference of the library, from its docstrings.
reference: .venv/installed
	$(BIN)/python docs/reference.py build/reference

# Waiting times of a first visit, in a real browser.
first-minutes: .venv/installed
	$(BIN)/python -m benchmarks.first_minutes

# This engine against the plain loop and the peers, which are installed into build/peers (SHORT= for the long mode).
SHORT ?= --short
bench: .venv/installed
	$(BIN)/python -m benchmarks $(SHORT)

# Fuzzes for longer than `make test` does: EXAMPLES requests of each kind for every operation of the API, then 20 times
# as many packed graphs, then EXAMPLES runs of the queue beside a model of it, then 10 times as many random networks
# beside an obvious float64 loop.
EXAMPLES ?= 200
fuzz: .venv/installed
	LANDSCAPE_FUZZ=$(EXAMPLES) $(BIN)/pytest tests/security/test_fuzz.py -s
	LANDSCAPE_FUZZ=$(EXAMPLES) $(BIN)/pytest tests/security/test_graph_fuzz.py -s --timeout 7200
	LANDSCAPE_FUZZ=$(EXAMPLES) $(BIN)/pytest tests/service/queue/test_model.py --timeout 7200
	LANDSCAPE_FUZZ=$(EXAMPLES)0 $(BIN)/pytest tests/landscape/evaluation/test_random_networks.py -q

# Random faults on both kinds of installation, SOAK= seconds each (an hour in total), then the slow fault tests; SEED= repeats a run.
SOAK ?= 1800
soak: .venv/installed
	$(BIN)/python -m tests.faults.soak --seconds $(SOAK) $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.faults.soak --seconds $(SOAK) $(if $(SEED),--seed $(SEED)) --lab
	$(BIN)/pytest tests/faults --long

# What is too long for `make test`, one after the other: see CONTRIBUTING.md.
MUTATIONS ?= 100000
test-long: .venv/installed
	$(MAKE) fuzz
	LANDSCAPE_MUTATIONS=$(MUTATIONS) $(BIN)/pytest tests/corpus/test_mutations.py -s --timeout 7200
	$(MAKE) soak SOAK=600
	$(MAKE) two-users

# One user attacks by every means, another works: response times of the latter, calm and attacked.
two-users: .venv/installed
	$(BIN)/python -m benchmarks.two_users

# Response times with ten thousand queued jobs, five hundred event streams, and clients that read nothing.
load: .venv/installed
	$(BIN)/python -m benchmarks.load

# VTK, 140 MB, for the test that reads our .vtp files with it; that test is skipped if VTK is missing.
readers: .venv/installed
	$(BIN)/pip install -q --no-deps -c constraints.txt --target build/readers vtk

# Versions and hashes of the images' packages (deploy/requirements/), from pyproject.toml and constraints.txt.
locks: .venv/installed
	$(BIN)/python -m deploy.lock

# Base images: what is behind, asked of REGISTRY= (by default, the engine's). UPDATE=--update writes new pins.
images:
	@$(PYTHON) deploy/images.py $(UPDATE) $(if $(REGISTRY),--registry $(REGISTRY))

# Bill of materials, as CycloneDX: build/sbom/*.json.
sbom: .venv/installed
	$(BIN)/python -m deploy.sbom build/sbom

clean:
	rm -rf .venv build *.egg-info packaging/service/build packaging/service/*.egg-info .mypy_cache .ruff_cache .pytest_cache
