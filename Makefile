# `make help` lists what there is. Everything needed is installed: Python packages into .venv,
# the cluster's parts into the user's cache folder.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# The system's own where there is one: Debian's is built with profile guided optimization, and is
# faster than an interpreter that was built plainly.
PYTHON ?= $(or $(wildcard /usr/bin/python3),python3)
VENV := .venv
BIN := $(VENV)/bin
CLUSTER_TOOL := $(PYTHON) -m tools.localcluster
CRDS := $(BIN)/python -m rampway.api.crds crds --docs docs/reference/api.md

.PHONY: help demo test check unit simulation simulate simulate-all breaks test-faults test-clients cluster-test bench-rollback bench-scale bench-evidence bench-server bench-server-soak cluster-up cluster-down images images-full stores crds lock venv clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: venv cluster-up images ## Roll out a good model and roll back two bad ones, on a real cluster (4 min once it is up)
	@$(BIN)/python -m demo.run

test: check unit simulation simulate cluster-test ## Everything: gates, unit, contract, simulation and cluster tests, 10 000 simulated rollouts

check: venv ## The fast gates: ruff, mypy, import-linter, CRDs as generated and compatible
	@$(call step,ruff,$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet . ,see the lines above; '$(BIN)/ruff check --fix . && $(BIN)/ruff format .' mends most)
	@$(call step,mypy,$(BIN)/mypy -p rampway -p rampway_server -p tools -p demo && $(BIN)/mypy tests,see the lines above)
	@$(call step,import-linter,$(BIN)/lint-imports > build/imports.log || { cat build/imports.log; false; },imports go down only: docs/architecture.md)
	@$(call step,generated files,$(CRDS) --check && $(BIN)/python -m tools.behaviour --check && $(BIN)/python -m tools.transitions --check,run 'make crds' and commit what it writes)
	@$(call step,CRDs take what the last release took,$(BIN)/python -m tools.compatibility,see the lines above)

unit: venv cluster-up stores ## Unit and contract tests with branch coverage (contract: real API server, Prometheus and object stores)
	@$(call step,unit and contract tests,eval "$$($(CLUSTER_TOOL) env)" && $(BIN)/pytest -q -n 2 --cov --cov-fail-under=90 --cov-report=,see the failures above; run one by '$(BIN)/pytest PATH::NAME'; '$(BIN)/coverage report' lists the lines that no test runs)

simulation: venv ## Whole rollouts of the real operator in a simulated cluster
	@$(call step,simulation,$(BIN)/pytest -q -n 2 tests/simulation,see the failures above; run one by '$(BIN)/pytest PATH::NAME')

simulate: venv ## Simulate 10 000 whole rollouts under every fault; count how they end
	@$(call step,simulated rollouts,PYTHONPATH=tests $(BIN)/python -m simulation.systematic,replay one: PYTHONPATH=tests $(BIN)/python -m simulation.systematic --replay good api-409@write:3)

simulate-all: venv ## The same with every pair of events: some 600 000 rollouts, hours
	@$(call step,all simulated rollouts,PYTHONPATH=tests $(BIN)/python -m simulation.systematic --all,replay one as make simulate says)

test-faults: venv cluster-up images ## All faults on the real cluster, with requests running (about an hour); log in build/test-faults.log
	@$(call step,faults on the cluster,eval "$$($(CLUSTER_TOOL) env)" && set -o pipefail && PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -v -rA --durations=0 -m faults tests/cluster 2>&1 | tee build/test-faults.log,see build/test-faults.log)

