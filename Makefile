# make run and make test do everything on a fresh machine; PYTHON names another interpreter (3.11 to 3.13).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup run readme test lint clean

setup: .venv/installed

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed, this is %d.%d: make PYTHON=python3.12 …" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt --editable '.[dev,serve,zip]'
	touch $@

# The notebook top to bottom; the network's export and calibration; then the numbers of README.md from what was measured.
run: setup
	$(BIN)/digits train --out . --overwrite
	$(BIN)/digits export
	$(BIN)/digits calibrate
	$(BIN)/python -m experiments.field_calibration
	$(BIN)/python -m experiments.committed
	$(BIN)/python -m experiments.samples
	$(BIN)/python -m experiments.readme

readme: setup
	$(BIN)/python -m experiments.readme

test: setup lint
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv runs build dist *.egg-info
