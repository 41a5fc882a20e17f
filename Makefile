# Needs only make and a Python 3.11 to 3.13. `make PYTHON=python3.12 test` chooses the Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LINT_STAMP := $(VENV)/.installed-lint
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install demo test test-full test-learning mutants lint format bench bench-against \
	bench-accelerator clean

help:  ## say what can be made
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP)  ## create .venv and install jaxrl and what its tests need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "jaxrl needs Python 3.11, 3.12 or 3.13; try: make PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

$(LINT_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,lint]'
	@touch $@

demo: $(STAMP)  ## train 8 PPO agents on CartPole side by side, draw their curve, evaluate them
	$(BIN)/jaxrl train ppo CartPole-v1 --seeds 8 --total-steps 100000 --out runs/demo --overwrite
	$(BIN)/jaxrl evaluate runs/demo --episodes 100

test: $(STAMP)  ## the default test suite, in parallel
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

test-full: $(STAMP)  ## the part that `make test` leaves out: large matrices of cases, in parallel
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile -m "full and not learning"

test-learning: $(STAMP)  ## the tests that take minutes, most of them for training
	$(BIN)/python -m pytest -m learning

mutants: $(STAMP)  ## break the library in many small ways; the tests must notice each
	PYTHONPATH=tests $(BIN)/python -m mutants.run

lint: $(LINT_STAMP)  ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright

format: $(LINT_STAMP)  ## format, and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)  ## throughput against the peers, into benchmarks/results and benchmarks/README.md
	$(BIN)/python benchmarks/make_environments.py
	$(BIN)/python benchmarks/throughput.py --suite ppo a2c sac sac-256 td3 dqn-5k dqn dqn-500k
	$(BIN)/python benchmarks/write_table.py

bench-against: $(STAMP)  ## speed beside that of another commit: make bench-against REV=HEAD~1
	$(BIN)/python benchmarks/against.py $(or $(REV),HEAD)

bench-accelerator: $(STAMP)  ## measure whatever device is there, in minutes, into benchmarks/results
	$(BIN)/python benchmarks/accelerator.py

clean:  ## remove the environments and what tests and builds left
	rm -rf $(VENV) benchmarks/environments build dist *.egg-info
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
