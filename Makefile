# Every target sets itself up: a clone, Python 3.11+, a C++ compiler and make are enough.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= $(shell nproc 2>/dev/null || echo 2)
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# CMake builds the native engine into src/, where an editable install looks; the sanitized ones stay under build/. Two
# builds of one folder at once would spoil ninja's records, so where there is flock, one waits for the other.
FLOCK      := $(shell command -v flock 2>/dev/null)
ENGINE     := src/gatewise/native
CONFIGURED := build/native/build.ninja
CONFIGURE   = $(BIN)/cmake --log-level=WARNING -S . -B $(1) -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
              -DPython_EXECUTABLE=$(abspath $(BIN))/python
BUILD       = $(if $(FLOCK),flock $(1)) $(BIN)/cmake --build $(1) --parallel $(JOBS) -- --quiet

.PHONY: demo test test-slow gpu lint format native sanitize site clean

demo: $(READY)  ## train a language model on Python's own documentation, then let it write
	$(BIN)/gatewise demo --force

# A file of tests to each core at a time: most of them train on one thread.
test: $(READY) $(VENV)/.triton  ## every test that is quick enough to run each time
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

test-slow: $(READY)  ## the ones that are not
	$(BIN)/python -m pytest -m slow

gpu: $(READY)  ## the tests and benchmarks that need a CUDA GPU; where there is none, a line that says so
	@if $(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; \
	then $(BIN)/python -m pytest -m gpu && $(BIN)/python -m benchmarks.gpu; \
	else echo "there is no CUDA GPU here: neither its tests nor its benchmarks were run"; fi

site: $(READY)  ## the documentation as a site, in two languages, in build/site/html; a link that leads nowhere is an error
	$(BIN)/python website/gather.py build/site/pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --config-file website/mkdocs.yml

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Clones from before gatewise/native/ have a compiled engine in gatewise/engine/, which nothing imports any more.
clean:
	rm -rf $(VENV) build dist $(ENGINE)/_native*.so src/gatewise/engine/_native*.so .pytest_cache .mypy_cache .ruff_cache

# `make native` always asks ninja, which takes a tenth of a second; every other target only when a source is newer.
native $(READY): $(CONFIGURED)
	@$(call BUILD,build/native)
	@touch $(READY)

$(READY): CMakeLists.txt $(wildcard $(ENGINE)/src/*)

$(CONFIGURED): $(VENV)/.installed
	$(call CONFIGURE,build/native) -DCMAKE_LIBRARY_OUTPUT_DIRECTORY=$(CURDIR)/$(ENGINE)

# GCC's sanitizers. Their library has to be in the process before Python is, and libstdc++ with it, or they miss the
# first C++ exception and abort. What Python keeps until it exits is not a leak of ours; its allocator, which packs many
# objects into one block, would hide a wrong access. A forked child is meant. The report of a crash goes to stderr, which
# pytest must not hold.
SANITIZE_TESTS ?= tests/native
SANITIZED       = LD_PRELOAD="$$($(CXX) -print-file-name=lib$(1).so) $$($(CXX) -print-file-name=libstdc++.so)" \
                  GATEWISE_NATIVE=$(CURDIR)/$(2) $(BIN)/python -m pytest --capture=sys $(SANITIZE_TESTS)

sanitize: $(READY)  ## the native engine's tests under the address, undefined-behaviour and thread sanitizers
	$(call CONFIGURE,build/address) -DCMAKE_BUILD_TYPE=Debug -DGATEWISE_SANITIZE=address,undefined
	$(call BUILD,build/address)
	$(call CONFIGURE,build/thread) -DCMAKE_BUILD_TYPE=Debug -DGATEWISE_SANITIZE=thread
	$(call BUILD,build/thread)
	ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc $(call SANITIZED,asan,build/address)
	TSAN_OPTIONS="die_after_fork=0 ignore_noninstrumented_modules=1" $(call SANITIZED,tsan,build/thread)

# Its interpreter runs the GPU kernels of the tests: 286 MB that nothing else here needs. There is none but for Linux.
# PyTorch's builds for CUDA bring the version that they need, so constraints.txt must not name another.
$(VENV)/.triton: $(VENV)/.installed
	@test "$$(uname)" != Linux || $(BIN)/python -c 'import triton' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet triton==3.9.0
	@touch $@

# torch goes in first and by its pin, so that nothing after it can choose another build. The build tools go into the
# environment itself: there constraints.txt holds for them, and ninja finds nanobind again at the next change.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Gatewise needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt scikit-build-core nanobind cmake ninja
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps seqeval  # has no wheel: builds by itself
	@touch $@
