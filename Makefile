# Everything a person needs, from nothing: `make demo`, `make test`, `make ui`.
# A machine with Python 3.11 or later and make is enough; the locked packages go into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export DAGSTER_HOME ?= $(CURDIR)/.dagster
# The packages are installed uncompiled: where this is set, each process would compile dbt and Dagster again, for seconds.
unexport PYTHONDONTWRITEBYTECODE
PORT ?= 3000

.PHONY: help setup manifest demo test bench lint format ui verify schemas lock browser kill-campaign kill-points fuzz worlds bombs pricing-campaign mutants verify-mutants clean

help:
	@echo "make demo    a month of example traffic, from logs to issued invoices, in data/"
	@echo "make test    the whole test suite"
	@echo "make bench   speed and memory beside the bare engine (half an hour, 15 GB of disk for a while)"
	@echo "make ui      Dagster on http://127.0.0.1:$(PORT), on the same instance"
	@echo "make verify  recompute every issued invoice from the raw files"
	@echo "make lint    ruff, mypy, import rules, sqlfluff"
	@echo "make clean   remove what was installed or derived; raw files, ledger and catalog stay"

setup: $(INSTALLED)

$(INSTALLED): requirements.lock.txt requirements.uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; name it with PYTHON=..."; exit 2; }
	@echo "== installing the locked packages into $(VENV) (about 1 GB; a minute or less)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .
	@touch $@

demo: $(INSTALLED)
	@$(BIN)/tallystick demo

test: $(INSTALLED) manifest browser
	@echo "== running the test suite"
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder --durations 25

# The figures of docs/performance.md. Times mean nothing while the machine does something else.
bench: $(INSTALLED)
	@$(BIN)/python -m tests.bench.ingest
	@$(BIN)/python -m tests.bench.history
	@$(BIN)/python -m tests.bench.memory
	@$(BIN)/python -m tests.bench.metering
	@$(BIN)/python -m tests.bench.rating
	@$(BIN)/python -m tests.bench.monitoring
	@$(BIN)/python -m tests.bench.incidents
	@$(BIN)/python -m tests.bench.five_minutes
	@$(BIN)/python -m tests.bench.explain

lint: $(INSTALLED) manifest
	@$(BIN)/python -m pytest tests/unit/test_house.py

format: $(INSTALLED)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

verify: $(INSTALLED)
	@$(BIN)/tallystick verify

ui: $(INSTALLED) manifest
	@mkdir -p $(DAGSTER_HOME) && cp orchestration/automation/dagster.yaml $(DAGSTER_HOME)/dagster.yaml
	@echo "== Dagster on http://127.0.0.1:$(PORT) (it has no login: keep it on this machine)"
	@$(BIN)/dagster dev --host 127.0.0.1 --port $(PORT) --workspace workspace.yaml

# Dagster reads the dbt manifest when it loads the assets; a prepared one keeps dbt out of that.
manifest: $(INSTALLED)
	@$(BIN)/python -m orchestration.automation.manifest

# The browser test drives Debian's Chromium; where it can't be installed, the test says so and is skipped.
browser:
	@command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 \
		&& echo "== installing chromium for the browser test" \
		&& apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium >/dev/null; } || true

# A life of an instance for each durable step, killed before it, and one killed after it (a quarter of an hour).
kill-points: $(INSTALLED)
	@$(BIN)/python -m tests.faults.campaign --points

# Kills a run at 500 moments and prints the step of each; checks that nothing was lost or doubled (hours).
kill-campaign: $(INSTALLED)
	@$(BIN)/python -m tests.faults.campaign --kills 500

# 100,000 damaged lines of each format, and a hundred ways to deliver the same events (an hour or more).
fuzz: $(INSTALLED)
	@CAMPAIGN_FUZZ=100000 $(BIN)/python -m pytest --verbose tests/fuzz tests/property/test_deliveries.py

# Random worlds and lives of instances beside an oracle in plain Python (an hour).
worlds: $(INSTALLED)
	@CAMPAIGN_WORLDS=30 CAMPAIGN_STEPS=60 CAMPAIGN_LIVES=100 $(BIN)/python -m pytest --verbose \
		tests/property/test_metering_worlds.py tests/property/test_metering_machine.py \
		tests/property/test_incremental_rating.py

# 100,000 random cases of prices beside a second computation, unit by unit (20 minutes).
pricing-campaign: $(INSTALLED)
	@CAMPAIGN_PRICES=$${CAMPAIGN_PRICES:-100000} $(BIN)/python -m pytest --verbose tests/property/test_pricing_campaign.py

# Small changes of the pricing code, each of which the tests must notice (hours; MODULES="seats taxes" for some of it).
mutants: $(INSTALLED)
	@$(BIN)/python -m tests.mutation $(MODULES)

# Small changes of the pricing code that change an invoice, each of which `verify` must find (an hour; MODULES as above).
verify-mutants: $(INSTALLED)
	@$(BIN)/python -m tests.mutation.verified $(MODULES)

# Files that are made to exhaust memory, of 2 GB each (a few minutes, 5 GB of disk).
bombs: $(INSTALLED)
	@CAMPAIGN_BOMBS=1 $(BIN)/python -m pytest --verbose tests/faults/test_bombs.py

schemas: $(INSTALLED)
	@$(BIN)/tallystick schema docs/schema
	@$(BIN)/python -m orchestration.ingest.formats.page docs/formats.md

lock: $(INSTALLED)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes --no-header \
		--no-emit-index-url --no-annotate pyproject.toml --output-file requirements.lock.txt

clean:
	@rm -rf $(VENV) .dagster dbt_project/target dbt_project/logs .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@rm -rf data/lake data/warehouse data/exports data/dbt data/scratch
