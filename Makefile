# All targets set up what they need: a virtual environment with pinned requirements in .venv.

PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed
IN_PROCESSES := --numprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-slow test-reliability bench bench-quick mutants run lint api-key env backup restore \
	rebuild-ledger quantize train-demo-model evaluate-demo-model clean

demo: $(STAMP)
	@exec $(BIN)/python -m demo $(DEMO_ARGS)

# Written whatever the environment says: the tests start some 150 processes, and each would compile
# the sources anew.
test test-slow mutants: export PYTHONDONTWRITEBYTECODE :=

# Four processes, each with servers of its own: most tests wait for something most of the time.
# In the order of the files, the longest first (see testpaths); else they would be last.
test: $(STAMP)
	@$(BIN)/python -m pytest -m "not slow" $(IN_PROCESSES) $(TEST_ARGS)

# The rest: what is opt-in (int8, multilingual towers), conversions' damage, a tiny benchmark, and two
# long stories (backup, hostile pictures in memory). `.ci/run` runs both.
test-slow: $(STAMP)
	@$(BIN)/python -m pytest -m slow $(IN_PROCESSES) $(TEST_ARGS)

# All faults of tests/reliability/faults as often as it takes to believe them, and a table: an hour.
test-reliability: $(STAMP)
	@$(BIN)/python -m pytest tests/reliability/faults --faults=long $(TEST_ARGS)

# What docs/performance.md shows; leave the machine alone meanwhile.
bench: $(STAMP)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-quick: $(STAMP)
	@$(BIN)/python -m benchmarks --quick $(BENCH_ARGS)

# Breaks each promise in a copy of the tree and runs the tests that must notice.
mutants: $(STAMP)
	@$(BIN)/python -m tests.mutants $(MUTANTS_ARGS)

run: $(STAMP)
	@exec $(BIN)/python -m shared.embedded

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.expressions

api-key: $(STAMP)
	@$(BIN)/python -m api.keys add --tenant "$(or $(TENANT),default)" --file deploy/api-keys \
		--owner "$$(sh deploy/owner.sh)"

env: $(STAMP)
	@sh deploy/write-env.sh

backup: $(STAMP)
	@$(BIN)/python -m operations backup $(if $(FILE),"$(FILE)")

restore: $(STAMP)
	@$(BIN)/python -m operations restore $(if $(FORCE),--force) $(if $(FILE),"$(FILE)")

rebuild-ledger: $(STAMP)
	@$(BIN)/python -m operations rebuild-ledger $(if $(FORCE),--force)

# The int8 form of the image tower, from a folder of the shop's own pictures.
quantize: $(STAMP)
	@$(BIN)/python -m operations quantize $(if $(PICTURES),"$(PICTURES)")

train-demo-model: $(STAMP)
	$(BIN)/python -m demo.train

evaluate-demo-model: $(STAMP)
	$(BIN)/python -m demo.evaluate

clean:
	rm -rf .venv var

# A stamp made of the requirements' content: an unchanged file installs nothing again.
$(STAMP): requirements.txt requirements-dev.txt requirements-quantize.txt \
		requirements-multilingual.txt constraints.txt
	@echo "Setting up .venv: about 3.3 GB to download (most of it PyTorch with CUDA), 6 GB on disk."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv || \
		{ echo "No venv module: install python3.11-venv (apt install python3.11-venv)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
