# The verbs of Perennial. CI, the hooks and the README call these and nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
STATE ?= $(CURDIR)/.perennial
CLASSIFIER ?= news
DATA ?=
TARGET ?= ec2
SAMPLE_SIZE ?= 4000
EPOCHS ?= 1
MAX_LENGTH ?= 64
LEARNING_RATE ?= 1e-4
TEXT ?= Stocks rallied after the central bank kept interest rates unchanged
NAME ?= train
STACK_ENV := set -a; [ ! -f "$(STATE)/stack.env" ] || . "$(STATE)/stack.env"; set +a
export PATH := $(BIN):$(PATH)
export PYTHONPATH := $(CURDIR)
export STATE CLASSIFIER DATA TARGET TEXT SAMPLE_SIZE EPOCHS MAX_LENGTH LEARNING_RATE

.PHONY: help demo gameday up down status deploy rollback monitor monitoring predict bootstrap test check lock bench install

help:  ## show the verbs
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

install: $(VENV)/.installed  ## make the virtual environment from the lock file

$(VENV)/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Perennial needs Python 3.11 or newer: install it (Debian, Ubuntu: apt-get install python3 python3-venv) or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@command -v curl >/dev/null || { echo "curl is missing: apt-get install curl"; exit 1; }
	@command -v git >/dev/null || { echo "git is missing: apt-get install git"; exit 1; }
	@echo "installing what requirements.lock pins into $(VENV) ..."
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	# uv does not read pip's own find-links, where a CPU build of torch may lie.
	links="$${PIP_FIND_LINKS:-$$($(PYTHON) -m pip config get global.find-links 2>/dev/null || true)}"
	# Compiled once here: without bytecode every process of the stack starts 10 to 20 s later.
	VIRTUAL_ENV=$(VENV) $(VENV)/bin/uv pip install --quiet --compile-bytecode $${links:+--find-links "$$links"} -r requirements.lock
	touch $@

demo: install  ## the whole loop on this machine, from text to an answering endpoint
	@trap 'echo; echo "stopping ..."; python -m infra.sandbox.stack --state "$(STATE)" down; exit 130' INT TERM
	$(MAKE) --no-print-directory up STATE="$(STATE)"
	$(STACK_ENV)
	python -m deployments.demo

up: install  ## start the local stack: AWS sandbox, Prefect, MLflow, a worker
	@python -m infra.sandbox.stack --state "$(STATE)" up
	$(STACK_ENV)
	python -m deployments.bootstrap

down: install  ## stop the local stack; what it stored stays in .perennial
	@python -m infra.sandbox.stack --state "$(STATE)" down

status: install  ## what of the local stack runs, and where
	@python -m infra.sandbox.stack --state "$(STATE)" status

bootstrap: install  ## create or update the account's buckets, roles, repositories and topic
	@$(STACK_ENV)
	python -m deployments.bootstrap

deploy: install  ## put every deployment of prefect.yaml on the Prefect server (starts the local stack unless PREFECT_API_URL is set)
	@[ -n "$${PREFECT_API_URL:-}" ] || $(MAKE) --no-print-directory up STATE="$(STATE)"
	[ -n "$${PREFECT_API_URL:-}" ] || { $(STACK_ENV); }
	python -m deployments.apply

rollback: install  ## put the last good version of CLASSIFIER back, even while Prefect and MLflow are down
	@$(STACK_ENV)
	eval "$$(python -m deployments.account)"
	python -m flows.rollback "$$CLASSIFIER"

gameday: install  ## a rehearsal of releases on the local stack: good, bad, killed, rolled back, again (some 10 minutes)
	@[ -n "$${PREFECT_API_URL:-}" ] || $(MAKE) --no-print-directory deploy STATE="$(STATE)"
	$(STACK_ENV)
	python -m deployments.gameday

monitor: install  ## ask everything that serves how it is; fails when something is not well
	@$(STACK_ENV)
	eval "$$(python -m deployments.account)"
	python -m flows.health

monitoring: install  ## write what Prometheus, Alertmanager and Grafana read for CLASSIFIER (docs/monitoring.md)
	@$(STACK_ENV)
	MONITORING_FOLDER="$(STATE)/monitoring" python -m infra.monitoring.prepare

predict: install  ## ask the endpoint: make predict TEXT="..." CLASSIFIER=news
	@$(STACK_ENV)
	python -m deployments.predict

test: install  ## every test, the end-to-end ones included
	@python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder

check: install  ## lint, types, imports, security, templates, images, workflows, lock
	@ruff check .
	ruff format --check --quiet .
	mypy
	lint-imports
	bandit --quiet --severity-level medium --recursive flows tasks training serving deployments infra bench
	cfn-lint infra/cloudformation/*.yaml
	checkov --quiet --compact --skip-download --framework cloudformation --directory infra/cloudformation
	hadolint infra/docker/*.Dockerfile
	zizmor --offline --quiet .github/workflows
	$(MAKE) --no-print-directory lock LOCK="$$(mktemp)"

LOCK := requirements.lock
lock: install  ## pin everything in requirements.lock again; with LOCK=FILE only compare
	@links="$${PIP_FIND_LINKS:-$$($(PYTHON) -m pip config get global.find-links 2>/dev/null || true)}"
	[ "$(LOCK)" = requirements.lock ] || cp requirements.lock "$(LOCK)"
	sed -i '/^torch==/d' "$(LOCK)"
	UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --annotation-style line \
		--python-version 3.11 $${links:+--find-links "$$links"} $(addprefix --group ,flows training serving sandbox offline dev) pyproject.toml --output-file "$(LOCK)"
	# Whether a machine offers torch's CPU build or the registry's, the lock is the same: torch pins its CUDA parts itself.
	sed -i -E 's/^(torch==[0-9.]+)\+cpu/\1/; /^(nvidia-|cuda-|triton==)/d' "$(LOCK)"
	[ "$(LOCK)" = requirements.lock ] || diff -u requirements.lock "$(LOCK)" >&2 \
		|| { echo "requirements.lock is not what pyproject.toml asks for: run make lock"; exit 1; }

bench: install  ## one performance script: make bench NAME=train
	@python -m bench.$(NAME)
