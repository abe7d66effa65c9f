# `make` lists what there is. Everything is set up in .venvs/ on first use; a second run is quick.
PYTHON ?= python3
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Debian keeps servers where not every user's PATH leads.
export PATH := $(PATH):/usr/sbin:/usr/local/sbin

TEST := .venvs/test
VLLM := .venvs/vllm
FLEET := .venvs/fleet
VERL := .venvs/verl
VERL07 := .venvs/verl07
SKYRL := .venvs/skyrl
AREAL := .venvs/areal
DEPLOY := .venvs/deploy
BENCH := .venvs/bench
# The shell looks, not make: make remembers what a folder held before the wheel was built in it.
WHEEL := $$(ls dist/llm_judge_remote-*.whl)
SOURCES := $(shell find llm_judge_remote -type f -not -name '*.pyc' 2>/dev/null) pyproject.toml README.md LICENSE

.PHONY: help test demo test-all test-real test-browser test-fleet test-deploy test-trainers test-verl test-skyrl test-areal bench check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## ?/\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

test: $(TEST)/.wheel ## unit and socket tests against the installed wheel (no vLLM; about five minutes)
	@$(call show_package,$(TEST))
	@$(TEST)/bin/pytest -q

# With a server's address there is nothing to start, and no vLLM is installed.
ifeq ($(strip $(LLM_JUDGE_SERVER_URL)),)
demo: $(VLLM)/.wheel ## score real rollouts with a real vLLM server (or with LLM_JUDGE_SERVER_URL)
	@$(VLLM)/bin/python -P -m llm_judge_remote.cli.demo
else
demo: $(TEST)/.wheel
	@cd $(TEST) && bin/python -m llm_judge_remote.cli.demo --output ../../demo-output
endif

test-all: test test-browser test-fleet test-deploy test-trainers test-real ## test, and those with real registries, trainers, balancers, a browser and a real vLLM server

test-real: $(VLLM)/.tests ## only the end-to-end tests with a real vLLM server
	@$(call show_package,$(VLLM))
	@$(VLLM)/bin/pytest -q -m real_vllm --durations=8 tests/e2e

test-fleet: $(FLEET)/.wheel ## only the tests with real registries (etcd, Ray, DNS, AReaL) and the short chaos run
	@for program in etcd dnsmasq openssl; do command -v $$program > /dev/null || { echo "make test-fleet needs $$program: \
	apt-get install etcd-server dnsmasq-base openssl" >&2; exit 1; }; done
	@$(call show_package,$(FLEET))
	@$(FLEET)/bin/pytest -q -m fleet --durations=8 tests/fleet tests/chaos

test-deploy: $(DEPLOY)/.wheel ## only the tests of what is in deploy/, with validators and balancers
	@command -v nginx > /dev/null || { echo "make test-deploy needs nginx: apt-get install nginx-light" >&2; exit 1; }
	@$(call show_package,$(DEPLOY))
	@PATH="$(CURDIR)/$(DEPLOY)/bin:$$PATH" $(DEPLOY)/bin/pytest -q -m deploy --durations=5 tests/deploy

test-browser: $(TEST)/.wheel ## only the tests that open a report in headless Chromium
	@command -v chromium > /dev/null || { echo "make test-browser needs chromium: apt-get install chromium" >&2; exit 1; }
	@$(call show_package,$(TEST))
	@$(TEST)/bin/pytest -q -m browser tests/browser

test-trainers: test-verl test-skyrl test-areal ## only the tests with real trainers (verl in two releases, SkyRL, AReaL)

test-verl: $(VERL)/.wheel $(VERL07)/.wheel
	@$(call show_package,$(VERL))
	@$(VERL)/bin/pytest -q -m trainer --durations=5 tests/trainers/verl
	@$(call show_package,$(VERL07))
	@$(VERL07)/bin/pytest -q -m trainer tests/trainers/verl

test-skyrl: $(SKYRL)/.wheel
	@$(call show_package,$(SKYRL))
	@$(SKYRL)/bin/pytest -q -m trainer tests/trainers/skyrl

test-areal: $(AREAL)/.wheel
	@$(call show_package,$(AREAL))
	@$(AREAL)/bin/pytest -q -m trainer tests/trainers/areal

bench: $(BENCH)/.wheel ## measure this client against others; REGIMES="tail memory" for some (all: a quarter of an hour)
	@$(BENCH)/bin/python tests/benchmarks/run.py $(REGIMES)

check: $(TEST)/.wheel ## ruff, formatting, mypy --strict, import order
	@echo "Checking style, types and import order"
	@$(TEST)/bin/ruff check --quiet .
	@$(TEST)/bin/ruff format --check --quiet .
	@$(TEST)/bin/mypy
	@$(TEST)/bin/lint-imports --no-cache | tail -n 4

clean: ## remove what the other targets made (not the model in the user's cache folder)
	rm -rf .venvs build dist demo-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info

