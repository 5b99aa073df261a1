# Two commands do their own set-up: `make run` and `make test`. The rest are parts of them.
# Settings go on the command line: make run LAN=1 VOIP_WEB_PORT=8001

PYTHON ?= $(shell sh scripts/python.sh)
PEERS ?= 1
BIN := .venv/bin
export PYTHON PEERS

.PHONY: help run test test-long lint types cover mutants bench bench-parse attack instructions fuzz compile conformance containers programs requirements

help:
	@echo "make run        start the whole service here (LAN=1: for the local network)"
	@echo "make test       all checks and tests (PEERS=0: without other programs)"
	@echo "make test-long  the tests that take minutes"
	@echo "make lint       style, imports, Django's checks, missing migrations"
	@echo "make types      the type checker"
	@echo "make cover      branch coverage with its floors"
	@echo "make mutants    break some sixty rules, one at a time: does a test notice each? (ONLY=auth)"
	@echo "make compile    the SIP server's core as C: a quarter less CPU (needs gcc and python3-dev)"
	@echo "make conformance  which lines of the RFC checklist are proven, and by which tests"
	@echo "make fuzz       look for input that breaks the parser (SECONDS=60)"
	@echo "make containers  the image and all services of the compose file, through an operator's day (root)"
	@echo "make bench      CPU per operation beside Kamailio"
	@echo "make bench-parse  CPU per byte of hostile input, from 10 KB to 10 MB"
	@echo "make attack     floods against a service of its own: the highest rates it bears"
	@echo "make instructions  instructions per operation beside those kept (BASE=commit: beside its)"

run: .venv/.runtime
	@exec $(BIN)/python -m voip_portal.supervisor

test: programs .venv/.tests
	@sh scripts/test.sh

test-long: programs .venv/.tests
	@sh scripts/with_var.sh $(BIN)/pytest -m long
	@sh scripts/with_var.sh $(BIN)/python -m tests.support.postgresql -- $(BIN)/pytest -m long tests/long

lint: .venv/.tests
	@sh scripts/lint.sh

types: .venv/.tests
	@$(BIN)/mypy sipcore tests/sipcore voip_portal/supervisor

# The floors: everything of the parser and the transactions, nine tenths elsewhere.
cover: programs .venv/.tests
	@sh scripts/with_var.sh $(BIN)/pytest -q -n 2 -m "not bench and not long" --cov --cov-report=
	@$(BIN)/coverage report --fail-under=90
	@$(BIN)/coverage report --include="sipcore/message/*,sipcore/transaction/*" --fail-under=100

# Twenty minutes on two cores where each is noticed by the tests of its own package.
mutants: .venv/.tests
	@$(BIN)/python -m tests.mutants $(ONLY)

# The tests that name lines of the checklist; their outcome is written to docs/conformance.md.
conformance: programs .venv/.tests
	@sh scripts/conformance.sh

# Half an hour at the first time: it makes the images of others, too. DAY=-k… chooses among its tests.
containers: .venv/.tests
	@$(PYTHON) scripts/programs.py containers
	@sh scripts/containers.sh $(DAY)

compile: .venv/.tests
	@$(BIN)/python scripts/compile.py

# Guided by the branches it reaches. The test run tries what has been kept in tests/fuzz/corpus.
SECONDS ?= 60
fuzz: .venv/.fuzz
	@$(BIN)/python -m tests.fuzz $(SECONDS)

bench: compile
	@$(BIN)/python tests/load/bench.py

bench-parse: .venv/.tests
	@$(BIN)/python -m tests.load.parse_cost

# Ten minutes on a quiet machine; the figures go to docs/benchmarks.md, with NOTE beside them.
attack: .venv/.tests
	@$(BIN)/python -m tests.load.attack --note "$(NOTE)"

# UPDATE=1 keeps what was counted as the figures that the next count is compared with.
instructions: .venv/.tests
	@$(PYTHON) scripts/programs.py instructions
	@$(BIN)/python -m tests.load.instructions $(if $(BASE),--base $(BASE)) $(if $(UPDATE),--update)

# Every program that the tests need and that is not a Python package, before the first test.
programs:
	@sh scripts/venv.sh check
	@$(PYTHON) scripts/programs.py

.venv/.runtime: requirements.txt
	@sh scripts/venv.sh requirements.txt
	@touch $@

.venv/.tests: requirements-test.txt .venv/.runtime
	@sh scripts/venv.sh requirements-test.txt
	@touch $@

.venv/.fuzz: requirements-fuzz.txt .venv/.tests
	@sh scripts/venv.sh requirements-fuzz.txt
	@touch $@

# After a change of a requirements*.in file; needs pip-tools.
COMPILE := pip-compile --quiet --generate-hashes --allow-unsafe --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host
requirements:
	$(COMPILE) -o requirements.txt requirements.in
	$(COMPILE) -o requirements-test.txt requirements-test.in
