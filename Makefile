# make demo   runs the whole job on a sample volume
# make test   runs every check: ruff, mypy, the import contract, the tests
# make bench  compares scans with other programs; make bench-large measures scans of many files
# make cases  runs the scripts that reproduce faults in CASES=DIR; make mutants finds code without a test
# make soak   runs the daemon for an hour; make bench-daemon measures the daemon
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Number of tests that run at the same time. Many tests mostly wait, for a daemon's clock or a lease,
# so there are more tests than cores.
JOBS   ?= $(shell echo $$(( $$(nproc) + 4 )))
# Without compiled modules, a thousand processes of hashscan would each compile the whole program.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo test lint types imports tests format clean
help:
	@sed -n '/^\.DELETE/q; s/^# //p' $(firstword $(MAKEFILE_LIST))

# The pip of Python 3.11 takes a minute of processor time: it compares each file of each release with
# each of 900 tags, and compiles thousands of modules, although hashscan uses few of them. Therefore
# make upgrades pip first, and then compiles only hashscan and the modules that hashscan imports.
PIP     := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile
COMPILE := import importlib, pkgutil, hashscan; \
  [importlib.import_module(one.name) for one in pkgutil.walk_packages(hashscan.__path__, "hashscan.") \
    if not one.name.endswith("__main__")]

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "hashscan needs Python 3.11 or later; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory system-venv
	$(PYTHON) -m venv $(VENV)
	-$(PIP) --upgrade pip
	PYTHONWARNINGS=ignore $(PIP) --editable '.[dev]'
	@$(BIN)/python -c '$(COMPILE)'
	@touch $@

