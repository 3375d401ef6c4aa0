# One-word commands. `make` alone says what there is.

.DEFAULT_GOAL := help
.PHONY: setup board-setup build compare deploy validate train test test-quick lint docs bench clean help
.DELETE_ON_ERROR:
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3.11
VENV ?= .venv
BOARD_VENV ?= .venv-board
BOOTSTRAP ?= .bootstrap
JOBS ?= 2

MODEL ?=
CONFIG ?=
BOARD ?=
TARGET_FPS ?=
TARGET_LATENCY_NS ?=
OUT ?=
WEIGHTS ?=
INPUT_RANGE ?=
MODEL_CLASS ?=
INPUT_SHAPE ?=
SET ?=
HOST ?=
PORT ?=
N ?= 20
POLICY ?=
BITS ?=
SEED ?=
SCHEDULER ?=

stamp := $(VENV)/.a2q-installed
board_stamp := $(BOARD_VENV)/.a2q-installed
# pynq and Python of boards' images; tests run the driver with them
images := 2.7.0-3.8 3.0.1-3.10 3.1.2-3.10
image_stamps := $(foreach image,$(images),.venv-pynq-$(firstword $(subst -, ,$(image)))/.a2q-installed)
bin := $(VENV)/bin
export A2Q_BOARD_PYTHON ?= $(abspath $(BOARD_VENV))/bin/python
# uv does not read pip's settings: where PIP_FIND_LINKS offers a local CPU build of torch, that is taken
uv := $(if $(PIP_FIND_LINKS),UV_FIND_LINKS="$(PIP_FIND_LINKS)") $(BOOTSTRAP)/bin/uv
torch := $(if $(PIP_FIND_LINKS),,--torch-backend cpu)

setup: $(stamp)  ## make the environment in .venv (the other commands do it too, once)

$(BOOTSTRAP)/bin/uv:
	$(PYTHON) -m venv $(BOOTSTRAP)
	$(BOOTSTRAP)/bin/python -m pip install --quiet uv==0.13.8

# compiled here once: where a build cannot write bytecode, as in a container, imports alone take it 13 s more each time
$(stamp): pyproject.toml constraints.txt | $(BOOTSTRAP)/bin/uv
	test -x $(bin)/python || $(BOOTSTRAP)/bin/uv venv --quiet --python $(PYTHON) $(VENV)
	$(uv) pip install --python $(bin)/python --compile-bytecode $(torch) --constraint constraints.txt --editable '.[dev]'
	touch $@

board-setup: $(board_stamp)  ## make the environment in .venv-board for what talks to boards (deploy, validate and test do it too)

# pynq needs an older numpy than the pipeline
$(board_stamp): hw/driver/requirements.txt | $(BOOTSTRAP)/bin/uv
	test -x $(BOARD_VENV)/bin/python || $(BOOTSTRAP)/bin/uv venv --quiet --python $(PYTHON) $(BOARD_VENV)
	$(uv) pip install --python $(BOARD_VENV)/bin/python --requirement $<
	touch $@

# with the Python of the image if this machine has one, on the path or of pyenv, and with $(PYTHON) if not, which the tests
# tell; without this project's own settings of uv
.venv-pynq-%/.a2q-installed: tests/driver/images/%.txt | $(BOOTSTRAP)/bin/uv
	version=$(lastword $(subst -, ,$(filter $*-%,$(images)))); \
	for python in "$$(command -v "python$$version")" ~/.pyenv/versions/"$$version".*/bin/python $(PYTHON); do \
	    if "$$python" -c '' 2>/dev/null; then break; fi; \
	done; \
	test -x $(@D)/bin/python || $(BOOTSTRAP)/bin/uv venv --quiet --python "$$python" $(@D)
	$(uv) pip install --no-config --quiet --python $(@D)/bin/python --requirement $<
	touch $@

each = $(foreach value,$(2),--$(1) '$(value)')

