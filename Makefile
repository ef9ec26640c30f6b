# Everything a person types. Each target makes its own .venv from the pinned, hashed requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS := -n logical --maxprocesses 4 --dist loadfile
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: demo test test-servers servers collector grafana-client telemetrygen fuzz power-loss demo-check lint types contracts check bench peers lock clean help

demo: $(VENV)/.installed  ## see it: this machine and a traced demo shop with bands, a fault, a flagged anomaly
	$(BIN)/foreband demo

test: $(VENV)/.installed  ## all tests; those against server programs run where the programs are installed
	$(BIN)/python -m pytest $(WORKERS)

servers:
	sh tests/servers/install.sh
	sh tests/node/install.sh

collector:  ## build the OpenTelemetry Collector that tests run against (Go; once per manifest, 3 min)
	sh tests/servers/build_collector.sh

grafana-client:  ## build Grafana's own Prometheus data source that tests ask with (Go; once per version, 5 min)
	sh tests/servers/build_grafana_client.sh

telemetrygen:  ## build OpenTelemetry's generator of telemetry that tests send with (Go; once per version, 1 min)
	sh tests/servers/build_telemetrygen.sh

test-servers: $(VENV)/.installed servers collector grafana-client telemetrygen  ## install the server programs (Debian) and run the tests against them; a skip fails
	FOREBAND_SERVERS=required $(BIN)/python -m pytest $(WORKERS) -m server

fuzz: $(VENV)/.installed  ## throw at the API whatever its document allows, a hundred examples a route (the suite tries the edges)
	$(BIN)/python -m tests.grafana.fuzz 100

power-loss: $(VENV)/.installed  ## what a start finds after 500 power failures (Linux, C compiler; the suite does 100)
	$(BIN)/python -m tests.store.power_loss 500

demo-check: $(VENV)/.installed  ## the demo without a person: exits 0 when the injected fault was flagged
	$(BIN)/foreband demo --check

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

contracts: $(VENV)/.installed  ## who may import whom
	$(BIN)/lint-imports

check: lint types contracts

bench: $(VENV)/.installed peers  ## measured figures: a table, and one JSON row per figure in bench-results/; FOREBAND_DATA names recorded series
	$(BIN)/python -m benchmarks

peers: .venv-peers/.installed  ## an environment of their own for the forecasters that `bench` measures beside ours

.venv-peers/.installed: requirements/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/peers.txt
	@touch $@

lock:  ## renew the pinned versions from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --all-extras --group dev pyproject.toml requirements/build.in -o requirements/lock.txt

$(VENV)/.installed: pyproject.toml requirements/lock.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Foreband needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf $(VENV) .venv-peers bench-results .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'
