# Everything that a developer does here. `make help` lists it.

PYTHON ?= python3
BIN := .venv/bin
# As many processes as there are cores, two at least.
JOBS ?= auto

# If it is set, every process compiles every module anew.
unexport PYTHONDONTWRITEBYTECODE
# In a virtual environment pip refuses to install for the user. Other settings of pip stay in force.
export PIP_USER := no

.DEFAULT_GOAL := help
.PHONY: help run test test-core test-oldest check format docs bench migration lock clean

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/run ## Set everything up and serve on the embedded PostgreSQL (ARGS="--port 8001")
	@$(BIN)/python -m entrypoints serve $(ARGS)

test: .venv/dev ## Set everything up and run all tests
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term $(ARGS)
	@$(BIN)/python -m coverage report --include='domain/*,application/*' --fail-under=95 --format=total

test-core: .venv/dev ## Run the tests of the core: domain, use cases, memory adapters, conventions
	@$(BIN)/python -m pytest -q -m "$(CORE)" $(CORE_TESTS) $(ARGS)

test-oldest: .venv-oldest/dev ## Run the tests of the adapters on the oldest versions that pyproject.toml allows
	@.venv-oldest/bin/python -m pytest -q -n $(JOBS) -m "not node and not debian" $(OLDEST_TESTS) $(ARGS)

check: .venv/dev ## Format, lint, types, import contracts; then all tests, with every part required
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m mypy
	@$(BIN)/python -c 'from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))'
	@TASKPORT_REQUIRE_ALL=1 $(MAKE) --no-print-directory test

format: .venv/dev ## Format the code and mend what ruff can mend
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

docs: .venv/dev ## Generate the tables of specs/backend and .env.example
	@$(BIN)/python -m specs.generator

bench: .venv/dev ## Measure beside the tutorial service (ARGS="--rounds 1"); needs wrk
	@$(BIN)/python -m benchmarks.run $(ARGS)

migration: .venv/dev ## Write a migration for what changed in tables.py (NAME="add a due date")
	@$(BIN)/python -m entrypoints migrate
	@$(BIN)/python -m alembic revision --autogenerate -m "$(NAME)"

lock: .venv/dev ## Lock the newest dependencies, and the oldest, with hashes and without addresses
	@$(LOCK) --upgrade pyproject.toml --output-file requirements.txt
	@$(LOCK) --upgrade pyproject.toml --group dev --output-file requirements-dev.txt
	@$(LOCK) --resolution lowest-direct pyproject.toml --group dev --output-file requirements-oldest.txt

clean: ## Remove what was set up; .data, with the database, stays
	rm -rf .venv .venv-oldest .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
	rm -rf tests/interop/node/node_modules tests/openapi/node/node_modules tests/browser/node/node_modules

# In one process: to start more takes as long as these tests do.
CORE = not postgres and not node and not process and not slow
CORE_TESTS = tests/domain tests/application tests/contracts tests/architecture
# Those of the modules that use internals of dependencies, and what they are part of.
OLDEST_TESTS = tests/http tests/contracts tests/adapters tests/migrations \
	tests/processes/test_raw_http.py tests/processes/test_stopping.py tests/processes/test_metrics.py

LOCK = $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-annotate --no-header

# In one sentence, why there can be no virtual environment.
define check_python
command -v "$(PYTHON)" >/dev/null || { \
	echo "Taskport needs Python 3.11 or newer, and there is no $(PYTHON): install it, or name it: make PYTHON=..." >&2; \
	exit 1; }; \
"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "Taskport needs Python 3.11 or newer, and $(PYTHON) is older: name another: make PYTHON=python3.12" >&2; \
	exit 1; }; \
"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, apt-get install python3-venv" >&2; \
	exit 1; }
endef

# A virtual environment names its folder in many files, and an installation that was interrupted may
# have left half a package. After either it is made anew. `made` holds the path of this folder.
.venv/made .venv-oldest/made: FORCE
	@if [ "$$(cat $@ 2>/dev/null)" != "$$(pwd -P)" ] || [ -e $(@D)/unfinished ] \
		|| ! $(@D)/bin/python -c 'import pip' 2>/dev/null; then \
		$(check_python); \
		[ ! -e $(@D) ] || echo "$(@D) is unfinished, or was made elsewhere: making it anew"; \
		rm -rf $(@D) && "$(PYTHON)" -m venv $(@D) && pwd -P >$@; \
	fi

FORCE:

# $(call install,LOCK): what a lock file names, and Taskport itself. setuptools, which makes
# `taskport` a command, is locked as well.
define install
@touch $(@D)/unfinished
@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
@rm $(@D)/unfinished
@touch $@
endef

.venv/run: requirements.txt pyproject.toml .venv/made
	$(call install,requirements.txt)

.venv/dev: requirements-dev.txt .venv/run
	$(call install,requirements-dev.txt)

.venv-oldest/dev: requirements-oldest.txt pyproject.toml .venv-oldest/made
	$(call install,requirements-oldest.txt)
