# Freeport's verbs. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python -m

.DEFAULT_GOAL := help
.PHONY: help setup up down status urls logs reset demo chaos oversell test unit integration e2e check contracts format stats lock audit

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The environment is made anew when the lock changes. The stamp comes last, so an interrupted install is repeated.
.venv/installed: requirements.lock scripts/setup
	@scripts/setup "$(PYTHON)"

setup: .venv/installed ## make .venv with what requirements.lock names (uv when present, else pip)

up: .venv/installed ## start the whole platform here, without Docker; Ctrl-C stops it
	@$(RUN) freeport up

down: .venv/installed ## stop the platform
	@$(RUN) freeport down

status: .venv/installed ## what runs, how long, how often restarted
	@$(RUN) freeport status

urls: .venv/installed ## print every address and the test key again
	@$(RUN) freeport urls

logs: .venv/installed ## the last lines of every log
	@$(RUN) freeport logs

reset: .venv/installed ## delete all data of the embedded platform (asks first)
	@$(RUN) freeport reset

demo: .venv/installed ## start everything, play the scenes of an order's life, print the verdict
	@$(RUN) freeport demo

audit: .venv/installed ## check the invariants over all databases of the running platform
	@$(RUN) freeport audit

SEED ?= 1
MINUTES ?= 6
chaos: .venv/installed ## let faults strike under load, heal, judge (SEED=1 MINUTES=6; ONLY=kafka BROKERS=3 DISK=kafka)
	@$(RUN) tests.chaos --seed $(SEED) --minutes $(MINUTES) $(if $(ONLY),--only $(ONLY)) $(if $(BROKERS),--brokers $(BROKERS)) $(if $(DISK),--disk $(DISK))

ROUNDS ?= 100
oversell: .venv/installed ## one unit and 500 buyers at two replicas, ROUNDS=100 times; crossed baskets; inventory killed in mid-batch
	@FREEPORT_OVERSELL_ROUNDS=$(ROUNDS) $(RUN) pytest -q -s tests/oversell

test: .venv/installed ## everything that must pass (chaos has a verb of its own)
	@$(RUN) pytest -m "not chaos"

unit: .venv/installed ## the fast tests: no database, no broker
	@$(RUN) pytest -m "not integration and not e2e"

integration: .venv/installed ## the tests against a real PostgreSQL and a real Kafka
	@$(RUN) pytest -m "integration and not e2e"

e2e: .venv/installed ## the tests that drive the whole platform
	@$(RUN) pytest -m "e2e and not chaos"

check: .venv/installed ## format, lint, types, imports, architecture
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports --no-logo
	@if [ -d tests/architecture ]; then $(RUN) pytest -q tests/architecture; fi

contracts: .venv/installed ## write the JSON Schema of every event; refuses what would break somebody
	@$(RUN) scripts.contracts

format: .venv/installed ## put the code in order
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --exit-zero --quiet .

stats: .venv/installed ## sizes of files and functions, for review (never a gate)
	@$(BIN)/python scripts/stats.py

lock: ## make requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --group dev pyproject.toml -o requirements.lock