# As root on Debian, make installs missing system packages: python3-venv, and SYSTEM_TOOLS for the
# tests. With SYSTEM=no, make installs no system package, and tests that need a missing package are
# skipped, with the reason.
SYSTEM ?= yes
SYSTEM_TOOLS := strace btrfs-progs systemd procps nginx-light apache2-bin prometheus
APT := [ "$(SYSTEM)" = yes ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null

# Debian has Python's venv in a separate package.
.PHONY: system-venv
system-venv:
	@if $(APT); then \
	  apt-get update -qq && apt-get install -y -qq python3-venv; \
	else echo "Python's venv is missing: install the package python3-venv and run make again" >&2; exit 2; fi

install: $(VENV)/.ready

demo: install
	$(BIN)/hashscan demo

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

# While this file exists, no new package starts its service; the tests start their own web servers.
POLICY := /usr/sbin/policy-rc.d

.PHONY: system-tools
system-tools:
	@if { command -v strace && command -v mkfs.btrfs && command -v systemd-analyze && command -v ps \
	  && command -v promtool \
	  && PATH="$$PATH:/usr/sbin" command -v nginx && PATH="$$PATH:/usr/sbin" command -v apache2; } \
	  >/dev/null; then :; \
	elif $(APT); then \
	  [ -e $(POLICY) ] || { printf '#!/bin/sh\nexit 101\n' >$(POLICY); chmod 755 $(POLICY); \
	    trap 'rm -f $(POLICY)' EXIT; }; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends $(SYSTEM_TOOLS) \
	    || echo "not installed: some of $(SYSTEM_TOOLS); tests that need them are skipped" >&2; \
	else echo "some of $(SYSTEM_TOOLS) are missing: tests that need them are skipped" >&2; fi

tests: install system-tools
	$(BIN)/pytest -n $(JOBS) --dist loadgroup

# Compiles hashscan once, at the same time as the checks, so that the processes of the tests need not.
.PHONY: compiled
compiled: install
	@$(BIN)/python -m compileall -q hashscan
	@$(BIN)/pytest --collect-only -qq >/dev/null || true  # a fault fails the tests themselves

test: install
	@$(MAKE) --no-print-directory -j3 system-tools types compiled lint imports
	@$(MAKE) --no-print-directory tests

# Runs small scripts outside of the checkout; each script reproduces one fault (tests/support/cases.py).
CASES ?= ../shared/cases
.PHONY: cases
cases:
	@[ -d "$(CASES)" ] || { echo "$(CASES) is no directory: name the directory of the scripts, make cases CASES=DIR" >&2; exit 2; }
	@$(MAKE) --no-print-directory install
	@$(BIN)/python tests/support/cases.py $(CASES) --command $(BIN)/hashscan

# Makes random changes of the program, one at a time, and lists changes with which no test fails
# (tests/support/mutants.py).
COUNT ?= 200
SEED  ?= 1
.PHONY: mutants
mutants: install
	$(BIN)/python tests/support/mutants.py --count $(COUNT) --seed $(SEED) $(ONLY:%=--only %) $(if $(NEAR),--near)

# Runs the long form of tests, e.g. a hundred random sequences of a repository and an agent; make test
# runs a short form of these tests.
.PHONY: test-long
test-long: install
	HASHSCAN_SEQUENCES=100 $(BIN)/pytest tests/known/sync/test_sync_stateful.py
	HASHSCAN_LONG=1 $(BIN)/pytest tests/jobs/notices/test_notice_faults.py \
	  tests/e2e/test_adversaries.py tests/e2e/test_agent_killed.py \
	  tests/e2e/test_daemon_dead_server.py tests/e2e/test_daemon_hostile.py \
	  tests/e2e/test_daemon_tiers.py tests/e2e/test_hidden.py tests/e2e/test_incident.py \
	  tests/e2e/test_incident_corrected.py \
	  tests/e2e/test_mails_killed.py \
	  tests/e2e/test_prometheus.py \
	  tests/e2e/test_real_volume.py tests/e2e/test_sixty_days.py tests/e2e/test_surroundings.py \
	  tests/config/test_config_fuzz.py tests/known/confirmers tests/known/filters tests/known/lists \
	  tests/publisher/test_publish_killed.py tests/known/sync/test_client.py \
	  tests/known/sync/test_synced_filters.py \
	  tests/notices/sites \
	  tests/notices/test_intake_fuzz.py tests/quarantine/test_kill.py tests/quarantine/test_brake_limits.py \
	  tests/quarantine/test_manage.py tests/report tests/scan/test_copies.py tests/scan/test_trees.py \
	  tests/service/intake/test_form_fuzz.py tests/service/test_app.py tests/demo/test_story.py

# Compares hashscan with each installed program of openssl, hashdeep, clamscan, hashlookup-analyser.py
# and rclone, on a file system in memory, so that the page cache is warm for every program; the option
# --where chooses another directory.
.PHONY: bench
bench: install
	$(BIN)/python benchmarks/side_by_side.py --where /dev/shm

# Measures a scan of a million files (memory of all processes, size of the catalog, a scan of unchanged
# files compared with find), a new filter for a catalog of ten million digests, and work that an
# adversary can multiply.
.PHONY: bench-large
bench-large: install
	$(BIN)/python benchmarks/million.py --where /dev/shm
	$(BIN)/python benchmarks/new_filter.py --digests 10000000
	$(BIN)/python benchmarks/linear.py

.PHONY: soak bench-daemon
# Makes, changes and removes files for an hour, and checks that the daemon's memory does not grow and
# that the daemon misses no known file.
soak: install
	$(BIN)/python benchmarks/soak.py --minutes 60 --files 40000

# Measures the daemon in about half an hour; fanotify and the limit of watches need root.
bench-daemon: install
	for watch in inotify fanotify; do \
	  for more in "" "--kill 2" "--service-down 60"; do \
	    $(BIN)/python benchmarks/watch_burst.py --watch $$watch $$more || exit 1; \
	  done; \
	  $(BIN)/python benchmarks/idle.py --watch $$watch || exit 1; \
	done
	$(BIN)/python benchmarks/watch_burst.py --watch inotify --limit 10000 --idle 0
	$(BIN)/python benchmarks/neighbour.py

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python tests/support/house_tree.py

clean:
	git clean -fdX
