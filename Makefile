# Everything in its own virtual environment; needs Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
# The versions that were tested, on the Python that they were tested on; elsewhere what fits.
CONSTRAINTS := $(shell $(PYTHON) -c 'import sys; print("--constraint=constraints.txt" * (sys.version_info[:2] == (3, 11)))')
PIP := $(BIN)/python -m pip install --quiet $(CONSTRAINTS)
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal

.PHONY: demo check test lint format benchmark benchmark-peers docs clean

# So many parts that wheels, cab and arm are parts of their own.
demo: .venv/.installed
	$(BIN)/python run.py --config=configs/demo.py --config.parts.wanted=15

# The fast half: no whole runs of the program.
check: .venv/.installed-test
	$(PYTEST) -m "not runs"

test: .venv/.installed-test
	$(PYTEST)

lint: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pages that are made from the code.
docs: .venv/.installed
	$(BIN)/python docs/pages.py
	$(BIN)/python docs/figures.py

benchmark: .venv/.installed
	$(BIN)/python -m benchmarks

# Beside PyTorch, OpenCV, scikit-learn, SciPy and faiss too, in an environment of its own.
benchmark-peers: .venv-peers/.installed
	.venv-peers/bin/python -m benchmarks

.venv-peers/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet $(CONSTRAINTS) --editable ".[peers]"
	touch $@

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python setup.cfg constraints.txt
	$(PIP) --editable .
	touch $@

.venv/.installed-test: .venv/.installed
	$(PIP) --editable ".[test]"
	touch $@

clean:
	rm -rf .venv .venv-peers build *.egg-info .pytest_cache
