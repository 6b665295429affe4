# Everything that a developer does here. `make help` lists it.

PYTHON ?= python3
BIN := .venv/bin
# As many processes as there are cores, two at least.
JOBS ?= auto

# Where it is set, every process compiles every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test test-fast check format docs bench migration lock clean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/run ## Set everything up and serve on the embedded PostgreSQL (ARGS="--port 8001")
	@$(BIN)/taskport serve $(ARGS)

test: .venv/dev ## Set everything up and run all tests
	@$(BIN)/python -m pytest -n $(JOBS) --cov --cov-report=term $(ARGS)
	@$(BIN)/python -m coverage report --include='domain/*,application/*' --fail-under=95 --format=total

test-fast: .venv/dev ## Run the tests that need no PostgreSQL, no Node.js, no other process and no patience
	@$(BIN)/python -m pytest -q -n $(JOBS) -m "not postgres and not node and not process and not slow" $(ARGS)

check: .venv/dev ## Format, lint, types, import contracts; then all tests, with every part required
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@TASKPORT_REQUIRE_ALL=1 $(MAKE) --no-print-directory test

format: .venv/dev ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: .venv/dev ## Generate the tables of specs/backend and .env.example
	@$(BIN)/python -m specs.generator

bench: .venv/dev ## Measure beside the tutorial service (ARGS="--rounds 1"); needs wrk
	@$(BIN)/python -m benchmarks.run $(ARGS)

migration: .venv/dev ## Write a migration for what changed in tables.py (NAME="add a due date")
	@$(BIN)/taskport migrate
	@$(BIN)/alembic revision --autogenerate -m "$(NAME)"

lock: .venv/dev ## Lock the dependencies anew, with hashes and without addresses
	@$(LOCK) pyproject.toml --output-file requirements.txt
	@$(LOCK) pyproject.toml --group dev --output-file requirements-dev.txt

clean: ## Remove what was set up; .data, with the database, stays
	rm -rf .venv .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
	rm -rf tests/interop/node/node_modules tests/openapi/node/node_modules tests/browser/node/node_modules

LOCK = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-annotate --no-header

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Taskport needs Python 3.11 or newer: make PYTHON=python3.12 ...") \
		if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv

# setuptools, which makes `taskport` a command, is in the lock as well.
.venv/run: requirements.txt pyproject.toml | .venv/bin/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: requirements-dev.txt .venv/run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
