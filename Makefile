# make demo: environment, the whole pipeline on avatars, verdict and report.
# make env: the environment alone.              make test: environment, linters, all tests.
# make dag: the stages as a picture.

PYTHON := $(shell command -v python3.11 || command -v python3)
CORES ?= all
# Two files of tests at a time; threads that wait leave the cores to the other one.
PYTEST := OMP_WAIT_POLICY=passive pytest -n 2 --dist loadfile
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo env test lint fast dag clean

demo: .venv/installed
	snakemake --cores $(CORES) --resources gpu=1

env: .venv/installed

test: lint
	$(PYTEST) --cov

lint: .venv/installed
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	lint-imports
	mypy

# Without the tests that run the whole pipeline.
fast: .venv/installed
	$(PYTEST) -m "not slow"

dag: .venv/installed
	mkdir -p results
	snakemake --rulegraph dot --quiet | python -m evenface.dag results/dag.svg

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed, found $$($(PYTHON) --version)"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --progress-bar off -e '.[dev]'
	touch $@

clean:
	rm -rf results .snakemake