build: $(stamp)  ## build an accelerator: MODEL= CONFIG= BOARD= TARGET_FPS= TARGET_LATENCY_NS= OUT= WEIGHTS= SET=; of yours INPUT_RANGE= MODEL_CLASS= INPUT_SHAPE=
	@$(bin)/a2q build $(if $(MODEL),'$(MODEL)') $(if $(CONFIG),--config '$(CONFIG)') $(if $(BOARD),--board '$(BOARD)') \
	    $(if $(TARGET_FPS),--target-fps '$(TARGET_FPS)') \
	    $(if $(TARGET_LATENCY_NS),--target-latency-ns '$(TARGET_LATENCY_NS)') \
	    $(if $(OUT),--out '$(OUT)') $(if $(WEIGHTS),--weights '$(WEIGHTS)') \
	    $(if $(INPUT_RANGE),--input-range '$(INPUT_RANGE)') $(if $(MODEL_CLASS),--model-class '$(MODEL_CLASS)') \
	    $(if $(INPUT_SHAPE),--input-shape '$(INPUT_SHAPE)') $(call each,set,$(SET))

compare: $(stamp)  ## build and compare, each a list: MODEL= POLICY= BITS= BOARD= TARGET_FPS= SEED=; CONFIG= OUT= WEIGHTS= SET= SCHEDULER= JOBS=
	@$(bin)/a2q compare $(foreach name,$(MODEL),'$(name)') $(if $(CONFIG),--config '$(CONFIG)') \
	    $(call each,policy,$(POLICY)) $(call each,bits,$(BITS)) $(call each,board,$(BOARD)) \
	    $(call each,target-fps,$(TARGET_FPS)) $(call each,seed,$(SEED)) $(if $(WEIGHTS),--weights '$(WEIGHTS)') \
	    $(call each,set,$(SET)) $(if $(OUT),--out '$(OUT)') $(if $(SCHEDULER),--scheduler '$(SCHEDULER)') \
	    $(if $(filter-out file,$(origin JOBS)),--jobs '$(JOBS)')

ifneq ($(filter deploy validate,$(MAKECMDGOALS)),)
$(if $(BOARD),,$(error BOARD= is missing: BOARD=sim, or the name of a board that `a2q boards` lists, with HOST=<its address>))
endif

on_board = '$(BOARD)' \
    $(if $(HOST),--host '$(HOST)') $(if $(PORT),--port '$(PORT)') $(if $(MODEL),--model '$(MODEL)') \
    $(if $(CONFIG),--config '$(CONFIG)') $(if $(TARGET_FPS),--target-fps '$(TARGET_FPS)') \
    $(if $(OUT),--out '$(OUT)') $(if $(WEIGHTS),--weights '$(WEIGHTS)') $(call each,set,$(SET))

deploy: $(stamp) $(board_stamp)  ## build, and run the golden frames on a board: BOARD=sim, or BOARD=Pynq-Z2 HOST=<address>
	@$(bin)/a2q deploy $(on_board)

validate: $(stamp) $(board_stamp)  ## build, and run N= test images on a board, as deploy does
	@$(bin)/a2q validate $(on_board) --images '$(N)'

train: $(stamp)  ## train a network: CONFIG= names a file of build_configs/train/, OUT= where it goes
	@$(bin)/a2q train $(or $(CONFIG),cifar10_quant_resnet8_w4a4) $(if $(OUT),--out '$(OUT)')

# each test that a worker dies of needs another worker; xdist gives up after 8
test: $(stamp) $(board_stamp) $(image_stamps)  ## run all tests; A2Q_DATA= names the folder of data sets and networks that some need
	@$(bin)/python -m pytest -n $(JOBS) --dist loadgroup --max-worker-restart 100

test-quick: $(stamp)  ## run the tests that are pure Python, in minutes: nothing is simulated, synthesized or trained
	@$(bin)/python -m pytest -n $(JOBS) --dist loadgroup --quick -r fE

lint: $(stamp)  ## check Python with ruff, mypy and import-linter, docker/ with hadolint and shellcheck, hw/rtl with Verilator, Yosys and slang
	@$(bin)/ruff check
	@$(bin)/ruff format --check
	@$(bin)/mypy
	@$(bin)/lint-imports --no-cache
	@$(bin)/hadolint docker/*Dockerfile
	@$(bin)/shellcheck docker/*.sh .ci/run
	@$(bin)/python -m pytest --quiet -p no:cacheprovider tests/hw/test_lint.py

docs: $(stamp)  ## make build/site, the documentation as pages
	@$(bin)/mkdocs build --strict --quiet --config-file docs/site/mkdocs.yml
	@echo "build/site/index.html"

bench: $(stamp)  ## measure time, memory and cost with the scripts of benchmarks/
	@for script in benchmarks/*.py; do echo "== $$script"; $(bin)/python "$$script"; done

clean:  ## remove build/, with all results that are kept there
	rm -rf build

help:  ## this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
