# make demo: environment, the whole pipeline on avatars, verdict and report.
# make env: the environment alone.              make test: environment, linters, all tests.
# make dag: the stages as a picture.            make docs: the documentation as a site, in build/docs.
# make cover: all tests, and how much of the code they run.

PYTHON := $(shell command -v python3.11 || command -v python3)
CORES ?= all
# Two files of tests at a time, in the order of tests/conftest.py; threads that wait leave the cores to the other one.
PYTEST := OMP_WAIT_POLICY=passive pytest -n 2 --dist loadfile --no-loadscope-reorder
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo env test cover lint fast drills dag docs clean

demo: .venv/installed
	snakemake --cores $(CORES) --resources gpu=1

env: .venv/installed

test: lint
	$(PYTEST)

cover: lint
	$(PYTEST) --cov

lint: .venv/complete
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	lint-imports
	mypy

# Kills, stops and full disks in every stage, about an hour; a table of what held.
drills: .venv/complete
	rm -f results/drills.jsonl
	mkdir -p results
	DRILLS=$(CURDIR)/results/drills.jsonl $(PYTEST) --dist load tests/drills; failed=$$?; \
	  python tests/drills/table.py results/drills.jsonl; exit $$failed

# Without the tests that run the whole pipeline.
fast: .venv/complete
	$(PYTEST) -m "not slow"

dag: .venv/complete
	mkdir -p results
	snakemake --rulegraph dot --quiet | python -m evenface.dag results/dag.svg

# Theme and hooks warn of nothing but links: a warning is an error.
docs: .venv/complete
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "build/docs/index.html; with its search: mkdocs serve"

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed, found $$($(PYTHON) --version)"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --progress-bar off -e '.[studio]'
	touch $@

# What only those who change the code need: tests, linters, the site.
.venv/complete: .venv/installed
	.venv/bin/python -m pip install --progress-bar off -e '.[dev]'
	touch $@

clean:
	rm -rf results .snakemake
