# How to build, test and try Douane. `make` alone lists what there is.

BIN := .venv/bin
VENV_RUNTIME := .venv/.made-for-runtime
VENV_DEV := .venv/.made-for-dev

# `make test ARGS="-k ring"`: more arguments for pytest (or for bench).
ARGS ?=

# Three workers on two cores, a fifth of whose time two leave unused: many tests wait for processes. Tests that may not
# run beside each other share an xdist_group.
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 3
PARALLEL := -n $(WORKERS) --dist loadgroup

# Hundreds of processes would compile all that they import.
unexport PYTHONDONTWRITEBYTECODE

# Plugins run where they can write no bytecode, and would compile the same modules at every start.
COMPILE := $(BIN)/python -m compileall -q src sdk/src guest/src kit/src

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: $(VENV_RUNTIME)  ## see images checked, refused, imported and given back, also in the image service with the client openstack
	@scripts/openstack-env.sh
	@$(COMPILE)
	@scripts/demo.sh

.PHONY: setup
setup: $(VENV_DEV)  ## make .venv with all that the other targets need (they do it themselves)

.PHONY: test
test: $(VENV_DEV) lint docs-check  ## all checks and all tests: what has to pass before a change is merged
	@$(COMPILE)
	$(PYTEST) $(PARALLEL) $(ARGS)
	@$(if $(ARGS),,scripts/sdk-test.sh --quiet)

.PHONY: test-all
test-all: export DOUANE_TESTS := all
test-all: test  ## the same, with all cases of long tests, of which make test runs a fixed part: a quarter of an hour more

.PHONY: test-fast
test-fast: $(VENV_DEV)  ## the tests that start no process: under two minutes; the last failures first, stops at the first one
	@$(COMPILE)
	$(PYTEST) $(PARALLEL) tests/unit sdk/tests guest/tests kit/tests/conformance/test_conformance_units.py --failed-first --exitfirst $(ARGS)

# Exit status 5 is pytest's "nothing was collected".
.PHONY: test-corpus
test-corpus: export DOUANE_CORPUS := $(abspath $(or $(DOUANE_CORPUS),../shared/images))
test-corpus: $(VENV_DEV)  ## the tests on a folder of real images: DOUANE_CORPUS, or ../shared/images
	@$(COMPILE)
	@if ! [ -d "$(DOUANE_CORPUS)" ]; then \
	    echo "There is no folder $(DOUANE_CORPUS): nothing to test. DOUANE_CORPUS=/path/to/images names another."; \
	else \
	    echo "Images: $(DOUANE_CORPUS)"; \
	    $(PYTEST) $(PARALLEL) -m corpus $(ARGS) || { status=$$?; [ $$status -eq 5 ] || exit $$status; \
	        echo "No test is marked \"corpus\" yet."; }; \
	fi

# Not part of `make test`. The environments in .glance/ are made with the first run: some minutes, and 500 MB.
# ARGS=--all-versions: more of the tests in each Glance, and in gunicorn beside uwsgi and mod_wsgi.
GLANCE_PYTHON := .glance/clients/bin/python
.PHONY: test-glance
test-glance: $(VENV_DEV)  ## the tests in a real Glance with a real Keystone: installs them, PostgreSQL, MariaDB, Apache and Go
	@scripts/glance-env.sh postgresql mariadb golang mod-wsgi keystone clients tempest 33 31 29
	@$(COMPILE)
	$(GLANCE_PYTHON) -m pytest -n $(WORKERS) --dist loadfile -m glance tests/glance $(ARGS)

.PHONY: test-libraries
test-libraries: $(VENV_DEV)  ## plugins with the libraries that operators use, the catalog in PostgreSQL and MariaDB, and the inspectors on a real Debian: installs all, 750 MB
	@scripts/glance-env.sh postgresql mariadb pgbouncer
	@scripts/libraries-env.sh
	@scripts/trees-env.sh
	@$(COMPILE)
	$(PYTEST) $(PARALLEL) -m libraries tests/libraries tests/unit/catalog $(ARGS)

.PHONY: test-galera
test-galera: $(VENV_DEV)  ## the tests of the catalog in a cluster of two MariaDB servers, both written at once: installs Galera
	@scripts/glance-env.sh mariadb galera
	@$(COMPILE)
	$(PYTEST) -m galera tests/unit/catalog $(ARGS)

.PHONY: test-tempest
test-tempest: $(VENV_DEV)  ## OpenStack's own tests of the image service, with Douane in it and without: the same results
	@scripts/glance-env.sh postgresql keystone clients tempest 33
	@$(COMPILE)
	$(GLANCE_PYTHON) -m pytest -m tempest tests/glance $(ARGS)

