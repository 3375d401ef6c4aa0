# One-word commands. `make` alone says what there is.

.DEFAULT_GOAL := help
.PHONY: setup build train test lint bench clean help
.DELETE_ON_ERROR:
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3.11
VENV ?= .venv
BOOTSTRAP ?= .bootstrap
JOBS ?= 2

MODEL ?=
CONFIG ?=
BOARD ?=
TARGET_FPS ?=
OUT ?=
WEIGHTS ?=

stamp := $(VENV)/.a2q-installed
bin := $(VENV)/bin
# uv does not read pip's settings: where PIP_FIND_LINKS offers a local CPU build of torch, that is taken
uv := $(if $(PIP_FIND_LINKS),UV_FIND_LINKS="$(PIP_FIND_LINKS)") $(BOOTSTRAP)/bin/uv
torch := $(if $(PIP_FIND_LINKS),,--torch-backend cpu)

setup: $(stamp)  ## make the environment in .venv (the other commands do it too, once)

$(BOOTSTRAP)/bin/uv:
	$(PYTHON) -m venv $(BOOTSTRAP)
	$(BOOTSTRAP)/bin/python -m pip install --quiet uv==0.13.8

$(stamp): pyproject.toml | $(BOOTSTRAP)/bin/uv
	test -x $(bin)/python || $(BOOTSTRAP)/bin/uv venv --quiet --python $(PYTHON) $(VENV)
	$(uv) pip install --python $(bin)/python $(torch) --editable '.[dev]'
	touch $@

build: $(stamp)  ## build an accelerator: MODEL= CONFIG= BOARD= TARGET_FPS= OUT= WEIGHTS=
	@$(bin)/a2q build $(if $(MODEL),'$(MODEL)') $(if $(CONFIG),--config '$(CONFIG)') $(if $(BOARD),--board '$(BOARD)') \
	    $(if $(TARGET_FPS),--target-fps '$(TARGET_FPS)') $(if $(OUT),--out '$(OUT)') $(if $(WEIGHTS),--weights '$(WEIGHTS)')

train: $(stamp)  ## train a network: CONFIG= names a file of build_configs/train/, OUT= where it goes
	@$(bin)/a2q train $(or $(CONFIG),cifar10_quant_resnet8_w4a4) $(if $(OUT),--out '$(OUT)')

test: $(stamp)  ## run all tests; A2Q_DATA= names the folder of data sets and networks that some need
	@$(bin)/python -m pytest -n $(JOBS)

lint: $(stamp)  ## check Python with ruff, and every module of hw/rtl with Verilator
	@$(bin)/ruff check
	@$(bin)/ruff format --check
	@$(bin)/python -m pytest --quiet -p no:cacheprovider tests/hw/test_lint.py

bench: $(stamp)  ## measure time, memory and cost with the scripts of benchmarks/
	@for script in benchmarks/*.py; do echo "== $$script"; $(bin)/python "$$script"; done

clean:  ## remove build/, with all results that are kept there
	rm -rf build

help:  ## this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
