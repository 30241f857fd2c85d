# The one front door. `make` alone prints what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
LIBS := .hub/kafka/libs/.checked
ONCE ?=
FAMILIES ?= 200
INPUTS ?= 1000000
BENCH = .hub/bench/bin/python
CERTIFICATE = env PYTHONPATH=tests $(BIN)/python -m certificate
SEED ?=
# Where it is set, as in many containers, each worker of each run would compile every test anew.
unexport PYTHONDONTWRITEBYTECODE
# Linux: what a recipe starts ends with make, even when make is killed. Elsewhere: nothing.
SETPRIV := $(shell setpriv --version > /dev/null 2>&1 && echo "setpriv --pdeathsig")
WITH_MAKE := $(if $(SETPRIV),$(SETPRIV) KILL)
DRAIN_WITH_MAKE := $(if $(SETPRIV),$(SETPRIV) TERM)

.PHONY: help venv kafka demo test fast fuzz certify certify-zombie certify-sink bench floor lint fix docs pictures lock clean tools

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## Make .venv from the lock

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.13 is needed; this is %d.%d" % sys.version_info[:2] if not (3, 11) <= sys.version_info[:2] < (3, 14) else 0)'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	@echo "Installing the locked dependencies into .venv ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(WITH_MAKE) $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r requirements/dev.txt
	@$(WITH_MAKE) $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

kafka: $(LIBS) ## Fetch Apache Kafka by Maven and check its jars

$(LIBS): deploy/local/pom.xml deploy/local/kafka-jars.sha256
	@exec $(WITH_MAKE) bash deploy/local/kafka.sh

demo: venv kafka ## Play a school day in Grenoble; ONCE=1 ends after it, FAMILIES=n sets the town's size
	@exec $(DRAIN_WITH_MAKE) $(BIN)/hub demo --families $(FAMILIES) $(if $(ONCE),--once)

test: venv kafka ## Run every test, on real Kafka too; the pure packages' coverage must not fall
	@mkdir -p .hub; $(WITH_MAKE) $(BIN)/python -m pytest -n 2 --dist loadgroup --cov --cov-report=; code=$$?; \
	  [ $$code -eq 0 ] || exit $$code; \
	  $(BIN)/coverage report > .hub/covered.txt 2>&1 || { cat .hub/covered.txt; exit 1; }

fast: venv ## Ruff and the quick tests: without Kafka, with fewer examples, and without those marked slow
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@exec $(WITH_MAKE) $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not postgres and not browser and not slow" --hypothesis-profile fast \
	  tests/unit tests/conformance tests/laws tests/architecture

fuzz: venv ## Try garbled input on every connector; INPUTS=n and SEED=n say how much and which
	@exec $(WITH_MAKE) $(BIN)/python -m hub.testing.fuzz --inputs $(INPUTS) $(if $(SEED),--seed $(SEED))

certify: venv kafka ## Break the whole hub under load, and judge it: SEED=n; writes docs/guarantees.md
	@exec $(DRAIN_WITH_MAKE) $(CERTIFICATE) full --seed $(or $(SEED),1)

certify-zombie: venv kafka ## The same, with workers that sleep for a minute and wake up
	@exec $(DRAIN_WITH_MAKE) $(CERTIFICATE) zombie

certify-sink: venv kafka ## Take the database away for ten minutes: nobody's memory may grow
	@exec $(DRAIN_WITH_MAKE) $(CERTIFICATE) sink

bench: venv kafka .hub/bench/.installed .hub/bench/java/lib ## Measure the hub beside the tools that a town could take instead; about 25 minutes
	@mkdir -p .hub/bench/results
	@$(DRAIN_WITH_MAKE) $(BENCH) bench/throughput.py --rounds $(or $(ROUNDS),3) --out .hub/bench/results/throughput.json
	@$(DRAIN_WITH_MAKE) $(BENCH) bench/floor.py --out .hub/bench/results/floor.json
	@$(DRAIN_WITH_MAKE) $(BENCH) bench/chain.py --out .hub/bench/results/chain.json
	@$(DRAIN_WITH_MAKE) $(BENCH) bench/chain.py --postgres --out .hub/bench/results/chain_postgres.json
	@$(DRAIN_WITH_MAKE) $(BENCH) bench/scale.py --out .hub/bench/results/scale.json
	@$(DRAIN_WITH_MAKE) $(BENCH) bench/flame.py docs/flame.svg
	@$(DRAIN_WITH_MAKE) $(BENCH) bench/release.py --out .hub/bench/results/release.json
	@$(DRAIN_WITH_MAKE) $(BENCH) bench/lanes.py --out .hub/bench/results/lanes.json
	@$(DRAIN_WITH_MAKE) $(BENCH) bench/open_data.py --out .hub/bench/results/open_data.json
	@$(BENCH) bench/page.py .hub/bench/results && echo "docs/performance.md was written"

floor: venv ## The cost of a record on the pure path must not rise by a fifth
	@$(BIN)/python bench/floor.py --check

.hub/bench/.installed: requirements/bench.txt
	@echo "Installing the tools that are measured into .hub/bench ..."
	@mkdir -p .hub; test -x .hub/bench/bin/python || $(PYTHON) -m venv .hub/bench
	@$(WITH_MAKE) .hub/bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r requirements/bench.txt
	@$(WITH_MAKE) .hub/bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.hub/bench/java/lib: bench/peers/java/pom.xml $(wildcard bench/peers/java/src/main/java/*.java)
	@echo "Building the Java peers ..."
	@$(WITH_MAKE) mvn --quiet --batch-mode -f bench/peers/java/pom.xml compile && touch $@

lint: venv ## Ruff, mypy, import contracts, schemas
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/hub schemas check

fix: venv ## Format, and mend what can be mended
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

docs: venv ## Write the generated pages anew
	@$(BIN)/hub schemas generate && $(BIN)/hub docs

pictures: venv ## Write docs/pictures anew, as a browser shows the pages
	@$(WITH_MAKE) env PYTHONPATH=tests:tests/town $(BIN)/python -m pictures docs/pictures

lock: venv ## Resolve requirements/*.in anew
	@$(BIN)/python -m pip install --quiet uv
	@for name in run dev bench; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate \
	  requirements/$$name.in -o requirements/$$name.txt; done

clean: ## Forget everything that was made, .venv apart
	@rm -rf .hub && echo "Forgotten."
