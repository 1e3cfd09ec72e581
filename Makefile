# Targets set up what they need: a virtual environment with pinned requirements in .venv, made with
# the newest Python that the pins allow, or with PYTHON. What Docker Compose takes needs none.

BIN := .venv/bin
# The kernel ends the command, and the servers that it starts, if make is killed with -9. Empty where
# there is no such setpriv (it is part of util-linux): they would then go on.
ENDING_WITH_MAKE = $(shell setpriv --pdeathsig KILL -- echo setpriv --pdeathsig KILL -- 2>/dev/null)
RUN = exec $(ENDING_WITH_MAKE) $(BIN)/python
KEYS := $(or $(shell command -v python3),$(BIN)/python) -B -m api.access.keys
KEYS_FILE := --file deploy/api-keys
SLOW_FILES = $(shell grep -rl --include='test_*.py' 'pytest\.mark\.slow' tests/reliability tests/e2e tests/integration tests/unit)
IN_PROCESSES := --numprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo openapi test test-slow test-reliability bench bench-quick relevance mutants run lint venv api-key \
	api-keys revoke-api-key env backup restore rebuild-ledger quantize train-demo-model evaluate-demo-model clean

demo: venv
	@$(RUN) -m demo $(DEMO_ARGS)

# Written whatever the environment says: the tests start some 150 processes, and each would compile
# the sources anew.
test test-slow mutants: export PYTHONDONTWRITEBYTECODE :=

# Four processes, each with servers of its own: most tests wait for something most of the time.
# Files that share a stack or converted models run in one of them (see tests/conftest.py). In the
# order of the files, the longest first (see testpaths); else they would be last.
test: venv
	@$(RUN) -m pytest -m "not slow" $(IN_PROCESSES) $(TEST_ARGS)

# The rest: what is opt-in (int8, multilingual towers), conversions' damage, a tiny benchmark, and long
# stories (backup, hostile pictures in memory, a full disk, pictures that hang). `.ci/run` runs both.
# Of the files that have such tests alone: each of the processes imports every file that it is given.
test-slow: venv
	@$(RUN) -m pytest -m slow $(IN_PROCESSES) $(or $(TEST_ARGS),$(SLOW_FILES))

# All faults of tests/reliability/faults as often as it takes to believe them, and a table: an hour.
test-reliability: venv
	@$(RUN) -m pytest tests/reliability/faults --faults=long $(TEST_ARGS)

# What docs/performance.md shows; leave the machine alone meanwhile.
bench: venv
	@$(RUN) -m benchmarks $(BENCH_ARGS)

bench-quick: venv
	@$(RUN) -m benchmarks --quick $(BENCH_ARGS)

# Whether the search finds what it should; see docs/relevance.md. DATA: a folder with more catalogues.
relevance: venv
	@$(RUN) -m benchmarks.relevance $(if $(DATA),--data "$(DATA)") $(RELEVANCE_ARGS)

# Breaks each promise in a copy of the tree and runs the tests that must notice.
mutants: venv
	@$(RUN) -m tests.mutants $(MUTANTS_ARGS)

run: venv
	@$(RUN) -m stack

# After a change of the API's routes or models.
openapi: venv
	@$(BIN)/python -m api.openapi > docs/openapi.json

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.expressions

# Keys of the API. NAME tells a key from others, TENANT whose catalogue it opens.
api-key:
	@$(KEYS) add $(KEYS_FILE) --tenant "$(or $(TENANT),default)" --name "$(NAME)" \
		--owner "$$(sh deploy/owner.sh)"

api-keys:
	@$(KEYS) list $(KEYS_FILE)

revoke-api-key:
	@$(KEYS) revoke $(KEYS_FILE) --name "$(NAME)"

env:
	@sh deploy/write-env.sh

backup: venv
	@$(RUN) -m operations backup $(if $(FILE),"$(FILE)")

restore: venv
	@$(RUN) -m operations restore $(if $(FORCE),--force) $(if $(FILE),"$(FILE)")

rebuild-ledger: venv
	@$(RUN) -m operations rebuild-ledger $(if $(FORCE),--force)

# The int8 form of the image tower, from a folder of the shop's own pictures.
quantize: venv
	@$(RUN) -m operations quantize $(if $(PICTURES),"$(PICTURES)")

train-demo-model: venv
	$(BIN)/python -m demo.model.train

evaluate-demo-model: venv
	$(BIN)/python -m demo.model.evaluate

clean:
	rm -rf .venv var

venv:
	@sh deploy/venv.sh $(PYTHON)
