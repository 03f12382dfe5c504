# Everything that sets up, checks or shows this project. CI (.ci/run) runs the same targets.
# Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = @echo 'Installing into $(VENV), some minutes the first time.'; $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable
PINS := pyproject.toml constraints.txt

.PHONY: demo test fast check docs clean

demo: $(VENV)/core.stamp
	$(BIN)/detente demo

# A process a core, each with one thread; the tests of a file stay together, since they share what is slow to make.
# Files in their own order: by default those with few tests come last, and they are the slow ones.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test: $(VENV)/test.stamp
	$(PYTEST)

fast: $(VENV)/test.stamp
	$(PYTEST) -m "not slow"

check: $(VENV)/check.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(VENV)/core.stamp
	$(BIN)/python docs/make_settings_reference.py
	$(BIN)/python docs/make_results_schema.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# A stamp says that its set of packages is installed; it is as old as the pins it was installed from.
# pip is the last thing that venv writes.
$(BIN)/pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "detente needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: $(PINS) | $(BIN)/pip
	$(INSTALL) .
	@touch $@

$(VENV)/test.stamp: $(PINS) | $(BIN)/pip
	$(INSTALL) '.[test]'
	@touch $@ $(VENV)/core.stamp

$(VENV)/check.stamp: $(PINS) | $(BIN)/pip
	$(INSTALL) '.[test,check]'
	@touch $@ $(VENV)/test.stamp $(VENV)/core.stamp
