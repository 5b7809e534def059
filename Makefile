# make venv | demo | test | test-slow | lint. A second run installs nothing.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := .

.PHONY: venv demo test test-slow lint clean

venv: $(VENV)/.run-time
$(VENV)/.run-time: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.tests: tests/requirements.txt $(VENV)/.run-time
	$(BIN)/python -m pip install --quiet -r tests/requirements.txt
	touch $@

# Trains and evaluates the small model on the built-in scenes; the numbers come last.
demo: $(VENV)/.run-time
	$(BIN)/python -m sor_jax.demo

test: $(VENV)/.tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

test-slow: $(VENV)/.tests
	$(BIN)/python -m pytest

lint: $(VENV)/.tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
