# make demo   runs the whole job on a sample volume
# make test   runs every gate: ruff, mypy, the import contract, the tests
# make bench  runs scans beside other programs: a table of ratios; make bench-large: many files
# make cases  runs the reproducers of faults in CASES=DIR; make mutants: finds code that no test guards
# make soak   runs the daemon for an hour; make bench-daemon takes its figures
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Tests run side by side. Many wait most of their time, for a daemon's clock or a lease, so there
# are more of them than cores.
JOBS   ?= $(shell echo $$(( $$(nproc) + 4 )))
# A thousand processes of hashscan would each compile all of it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo test lint types imports tests format clean
help:
	@sed -n '/^\.DELETE/q; s/^# //p' $(firstword $(MAKEFILE_LIST))

# The pip of Python 3.11 takes a minute of processor time: it compares each file of each release with
# each of 900 tags, and compiles thousands of modules of which few are used. A newer pip comes first,
# and then hashscan and what it imports are compiled.
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

# As root on Debian, make installs the system packages that it needs: python3-venv, and for the tests
# SYSTEM_TOOLS. SYSTEM=no installs none of them; tests that need them are skipped, with the reason.
SYSTEM ?= yes
SYSTEM_TOOLS := strace btrfs-progs systemd procps nginx-light apache2-bin prometheus
APT := [ "$(SYSTEM)" = yes ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null

# Debian splits venv off.
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

# While it is there, no package starts its service: the tests start their own web servers.
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

# Compiled once, before each of the processes that run tests would do it, and beside the checks.
.PHONY: compiled
compiled: install
	@$(BIN)/python -m compileall -q hashscan
	@$(BIN)/pytest --collect-only -qq >/dev/null || true  # the tests themselves will tell

test: install
	@$(MAKE) --no-print-directory -j3 system-tools types compiled lint imports
	@$(MAKE) --no-print-directory tests

# Small scripts outside of the checkout; each tries one fault (tests/support/cases.py).
CASES ?= ../shared/cases
.PHONY: cases
cases:
	@[ -d "$(CASES)" ] || { echo "$(CASES) is no directory: name the directory of the scripts, make cases CASES=DIR" >&2; exit 2; }
	@$(MAKE) --no-print-directory install
	@$(BIN)/python tests/support/cases.py $(CASES) --command $(BIN)/hashscan

# Random changes of the program, one at a time: does a test fail? (tests/support/mutants.py)
COUNT ?= 200
SEED  ?= 1
.PHONY: mutants
mutants: install
	$(BIN)/python tests/support/mutants.py --count $(COUNT) --seed $(SEED) $(ONLY:%=--only %) $(if $(NEAR),--near)

# The long form of tests that the gate runs in part: a hundred random lives of a repository and an agent.
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

# Whichever of openssl, hashdeep, clamscan, hashlookup-analyser.py and rclone are installed. On a file system in memory, so
# that the page cache is warm for all of them; --where says where else.
.PHONY: bench
bench: install
	$(BIN)/python benchmarks/side_by_side.py --where /dev/shm

# A million files: memory of all processes, the catalog's size, nothing changed beside find; a new
# filter over a catalog of ten million digests; and things of which an adversary makes many.
.PHONY: bench-large
bench-large: install
	$(BIN)/python benchmarks/million.py --where /dev/shm
	$(BIN)/python benchmarks/new_filter.py --digests 10000000
	$(BIN)/python benchmarks/linear.py

.PHONY: soak bench-daemon
# An hour of files that come, change and go: is memory flat, is anything missed?
soak: install
	$(BIN)/python benchmarks/soak.py --minutes 60 --files 40000

# The daemon's figures; as root, for fanotify and for the limit of watches. About half an hour.
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
