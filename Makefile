# make quickstart     set up .venv, run the main job on the embedded space
# make docs           build the documentation into site/
# make reproduce      make every published leaderboard, page and picture anew from its records
# make test           set up .venv, check style, types and imports, run the tests
# make portable       run the tests that stand or fall with a CPU's arithmetic, under two other instruction sets
#
# PYTHON=... chooses the interpreter, VENV=... the environment's folder, WORKERS=... the number of test processes.

SHELL := /bin/bash
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INPUTS := pyproject.toml constraints.txt
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)

.DEFAULT_GOAL := help
.PHONY: help quickstart docs reproduce test portable lint clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

quickstart: $(VENV)/.installed
	$(BIN)/splitbench quickstart

# The variable silences a banner of the theme.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

reproduce: $(VENV)/.installed
	$(BIN)/python -m splitbench.results.publishing

# pytest comes last, so that its closing line is the last one. One thread a process: more are slower on tensors this
# small, and two processes of two threads would fight for two cores.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -rs

# What torch and oneDNN choose by the CPU they can also be told: plain SSE, as on a CPU without AVX, then AVX2.
portable: $(VENV)/.installed-dev
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m portable
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m portable

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A stamp is newer than its inputs: nothing is installed again while they stay as they are. Everything goes into one
# call of pip, so that the constraints hold for all of it.
$(VENV)/.installed: $(INPUTS) | $(VENV)/.created
	@echo "installing splitbench and what it needs into $(VENV); torch is large, so the first time takes minutes"
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@rm -rf splitbench.egg-info  # what the build leaves: from this folder it would hide what is installed
	@touch $@

$(VENV)/.installed-dev: $(INPUTS) | $(VENV)/.created
	@echo "installing splitbench, what it needs and the checkers into $(VENV); the first time takes minutes"
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@rm -rf splitbench.egg-info
	@touch $(VENV)/.installed $@

$(VENV)/.created:
	@for python in $(CANDIDATES); do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "splitbench needs Python 3.11 or newer, and there is none among: $(CANDIDATES); install one, or name it with PYTHON=/path/to/python3" >&2; \
	  exit 2; \
	fi; \
	if ! $$found -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	  echo "$$found cannot make virtual environments: install its venv module (Debian and Ubuntu: apt install python3-venv)" >&2; \
	  exit 2; \
	fi; \
	$$found -m venv $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist site .cache *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