# The tests must not see the source tree: pytest's console script adds no folder of it to sys.path, and this says
# which package they will see.
define show_package
cd $(1) && bin/python -c 'import pathlib, sys, llm_judge_remote as p; \
home = pathlib.Path(p.__file__).parent; print("Testing llm_judge_remote", p.__version__, "installed in", home); \
sys.exit("not the installed package" if "site-packages" not in home.parts else 0)'
endef

dist/.built: $(SOURCES) | $(TEST)/bin/python
	@echo "Building the wheel"
	@rm -rf dist && mkdir dist
	@$(TEST)/bin/python -m pip wheel -qq --no-deps --wheel-dir dist .
	@touch $@

# In each environment: the wheel that was built last, over what it needs.
.venvs/%/.wheel: dist/.built .venvs/%/.deps
	@.venvs/$*/bin/python -m pip install -qq --force-reinstall --no-deps "$(WHEEL)"
	@touch $@

$(TEST)/bin/python:
	@echo "Making the virtual environment $(TEST)"
	@$(PYTHON) -m venv $(TEST)

$(TEST)/.deps: pyproject.toml | dist/.built
	@echo "Installing the test tools into $(TEST) (about a minute)"
	@$(TEST)/bin/python -m pip install -qq "$(WHEEL)[dev]"
	@touch $@

$(BENCH)/.deps: pyproject.toml | dist/.built
	@echo "Making the virtual environment $(BENCH), with the clients to compare with"
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install -qq "$(WHEEL)[bench]"
	@touch $@

$(FLEET)/.deps: pyproject.toml | dist/.built
	@echo "Making the virtual environment $(FLEET), with clients of the registries, and AReaL"
	@$(PYTHON) -m venv $(FLEET)
	@$(FLEET)/bin/python -m pip install -qq "$(WHEEL)[dev,fleet]"
	@$(FLEET)/bin/python -m pip install -qq --no-deps "areal==1.0.4"
	@touch $@

$(DEPLOY)/.deps: pyproject.toml | dist/.built
	@echo "Making the virtual environment $(DEPLOY), with validators of manifests and vllm-router"
	@$(PYTHON) -m venv $(DEPLOY)
	@$(DEPLOY)/bin/python -m pip install -qq "$(WHEEL)[dev,deploy]"
	@touch $@

# torch first: verl takes what is there, and this release has a build without CUDA where pip is told where to look. What
# stands beside verl it imports without asking for it, or asks for in ways that do not go together any more.
$(VERL)/.deps: pyproject.toml | dist/.built
	@echo "Making the virtual environment $(VERL)"
	@$(PYTHON) -m venv $(VERL)
	@$(VERL)/bin/python -m pip install -qq "torch==2.13.0"
	@$(VERL)/bin/python -m pip install -qq "verl==0.9.1" "$(WHEEL)[dev]" cachetools fastapi uvicorn
	@touch $@

$(VERL07)/.deps: pyproject.toml | dist/.built
	@echo "Making the virtual environment $(VERL07)"
	@$(PYTHON) -m venv $(VERL07)
	@$(VERL07)/bin/python -m pip install -qq "torch==2.13.0"
	@$(VERL07)/bin/python -m pip install -qq "verl==0.7.0" "$(WHEEL)[dev]" "transformers<5" "pyarrow<22"
	@touch $@

$(SKYRL)/.deps: pyproject.toml | dist/.built
	@echo "Making the virtual environment $(SKYRL)"
	@$(PYTHON) -m venv $(SKYRL)
	@$(SKYRL)/bin/python -m pip install -qq "$(WHEEL)[dev]" "skyrl-gym==0.4.0"
	@touch $@

# AReaL pins a torch of its own, and the parts that are met here need none.
$(AREAL)/.deps: pyproject.toml | dist/.built
	@echo "Making the virtual environment $(AREAL)"
	@$(PYTHON) -m venv $(AREAL)
	@$(AREAL)/bin/python -m pip install -qq "$(WHEEL)[dev,ray]" "colorlog>=6"
	@$(AREAL)/bin/python -m pip install -qq --no-deps "areal==1.0.4"
	@touch $@

$(VLLM)/.vllm: deploy/install_vllm.sh
	@echo "Installing vLLM into $(VLLM)"
	@PYTHON="$(PYTHON)" deploy/install_vllm.sh $(VLLM)
	@touch $@

$(VLLM)/.deps: $(VLLM)/.vllm pyproject.toml | dist/.built
	@echo "Installing what the demo needs into $(VLLM)"
	@$(VLLM)/bin/python -m pip install -qq "$(WHEEL)[demo]"
	@touch $@

$(VLLM)/.tests: $(VLLM)/.wheel
	@echo "Installing the test tools into $(VLLM)"
	@$(VLLM)/bin/python -m pip install -qq "$(WHEEL)[dev,deploy,dns,etcd]"
	@touch $@
