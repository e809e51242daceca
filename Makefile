# make run and make test do everything on a fresh machine; PYTHON names another interpreter (3.11 to 3.13).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup run model readme experiments benchmarks release docs test lint clean

setup: .venv/installed

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed, this is %d.%d: make PYTHON=python3.12 …" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt --editable '.[cloud,dev,docs,experiments,scale,serve,zip]'
	touch $@

# The notebook top to bottom; the network's export and calibration; then the numbers of README.md from what was measured.
run: model readme

model: setup
	$(BIN)/digits train --out . --overwrite
	$(BIN)/digits export
	$(BIN)/digits calibrate
	$(BIN)/python -m experiments.committed
	$(BIN)/python -m experiments.samples
	$(BIN)/python -m experiments.tutorial

readme: setup
	$(BIN)/python -m experiments.readme

# Every study, its figures, and the README's numbers; what is finished is not repeated. JOBS networks side by side.
JOBS ?= 2
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
experiments: setup
	$(BIN)/python -m pip install --quiet --extra-index-url $(TORCH_INDEX) --editable '.[backends]'
	for study in recipe seeds no_augmentation crossval reader_network fast_network architectures augmentation regularisation transfer ensemble; do \
	    $(BIN)/python -m experiments.$$study --jobs $(JOBS) || exit 1; done
	$(BIN)/python -m experiments.tuning --jobs $(JOBS)
	$(BIN)/python -m experiments.tuning --jobs $(JOBS) --finalist
	$(BIN)/python -m experiments.adversarial
	$(BIN)/python -m experiments.flattery
	$(BIN)/python -m experiments.label_audit
	$(BIN)/python -m experiments.pairs
	$(BIN)/python -m experiments.rejection
	$(BIN)/python -m experiments.promise
	$(BIN)/python -m experiments.by_writer
	$(BIN)/python -m experiments.oversegmentation
	$(BIN)/python -m experiments.backends
	$(BIN)/python -m experiments.figures
	$(BIN)/python -m experiments.readme

# What the reader and the service reach, on this machine. Needs wrk.
benchmarks: setup
	$(BIN)/python -m pip install --quiet --extra-index-url $(TORCH_INDEX) --editable '.[backends,bench]'
	for benchmark in mnist wild foreign non_digits corruptions drift explanations fields speed fast whole_path speedrun exports architectures bad_input load soak batch batch_growth; do \
	    $(BIN)/python -m benchmarks.$$benchmark || exit 1; done
	$(BIN)/python -m benchmarks.figures
	$(BIN)/python -m benchmarks.trust_figures
	$(BIN)/python -m experiments.readme

# The only way in which the committed network changes: all that depends on it is remade together. The notebook shows the
# studies' results, so it is run again when they are there: its network comes out the same, and keeps its file.
release:
	$(MAKE) model
	$(MAKE) experiments
	$(MAKE) model
	$(MAKE) benchmarks

# The documentation, into site/; open site/index.html.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

test: setup lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv runs build dist site *.egg-info