.PHONY: test-browser
test-browser: $(VENV_DEV)  ## the page for people in a real Chromium: installs it, 300 MB
	@scripts/glance-env.sh chromium
	@$(COMPILE)
	$(PYTEST) -m browser tests/serve $(ARGS)

.PHONY: test-stores
test-stores: $(VENV_DEV)  ## the stores in a real Ceph of one machine and in moto's server: installs them, 200 MB
	@scripts/glance-env.sh ceph clients
	@$(COMPILE)
	$(PYTEST) -n $(WORKERS) --dist loadfile -m stores tests/stores $(ARGS)

.PHONY: test-machines
test-machines: $(VENV_DEV)  ## a site of several hosts that faults strike, failovers and cut lines: installs PostgreSQL, and needs root
	@scripts/glance-env.sh postgresql clients network
	@$(COMPILE)
	$(PYTEST) -m machines tests/machines $(ARGS)

.PHONY: test-deploy
test-deploy: $(VENV_DEV)  ## units of systemd in a real systemd, the Helm chart, proxies, alerts, backups: gets the tools, 250 MB, and needs root
	@scripts/glance-env.sh postgresql mariadb
	@scripts/deploy-env.sh
	@$(COMPILE)
	$(PYTEST) -n $(WORKERS) --dist loadfile -m deploy tests/deploy $(ARGS)

.PHONY: sdk-test
sdk-test: $(VENV_DEV)  ## the plugin contract's tests, on every Python from 3.9 on that is found here
	@scripts/sdk-test.sh $(ARGS)

.PHONY: lint
lint: $(VENV_DEV)  ## style, types, names, and which part may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy examples/plugins
	$(BIN)/lint-imports
	$(BIN)/python scripts/names_check.py

.PHONY: format
format: $(VENV_DEV)  ## bring the source into the one style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: docs-check
docs-check: $(VENV_DEV)  ## links, headings and examples in README.md and docs/
	$(BIN)/python scripts/docs_check.py

.PHONY: docs
docs:  ## build the documentation site in build/site (`scripts/docs-site.sh serve` shows it)
	@scripts/docs-site.sh build --strict

.PHONY: release-check
release-check: $(VENV_DEV)  ## the dry run of a release: build, check, install and use all three distributions
	@scripts/release-check.sh

.PHONY: bench
bench: $(VENV_DEV)  ## measure, and print the table of ratios
	@$(COMPILE)
	$(BIN)/python -m bench $(ARGS)

.PHONY: formats
formats: $(VENV_DEV)  ## Douane, oslo.utils and qemu-img on labelled images, side by side
	@$(BIN)/python -m bench.formats $(ARGS)

.PHONY: guest-matrix
guest-matrix: $(VENV_DEV)  ## what douane-guest reads of images that the real tools make, cell by cell: up to an hour; ARGS=--fixed
	@$(COMPILE)
	@scripts/guest-matrix-env.sh
	@$(BIN)/python -m bench.guest_matrix $(ARGS)

.PHONY: fuzz
fuzz: $(VENV_DEV)  ## 200,000 mutants of images through the examination of formats: ARGS="--seed 7"
	@$(BIN)/python tests/fuzz $(ARGS)

.PHONY: fuzz-guest
fuzz-guest: $(VENV_DEV)  ## 1,000,000 mutants of disks through the guest view, in 2 hours: ARGS="--count 5000 --first 100000"
	@$(BIN)/python guest/tests/fuzz $(ARGS)

.PHONY: fuzz-corpus
fuzz-corpus: $(VENV_DEV)  ## make the seeds of fuzzing anew (needs qemu-img, zstd, lz4)
	@$(BIN)/python tests/fuzz/make_corpus.py

.PHONY: lock
lock:  ## write requirements/ anew from pyproject.toml (UPGRADE=1: the newest versions)
	@scripts/lock.sh

.PHONY: clean
clean:  ## remove caches and what was built
	rm -rf build dist sdk/dist guest/dist kit/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src sdk guest kit tests bench examples scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

.PHONY: distclean
distclean: clean  ## the same, and .venv, .glance, .libraries, .openstack and .deploy
	rm -rf .venv .glance .libraries .openstack .deploy

$(VENV_RUNTIME): requirements/runtime.txt requirements/build.txt pyproject.toml sdk/pyproject.toml guest/pyproject.toml scripts/setup.sh
	@scripts/setup.sh runtime
	@touch $@

$(VENV_DEV): requirements/dev.txt pyproject.toml sdk/pyproject.toml guest/pyproject.toml kit/pyproject.toml scripts/setup.sh
	@scripts/setup.sh dev
	@touch $(VENV_RUNTIME) $@
