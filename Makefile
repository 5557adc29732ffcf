# One word each. Works with GNU make 3.81 (macOS) and any POSIX shell.
#
# Two environments:
#   .venv           for development: the source tree, editable, always interpreted, so that an edit is live
#   .venv-compiled  the package built and installed as a user gets it: compiled where a C compiler works, else plain
#
# PYTHON=/path/to/python3.12 chooses the interpreter, AMQPD_PURE=1 never compiles.

DEV := .venv
BUILT := .venv-compiled
SOURCES := $(shell find amqpd -name '*.py' 2>/dev/null)
BUILDING := pyproject.toml setup.py tools/compilation.py tools/mkvenv

# Of the proofs (fuzz, crash, raft): BUILD=compiled has them look at the compiled package instead of the source tree.
BUILD := interpreted
ifeq ($(filter $(BUILD),interpreted compiled),)
$(error BUILD is '$(BUILD)': interpreted and compiled are allowed)
endif

# Python puts the current directory first unless told not to, and then every run would test the source tree.
INSTALLED := PYTHONSAFEPATH=1

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# $(call if-compiled,COMMAND,WHAT): COMMAND where the package could be compiled, else a line that says that WHAT was left out.
define if-compiled
@mode=$$($(INSTALLED) $(BUILT)/bin/python tools/check_build.py 2>$(BUILT)/reason) || { cat $(BUILT)/reason >&2; exit 1; }; \
if [ "$$mode" = compiled ]; then set -x; $(1); else echo "SKIPPED compiled $(2): $$(cat $(BUILT)/reason)"; fi
endef

.DEFAULT_GOAL := help
.PHONY: help venv compiled run test test-interpreted test-compiled lint interop compare docs check-dist check-image \
    check-deb crash raft coverage fuzz bench bench-core bench-scaling bench-memory soak clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' Makefile

venv: $(DEV)/.stamp ## the development environment in .venv, with .venv/bin/amqpd

$(DEV)/.stamp: $(BUILDING)
	@tools/mkvenv $(DEV)
	AMQPD_PURE=1 $(DEV)/bin/python -m pip install -q -e '.[dev]'
	@touch $@

compiled: $(BUILT)/.stamp ## build and install as a user would, in .venv-compiled

