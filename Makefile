# What people, CI and the README call. To change from the command line:
#   PYTHON=python3.12   the interpreter that .venv is made with
#   VENV=/path          another environment than .venv
#   PIP_ARGS=...        more arguments for pip, such as the index of PyTorch's CPU-only wheels
#   ARGS=...            more arguments for the command that the target runs
#   LOCKED=1            install exactly deploy/requirements.lock; CI does
#   PROCESSES=3         more processes of tests than two

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
ARGS ?=
ONCE ?=
LOCKED ?= $(CI)
PROCESSES ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
NEEDED := (3, 11)
# Variables, since a comma would end an argument of $(call).
SERVICE_EXTRAS := api,worker,search
ALL_EXTRAS := api,worker,search,upscale,s3,c2pa,safety,otel,training,docs,dev

# Images set it to stay small. Here each of a hundred processes would compile all that it imports anew: of the worker's
# libraries that takes longer than to import them.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.PHONY: help demo up test test-gpu docs lint types style imports files format bench bench-gpu fuzz clients chart deploy-check lock clean

help:
	@echo "make demo      install into $(VENV), start everything, make a guided picture, serve until Ctrl-C (ONCE=1: stop then)"
	@echo "make up        start everything and serve until Ctrl-C"
	@echo "make test      run the tests"
	@echo "make test-gpu  run the tests that need a CUDA device"
	@echo "make docs      build the documentation as a site into build/site"
	@echo "make lint      check style, types, import rules, the Dockerfile, the compose file and the site"
	@echo "make format    rewrite the code as 'make lint' wants it"
	@echo "make bench     measure speed, memory and quality"
	@echo "make bench-gpu measure what a CUDA device decides, each figure beside its rule"
	@echo "make fuzz      send made-up and hostile requests to a service of its own"
	@echo "make clients   run other services' clients, as they are published, against a service of its own; needs npm"
	@echo "make chart     render the examples of the Helm chart anew"
	@echo "make deploy-check  check what is deployed: the chart's examples, alerts, dashboards, images; under a minute"
	@echo "make lock      resolve the exact versions in deploy/*.lock anew"
	@echo "make clean     remove .venv and what the tools leave behind"

demo: $(VENV)/.installed-service
	$(BIN)/lodestar demo $(if $(ONCE),--once) $(ARGS)

up: $(VENV)/.installed-service
	$(BIN)/lodestar up $(ARGS)

# One thread for each process: the threads of two torch processes would wait for each other, spinning.
test: $(VENV)/.installed-all
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(PROCESSES) --dist loadfile $(ARGS)

test-gpu: $(VENV)/.installed-all
	LODESTAR_TEST_GPU=1 $(BIN)/pytest -m gpu $(ARGS)

# Apart, so that `make --jobs 2 lint` has something else done beside mypy, which takes most of the time.
lint: types style imports files docs

types: $(VENV)/.installed-all
	$(BIN)/mypy

style: $(VENV)/.installed-all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

imports: $(VENV)/.installed-all
	$(BIN)/lint-imports

files: $(VENV)/.installed-all
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml

# Strict: a link or an anchor that leads nowhere is an error, as is a page that loads from another host.
docs: $(VENV)/.installed-all
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

format: $(VENV)/.installed-all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-all
	$(BIN)/python -m benchmarks $(ARGS)

bench-gpu: $(VENV)/.installed-all
	$(BIN)/python -m benchmarks.gpu $(ARGS)

fuzz: $(VENV)/.installed-all
	$(BIN)/python -m benchmarks.fuzz $(ARGS)

clients: $(VENV)/.installed-all
	$(BIN)/python -m benchmarks.clients $(ARGS)

chart: $(VENV)/.installed-all
	$(BIN)/python -m tests.deploy.helm.chart

# Without a cluster: schemas, meanings, and the renderings against those in the repository.
deploy-check: $(VENV)/.installed-all
	$(BIN)/pytest $(ARGS) tests/deploy

# The first lock holds every version; the images' locks are parts of it. uv, because it resolves from metadata alone
# where pip-tools downloads every platform's wheel to hash it.
lock: $(VENV)/.installed-all
	$(call compile,requirements.lock,pins.txt,pyproject.toml --extra api --extra worker --extra search --extra upscale --extra s3 --extra training --extra c2pa --extra safety --extra otel --extra docs --extra dev)
	$(call compile,requirements-api.lock,requirements.lock,pyproject.toml --extra api --extra search --extra s3 --extra c2pa --extra otel)
	$(call compile,requirements-worker.lock,requirements.lock,pyproject.toml --extra worker --extra upscale --extra s3 --extra safety --extra otel --extra cuda)
	echo hatchling | $(call compile,requirements-build.lock,requirements.lock,-)

compile = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --no-config --no-emit-index-url \
	--generate-hashes --python-version 3.11 --python-platform linux \
	--constraint deploy/$(2) $(3) --output-file deploy/$(1)

clean:
	rm -rf .venv .clients build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find app jobs lodestar worker training benchmarks tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < $(NEEDED))' 2>/dev/null || { \
		found=$$($(PYTHON) --version 2>/dev/null) || found="not installed"; \
		echo "Lodestar needs Python 3.11 or newer; $(PYTHON) is $$found. Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-service: pyproject.toml | $(BIN)/python
	$(call install,$(SERVICE_EXTRAS))
	@touch $@

$(VENV)/.installed-all: pyproject.toml $(if $(LOCKED),deploy/requirements.lock) | $(BIN)/python
	$(call install,$(ALL_EXTRAS))
	@touch $@ $(VENV)/.installed-service

# Python compiles the modules that it imports; pip would compile four times as many.
ifeq ($(LOCKED),)
install = $(PIP) install --no-compile $(PIP_ARGS) -e '.[$(1)]'
else
install = $(PIP) install --no-compile $(PIP_ARGS) --require-hashes -r deploy/requirements.lock && \
	$(PIP) install --no-deps --no-build-isolation -e .
endif