test-clients: venv ## KServe's own client against the model server (installs it first: 650 MB in the cache, some minutes)
	@$(call step,KServe's client,PYTHONPATH=tests:. $(BIN)/python -m clients,see the lines above; to install anew: rm -r ~/.cache/rampway/bench-server/kserve)

breaks: venv ## Break the source on purpose, each time in a copy: every break must be noticed (some 400 runs of tests)
	@$(call step,deliberate breaks,$(BIN)/python -m tools.breaks --jobs 2,see the lines above; one alone: '$(BIN)/python -m tools.breaks --only B20')

cluster-test: venv cluster-up images stores ## The tests on the real cluster
	@$(call step,tests on the cluster,eval "$$($(CLUSTER_TOOL) env)" && PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m "not faults and not alone" tests/cluster && PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -q -m "alone and not faults" tests/cluster,see the failures above; the cluster is still up: $(CLUSTER_TOOL) status)

bench-rollback: venv cluster-up images ## How fast a bad candidate is off, 110 runs (about 2 h; goes on where it was interrupted)
	@eval "$$($(CLUSTER_TOOL) env)" && PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH=tests:. $(BIN)/python -m bench.rollback $(BENCH)

bench-scale: venv cluster-up images ## The control plane with up to 1 000 rollouts, and 5 000 models (hours; goes on where it was interrupted)
	@$(CLUSTER_TOOL) build kwok && eval "$$($(CLUSTER_TOOL) env)" && $(CLUSTER_TOOL) enter env PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH=tests:. $(BIN)/python -m bench.scale $(BENCH)

bench-evidence: venv ## How soon harm is called and how rarely wrongly, by simulation (3 to 10 min, no cluster)
	@PYTHONPATH=tests $(BIN)/python -m bench.evidence $(BENCH)

bench-server: venv ## The model server beside MLServer, KServe and BentoML, one core each (20 min; goes on where it was interrupted)
	@command -v wrk > /dev/null || apt-get install -qy wrk
	@PYTHONPATH=tests:. $(BIN)/python -m bench.server $(BENCH)

bench-server-soak: venv ## The model server for 10 minutes at 80 % of its load, its model loaded anew meanwhile
	@command -v wrk > /dev/null || apt-get install -qy wrk
	@PYTHONPATH=tests:. $(BIN)/python -m bench.server.soak $(BENCH)

cluster-up: ## Bring the local cluster up (first time: a quarter of an hour and more of building)
	@$(CLUSTER_TOOL) up

cluster-down: ## Take the local cluster down and leave nothing behind
	@$(CLUSTER_TOOL) down

images: ## Build both images and load them into the cluster
	@$(CLUSTER_TOOL) images

images-full: ## Build the model server's image with ONNX, pandas and Parquet too, and load it into the cluster
	@$(CLUSTER_TOOL) images model-server-full

stores: ## Build the object stores that the tests read models from (5 min, once)
	@$(CLUSTER_TOOL) build versitygw fake-gcs-server azurite

crds: venv ## Write what is generated: crds/, docs/reference/api.md, behaviour.md, status.md
	@$(CRDS) && $(BIN)/python -m tools.behaviour && $(BIN)/python -m tools.transitions

lock: ## Write requirements/*.txt anew (needs uv)
	@$(PYTHON) tools/lock.py

venv: $(VENV)/.done ## Make .venv with the locked packages

# pip compiles on one processor only; what does not compile (tests of other Pythons) is no failure.
$(VENV)/.done: requirements/dev.txt pyproject.toml
	@mkdir -p build
	@$(call step,Python packages,{ test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { apt-get update -q && apt-get install -qy python3-venv && $(PYTHON) -m venv $(VENV); }; } && $(BIN)/pip install -q --no-compile --require-hashes -r requirements/dev.txt && { $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true; } && $(BIN)/pip install -q --no-deps --no-build-isolation -e .,see that the Python package index can be reached (PIP_INDEX_URL or HTTPS_PROXY))
	@touch $@

clean: ## Delete what was made in this folder (not the cache, not the cluster)
	rm -rf $(VENV) build dist .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# step(name, command, what to do next): says what runs, how long it took, and what to do on failure.
define step
mkdir -p build; echo "== $(1)"; begun=$$SECONDS; if { $(2); }; then echo "== $(1): done in $$((SECONDS - begun)) s"; \
else echo "== $(1): FAILED. What to do next: $(3)" >&2; exit 1; fi
endef