$(BUILT)/.stamp: $(BUILDING) $(SOURCES)
	@tools/mkvenv $(BUILT)
	@rm -rf $(BUILT)/dist $(BUILT)/build.log
	@echo "building amqpd (compiling takes about a minute; AMQPD_PURE=1 leaves it out)"
	$(BUILT)/bin/python -m pip wheel -q --no-deps --log $(BUILT)/build.log -w $(BUILT)/dist .
	$(BUILT)/bin/python -m pip uninstall -q -y amqpd
	$(BUILT)/bin/python -m pip install -q $(BUILT)/dist/*.whl
	@grep -Eo '[^ ]+:[0-9]+: error: .*|\*\*\* amqpd: .* \*\*\*' $(BUILT)/build.log || true
	@touch $@

$(BUILT)/.stamp-test: $(BUILT)/.stamp
	$(BUILT)/bin/python -m pip install -q "$$(ls $(BUILT)/dist/*.whl)[test]"
	@touch $@

run: $(BUILT)/.stamp ## start the broker with its defaults; ARGS="--listen 127.0.0.1:5673" to say otherwise
	@exec $(BUILT)/bin/amqpd $(ARGS)

test: test-interpreted test-compiled ## the whole suite in both modes; T="tests/wire -k table" for a part of it

test-interpreted: $(DEV)/.stamp ## the suite against the source tree
	$(INSTALLED) AMQPD_EXPECT=interpreted $(DEV)/bin/python -m pytest $(T)

test-compiled: $(BUILT)/.stamp-test ## the suite against the compiled package
	$(call if-compiled,$(INSTALLED) AMQPD_EXPECT=compiled $(BUILT)/bin/python -m pytest -p no:cacheprovider $(T),test run)

lint: $(DEV)/.stamp ## ruff, mypy --strict, the import contracts
	$(DEV)/bin/ruff check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports

interop: $(BUILT)/.stamp ## real clients against the broker; ONLY="pika celery" for some of them
	AMQPD=$(CURDIR)/$(BUILT)/bin/amqpd $(BUILT)/bin/python interop/run $(ONLY)

compare: $(BUILT)/.stamp ## wire-level exchanges against RabbitMQ's recorded answers; ARGS="--peer URL" for a live one
	AMQPD=$(CURDIR)/$(BUILT)/bin/amqpd $(BUILT)/bin/python interop/compare/run $(ARGS)

docs: $(DEV)/.stamp ## the manual, into site/
	NO_MKDOCS_2_WARNING=1 $(DEV)/bin/mkdocs build --strict --quiet

check-dist: $(DEV)/.stamp ## source distribution and wheels, compiled and plain: whole, and they start
	$(DEV)/bin/python tools/check_dist.py

check-image: $(DEV)/.stamp ## the steps of the Dockerfile in a clean Debian, and what comes of them (root)
	$(DEV)/bin/python tools/check_dockerfile.py $(ARGS)

check-deb: $(DEV)/.stamp ## the Debian package: built, installed, upgraded, removed in clean Debians (root)
	$(DEV)/bin/python tools/check_deb.py $(ARGS)

ifeq ($(BUILD),compiled)
crash: $(BUILT)/.stamp-test
	$(call if-compiled,$(INSTALLED) AMQPD=$(CURDIR)/$(BUILT)/bin/amqpd $(BUILT)/bin/python tools/crash $(ARGS),proofs of the message store)

raft: $(BUILT)/.stamp
	$(call if-compiled,$(INSTALLED) $(BUILT)/bin/python tools/raft $(ARGS),proofs of the Raft core)

fuzz: $(BUILT)/.stamp
	$(call if-compiled,tests/fuzz/run --compiled $(ARGS),fuzzing run)
else
$(DEV)/.stamp-bench: $(DEV)/.stamp
	AMQPD_PURE=1 $(DEV)/bin/python -m pip install -q -e '.[bench]'
	@touch $@

bench: $(DEV)/.stamp-bench $(BUILT)/.stamp ## whole brokers side by side, into docs/benchmarks.md; ARGS="--only a,b --reps 1"
	$(DEV)/bin/python -m bench.run $(ARGS)

bench-scaling: $(DEV)/.stamp-bench $(BUILT)/.stamp ## what grows with what: ARGS="--only queues,body"
	$(DEV)/bin/python -m bench.scaling $(ARGS)

bench-memory: $(DEV)/.stamp $(BUILT)/.stamp ## bytes of each thing, then pauses: minutes; ARGS="--only queue --scale 0.1"
	$(DEV)/bin/python -m bench.memory $(ARGS)
	$(DEV)/bin/python -m bench.pauses $(ARGS)

soak: $(DEV)/.stamp-bench $(BUILT)/.stamp ## ten minutes of hostile load, memory flat; ARGS="--minutes 60"
	$(DEV)/bin/python -m bench.soak $(ARGS)

crash: $(DEV)/.stamp ## the proofs of the message store; ARGS="kills --rounds 1000" or "images --seeds 100000 --seconds 3600" for long
	$(DEV)/bin/python tools/crash $(ARGS)

raft: $(DEV)/.stamp ## the proofs of the Raft core; ARGS="--seeds 100000 --seconds 3600" for long
	$(DEV)/bin/python tools/raft $(ARGS)

fuzz: $(DEV)/.stamp ## the long fuzzing run; BUILD=compiled for the compiled package, so with crash and raft
	tests/fuzz/run $(ARGS)
endif

coverage: $(DEV)/.stamp ## line and branch coverage of the interpreted suite
	$(DEV)/bin/coverage erase
	$(INSTALLED) AMQPD_EXPECT=interpreted $(DEV)/bin/coverage run -m pytest $(T)
	$(DEV)/bin/coverage combine -q
	$(DEV)/bin/coverage report

bench-core: $(DEV)/.stamp $(BUILT)/.stamp ## CPU time of a message in the core, beside its records; ARGS="--record"
	$(DEV)/bin/python -P bench/core.py --expect interpreted $(ARGS)
	$(call if-compiled,$(BUILT)/bin/python -P bench/core.py --expect compiled $(ARGS),core benchmark)

clean: ## remove environments and everything generated
	rm -rf $(DEV) $(BUILT) build dist site htmlcov .coverage .coverage.* *.egg-info \
	    .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
