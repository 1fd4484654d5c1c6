# SPDX-License-Identifier: Apache-2.0
# Needs Python >= 3.10, a C++20 compiler and make; everything else comes as PyPI wheels into .venv.
# All paths are relative, so the checkout may sit in a folder with spaces.
#   make demo                       make test PYTHON=python3.12
#   make demo ARGS="how do I sort a list by key"    make test ARGS="-k exact -x"

PYTHON ?=
VENV ?= .venv
ARGS ?=
SUITE ?= suites/index/exact.toml
SANITIZE ?= address,undefined

BIN := $(VENV)/bin
RUN := $(BIN)/python
PIP := $(RUN) -m pip --disable-pip-version-check --quiet
STAMPS := $(VENV)/.stamps
VENV_READY := $(STAMPS)/venv
TOOLS_READY := $(STAMPS)/build-tools
BUILT := $(STAMPS)/package
DEV_READY := $(STAMPS)/dev
DOCS_READY := $(STAMPS)/docs
BENCH_READY := $(STAMPS)/bench
# An environment of its own, which sees the packages of .venv.
SUITES := $(VENV)/suites
SUITES_READY := $(STAMPS)/suites
STUB := src/vectorloom/_core.pyi

NATIVE := $(shell find core cmake -type f 2>/dev/null) CMakeLists.txt
PY_DIRS := $(wildcard src tests tools benchmarks examples)
CXX_FILES := $(shell find core tests -name '*.cc' -o -name '*.h' 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo setup build test test-all test-clients check lint format-check types tidy gates fix stubs bench docs \
        sanitize wheel-test clean distclean

help: ## Show these lines
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
	  printf '  make %-12s %s\n' "$$name" "$$text"; done

# ---------------------------------------------------------------- environment

# The first of PYTHON, python3, python3.14 … that is new enough; kept when .venv already has it.
$(VENV_READY):
	@sh tools/make_venv.sh "$(VENV)" "$(PYTHON)"
	@mkdir -p $(STAMPS) && touch $@

ifneq ($(PYTHON),)
# Another interpreter than the one .venv was made with: start again.
ifneq ($(shell sh tools/make_venv.sh --same "$(VENV)" "$(PYTHON)" && echo same),same)
.PHONY: $(VENV_READY)
endif
endif

# The build runs without isolation: its tools stay at one path, so CMake never starts from nothing.
$(TOOLS_READY): $(VENV_READY)
	@echo "· fetching the build tools (cmake, ninja, nanobind, scikit-build-core)"
	@$(PIP) install "scikit-build-core>=0.11" "nanobind>=2.4" "cmake>=3.20" "ninja>=1.11"
	@touch $@

# Editable: Python sources are live, and a change under core/ or cmake/ rebuilds what it touches.
$(BUILT): $(TOOLS_READY) $(NATIVE) pyproject.toml
	@echo "· building and installing vectorloom (the first time takes a minute or two)"
	@sh tools/quietly.sh $(PIP) install --no-build-isolation --editable .
	@touch $@

$(DEV_READY): pyproject.toml | $(BUILT)
	@echo "· fetching the test and lint tools"
	@sh tools/quietly.sh $(PIP) install --no-build-isolation --editable ".[dev]"
	@touch $@

$(DOCS_READY): pyproject.toml | $(BUILT)
	@echo "· fetching the documentation tools"
	@sh tools/quietly.sh $(PIP) install --no-build-isolation --editable ".[docs]"
	@touch $@

$(BENCH_READY): pyproject.toml | $(BUILT)
	@echo "· fetching the peers (faiss, usearch, torch): a large download"
	@sh tools/quietly.sh $(PIP) install --no-build-isolation --editable ".[bench]"
	@touch $@

$(SUITES_READY): pyproject.toml | $(DEV_READY)
	@echo "· fetching the suites of LangChain, LlamaIndex, MTEB and schemathesis: a large download"
	@sh tools/make_venv.sh "$(SUITES)" "$(RUN)"
	@$(SUITES)/bin/python tools/see_packages.py "$(RUN)"
	@sh tools/quietly.sh $(SUITES)/bin/python -m pip --disable-pip-version-check --quiet install \
	  "vectorloom[suites]"
	@touch $@

# The type stub of the compiled module, beside the sources for editors and mypy.
$(STUB): tests/golden/_core.pyi
	@cp $< $@

setup: $(DEV_READY) $(STUB) ## Make .venv with everything a contributor needs
	@echo "· ready: $(BIN)/vectorloom, $(BIN)/pytest"

build: $(BUILT) ## Build and install into .venv, nothing more
	@:

# ---------------------------------------------------------------- use

demo: $(BUILT) ## Build, then learn, index and search real text; writes report.html
	@$(BIN)/vectorloom demo $(ARGS)

# ---------------------------------------------------------------- test

test: $(DEV_READY) $(BUILT) ## All tests but the slow ones
	@$(RUN) -m pytest -m "not slow" $(ARGS)

test-all: $(DEV_READY) $(BUILT) wheel-test ## Every test, and the wheel in an environment of its own
	@$(RUN) -m pytest $(ARGS)

SANITIZED := tests/kernels tests/index tests/select tests/learn --ignore tests/index/test_estimate.py \
  $(patsubst %,tests/compress/test_%.py,pq residual rabitq lvq float8 nonuniform)

sanitize: $(DEV_READY) $(BUILT) ## Tests of the core under ASan and UBSan (SANITIZE=thread: TSan)
	@sh tools/sanitize.sh "$(VENV)" "$(SANITIZE)" $(or $(ARGS),$(SANITIZED))

test-clients: $(SUITES_READY) $(BUILT) ## Official suites of the clients' libraries, and schemathesis
	@PYTHONPATH=tools $(SUITES)/bin/python -m pytest -p no_skips -p no:asyncio -m "not slow" tests/clients \
	  tests/serve/test_schema.py tests/serve/test_embeddings.py $(ARGS)

wheel-test: $(TOOLS_READY) ## Build a wheel, install it alone, run a search with it
	@$(RUN) tools/wheel_test.py

# ---------------------------------------------------------------- check

check: lint types tidy gates ## Format, lint, types, C++ lint, and proof that each gate rejects

lint: $(DEV_READY)
	@echo "· ruff";         $(RUN) -m ruff check --quiet $(PY_DIRS)
	@echo "· ruff format";  $(RUN) -m ruff format --quiet --check $(PY_DIRS) || \
	  { echo "run: make fix"; $(RUN) -m ruff format --check $(PY_DIRS); exit 1; }
	@echo "· clang-format"; $(BIN)/clang-format --dry-run -Werror $(CXX_FILES)

types: $(DEV_READY) $(STUB)
	@echo "· mypy --strict"; $(RUN) -m mypy --strict --no-error-summary src

tidy: $(DEV_READY)
	@echo "· clang-tidy"; $(RUN) tools/run_clang_tidy.py

gates: $(DEV_READY) $(BUILT) $(STUB)
	@echo "· house rules";  $(RUN) tools/check_sources.py
	@echo "· objects";      $(RUN) tools/check_objects.py
	@echo "· stub, layers"; $(RUN) -m pytest -q -o addopts=--import-mode=importlib \
	  -p no:cacheprovider tests/contracts/test_layers.py tests/contracts/test_stub.py
	@echo "· canaries";     $(RUN) tools/check_gates.py

fix: $(DEV_READY) ## Format and repair what the tools can repair
	@$(RUN) -m ruff check --quiet --fix $(PY_DIRS) || true
	@$(RUN) -m ruff format --quiet $(PY_DIRS)
	@$(BIN)/clang-format -i $(CXX_FILES)

stubs: $(BUILT) ## Take the stub of the compiled module as the new golden one
	@$(RUN) tools/stub.py --update
	@cp tests/golden/_core.pyi $(STUB)

# ---------------------------------------------------------------- more

bench: $(BENCH_READY) $(BUILT) ## Run one suite (SUITE=…) beside its peers; prints ratios
	@$(RUN) -m benchmarks run $(SUITE) $(ARGS)

docs: $(DOCS_READY) $(BUILT) ## Build the documentation site into site/, strictly
	@sh tools/quietly.sh sh tools/build_docs.sh "$(RUN)" mkdocs.yml site && echo "· site/index.html"
	@$(RUN) tools/check_gates.py docs

clean: ## Remove what was built; .venv stays
	@rm -rf build dist site out .pytest_cache .mypy_cache .ruff_cache .hypothesis $(STUB)
	@rm -f $(BUILT) $(DEV_READY)
	@find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## Remove .venv as well
	@rm -rf $(VENV)
