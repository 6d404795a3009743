# Everything that is needed is installed by the targets themselves; `make help` lists them.
# Asked for once, and only where it is needed.
ifndef PYTHON
PYTHON = $(eval PYTHON := $(shell sh tools/choose-python))$(PYTHON)
endif
BIN := .venv/bin
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=5 -o DPkg::Lock::Timeout=120
PIP := pip install -q --disable-pip-version-check --retries 10
NOTICE ?= 120
MINUTES ?= 10
# What the lab's hosts run: newest (the default), debian13, debian12 or machine.
ifdef ENGINE
export LAB_ENGINE := $(ENGINE)
endif

.DEFAULT_GOAL := help
.PHONY: help install system python demo test beside check static unit lock fuzz format e2e e2e-thorough bench-evacuate bench-storm bench-storm-virtual bench-plan bench-rebalance deploy clean

help: ## what there is to make
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

install: .venv/done .venv-ministack/done ## both virtual environments

system: ## the lab's programs, through apt where one is missing (root)
	@sh tests/lab/machines/packages.sh

# A bare Debian or Ubuntu keeps `venv` in a package of its own, named after the interpreter.
VENV = $(or $(notdir $(PYTHON)),python3)-venv
python:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && $(APT) update && \
	  $(APT) install -y --no-install-recommends $(VENV) >/dev/null; } || \
	  { echo "error: $(VENV) is missing; as root: apt-get install $(VENV)" >&2; exit 1; }

LOCKS = requirements.txt requirements-agent.txt requirements-dev.txt
.venv/done: $(LOCKS) | python
	@sh tools/choose-python $(PYTHON)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(sys.argv[1] + sys.version.split()[0])' \
	  "error: Python 3.11 or later is needed (make PYTHON=...); $(PYTHON) is "
	@$(call DROP_OTHER,.venv)
	$(PYTHON) -m venv .venv
	$(BIN)/$(PIP) --require-hashes $(addprefix -r ,$(LOCKS))
	touch $@

# What another version has left in an environment would stay there.
DROP_OTHER = [ "$$($(1)/bin/python -V 2>&1)" = "$$($(PYTHON) -V 2>&1)" ] || rm -rf $(1)

# On its own, because the handlers run by ministack see its packages: a fault in ours would be hidden.
.venv-ministack/done: requirements-ministack.txt | python
	@$(call DROP_OTHER,.venv-ministack)
	$(PYTHON) -m venv .venv-ministack
	.venv-ministack/bin/$(PIP) --require-hashes -r requirements-ministack.txt
	touch $@

LOCK = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
  --custom-compile-command "make lock"
lock: .venv/done ## write the lock files of the tools anew, from requirements-*.in
	$(BIN)/$(PIP) uv==0.13.9
	$(LOCK) -c requirements.txt -c requirements-agent.txt requirements-dev.in -o requirements-dev.txt
	$(LOCK) requirements-ministack.in -o requirements-ministack.txt

demo: system install ## a Spot interruption survived on a real swarm, on this machine; NOTICE=120 ENGINE=newest (root)
	$(BIN)/python -m tests.lab.demo --notice $(NOTICE)

# Tests on real hosts wait half of their time for a swarm: all else runs beside them, with what they leave.
test: system install ## everything: static checks, all unit tests and the tests on real hosts (root)
	$(MAKE) -j2 beside e2e

beside:
	@mkdir -p build; nice -n 19 $(MAKE) --no-print-directory static unit > build/checks.log 2>&1; status=$$?; \
	  cat build/checks.log; exit $$status

check: static ## static checks and unit tests, about a minute; `make test` searches longer
	$(UNIT) --hypothesis-profile quick -m "not exhaustive"

static: .venv/done ## ruff, mypy, the import contracts and cfn-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy app.py chalicelib tests bench
	$(BIN)/mypy --python-version 3.10 bootstrap chalicelib/protocol
	$(BIN)/lint-imports
	$(BIN)/cfn-lint .chalice/*.yaml

# File by file, as what a file makes ready for all of its tests is then made ready once.
UNIT = $(BIN)/python -m pytest tests/unit -n auto --dist loadfile --no-loadscope-reorder --timeout 300
unit: .venv/done ## all unit tests, with the long searches too
	$(UNIT)

# Round by round, each with other input, until the time is over.
fuzz: .venv/done ## all parsers of what comes from outside, with any input for MINUTES=10
	until=$$(($$(date +%s) + $(MINUTES) * 60)); while [ $$(date +%s) -lt $$until ]; do \
	  $(BIN)/python -m pytest tests/unit -n auto -m fuzz --hypothesis-profile long --timeout 900 || exit 1; done

E2E = $(BIN)/python -m pytest tests/e2e -n 4 --dist loadscope \
  --no-loadscope-reorder --durations=5 --timeout 600

# What failed beside others is run once more, alone: labs that start together take all of two cores for minutes. A fault
# of the product fails again, and what passes only alone stands in both summaries for people to look into.
ALONE = $(BIN)/python -m pytest tests/e2e --last-failed --last-failed-no-failures none --durations=5 --timeout 600

e2e: system install ## the tests on real hosts; ENGINE= their engine; what fails is run once more, alone (root)
	$(E2E) -m "not thorough" || { echo "e2e: failed beside others (above); once more, alone:"; $(ALONE); }

e2e-thorough: system install ## all tests on real hosts, also those that would make `make test` too long (root)
	$(E2E)

format: .venv/done ## let ruff lay out the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-evacuate: system install ## ours against a plain drain and against doing nothing (root)
	$(BIN)/python -m bench.evacuate.__main__
	$(BIN)/python -m bench.evacuate.disturbed

bench-storm: system install ## six of twelve workers warned at once, then up to a thousand of 5,000 (root)
	$(BIN)/python -m bench.storm.__main__

bench-storm-virtual: .venv/done ## a thousand of 5,000 nodes warned at once, then 5,000 of 20,000, in virtual time
	$(BIN)/python -m bench.storm.__main__ --part c

bench-plan: .venv/done ## a rebalance of up to 5,000 nodes and 50,000 tasks planned in one process
	$(BIN)/python -m bench.plan.__main__

bench-rebalance: system install ## ours (surge, rolling) against a forced update, in three situations (root)
	$(BIN)/python -m bench.rebalance.__main__

deploy: .venv/done ## publish the agent of STAGE and deploy the handlers that are pinned to it; STAGE=prod
	@[ -n "$(STAGE)" ] || { echo "error: say which stage: make deploy STAGE=prod (docs/install.md, 4)" >&2; exit 1; }
	@echo "deploy: the handlers of stage $(STAGE) get Lambda's $$($(BIN)/python -V), that of .venv"
	$(BIN)/python -m bootstrap.publish --stage $(STAGE)
	$(BIN)/chalice deploy --stage $(STAGE)

clean: ## remove what was built or installed here
	rm -rf .venv .venv-ministack build demo-report bench-report chalicelib/agent.json
