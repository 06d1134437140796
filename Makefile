# Everything in its own virtual environment; needs Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test benchmark clean

demo: .venv/.installed
	$(BIN)/python run.py --config=configs/demo.py

test: .venv/.installed-test
	$(BIN)/python -m pytest -n auto --dist worksteal

benchmark: .venv/.installed
	$(BIN)/python -m benchmarks.kernels

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python setup.cfg
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/.installed-test: .venv/.installed
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

clean:
	rm -rf .venv build *.egg-info
