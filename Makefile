# One command a line; `make` lists them. Everything is installed into .venv, at the versions of requirements.lock.

# The Pythons to try, in this order: the first that runs and is 3.11-3.13 makes .venv. Name one with `make PYTHON=...`.
PYTHON ?= python3 python3.13 python3.12 python3.11 python
FITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
VENV := .venv
RUN := $(VENV)/bin/

# Keras's ImageNet weights, where a machine keeps them beside the checkout; elsewhere Keras downloads them once.
ifneq ($(wildcard ../shared/keras),)
export KERAS_HOME ?= $(abspath ../shared/keras)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Each step needs what the one before it installed.
.NOTPARALLEL:
.PHONY: help demo lab page serve data notebooks models detectors sample test quick system bench lock wheels lint clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.detection ## Detect on data/examples, after installing what detection needs and nothing more
	@echo "Detecting on data/examples ..."
	@$(RUN)python 03-detect_face_using_mask.py --image "data/examples/*.jpg" --output output \
		--csv output/faces.csv --json output/faces.json --no-show
	@echo "Annotated pictures: output/"
	@echo "Table of the faces: output/faces.csv, and as JSON output/faces.json"

lab: $(VENV)/.everything ## Open the project in JupyterLab, at notebook 03
	@# The notebook is named in the address: as an argument, it would make its folder the root.
	@$(RUN)jupyter lab "--LabApp.default_url=/lab/tree/notebooks/03-detect_face_using_mask.ipynb?file-browser-path=/"

page: $(VENV)/.page ## Build the web page that runs both models in the browser, into output/page (needs npm)
	@$(RUN)python -m utils.web build

serve: page ## Serve the web page on this machine, at http://localhost:8000/
	@$(RUN)python -m utils.web serve

data: $(VENV)/.data ## Fetch the public data sets into data/raw (SETS="faces scenes": these only)
	@$(RUN)python -m utils.collect data $(SETS)

notebooks: $(VENV)/.everything ## Run the notebooks on the sample, in place, and keep the outputs of tagged cells
	@# What is kept is published, so it must show the sample and nobody's photographs.
	@for notebook in notebooks/*.ipynb; do echo "Running $$notebook ..."; \
		FACE_MASK_SAMPLE=1 PATH="$(CURDIR)/$(RUN):$$PATH" jupyter nbconvert --to notebook --execute --inplace "$$notebook" || exit 1; done
	@# The first run strips and reports that it did; the second passes.
	@$(RUN)pre-commit run nbstripout --all-files >/dev/null || $(RUN)pre-commit run nbstripout --all-files

# Notebook 04 compares with other detectors. They are fetched first, since 02 takes hours.
models: data/raw $(VENV)/.everything detectors ## Train the shipped models again on data/raw, and write their cards (hours)
	@mkdir -p output
	@for name in 02-train_mask_classifier 04-train_face_detector; do echo "Running notebook $$name ..."; \
		PATH="$(CURDIR)/$(RUN):$$PATH" papermill --cwd notebooks -p DATA ../data/raw -p PUBLISH True \
		"notebooks/$$name.ipynb" "output/$$name.ipynb" || exit 1; done

data/raw:
	@echo "Training needs photographs in data/raw: run \`make data\` or notebook 01 first." >&2; exit 1

detectors: $(VENV)/.detectors ## Fetch the face detectors of other projects, with checksums
	@$(RUN)python -m utils.detect

sample: $(VENV)/.everything ## Draw data/sample again, from the pictures in data/examples
	@$(RUN)python -m tests.small_data data/sample

# System packages come first: one of them may be the module that makes .venv.
test: system $(VENV)/.everything ## Pass every test and run every notebook on the sample, after installing the rest
	@$(RUN)python -m utils.web build || echo "The tests of the web page are skipped."
	@echo "Testing ..."
	@$(RUN)python -m pytest

quick: $(VENV)/.everything ## Pass the tests that need no training, browser, window or notebook
	@$(RUN)python -m pytest tests --numprocesses auto --dist worksteal \
		-m "not (training or browser or display or shared or slow)"

system: ## Install what the tests need from the system: Chromium, Xvfb, xdotool, libraries
	@bash tests/setup_system.sh

bench: $(VENV)/.everything ## Print the speed of detection as ratios, both sides in one run
	@$(RUN)python -m tests.bench
	@$(RUN)python -m tests.bench_video

lock: | $(RUN)python ## Pin what pyproject.toml asks for, for all platforms (UPGRADE=1: at the newest versions)
	@$(RUN)uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --no-emit-index-url \
		--all-extras --annotation-style line --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) \
		pyproject.toml --output-file requirements.lock
	@echo "Wrote requirements.lock"

# labelImg is pure Python and has no wheel; pip builds it. ONNX Runtime and PyAV need macOS 14.
PLATFORMS := x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu aarch64-apple-darwin x86_64-pc-windows-msvc
wheels: | $(RUN)python ## Check that all pins but labelImg have wheels for Linux, macOS and Windows
	@for platform in $(PLATFORMS); do for version in 3.11 3.12 3.13; do \
		grep -vi '^labelimg==' requirements.lock | MACOSX_DEPLOYMENT_TARGET=14.0 $(RUN)uv pip compile --quiet \
			--no-build --no-header --no-annotate --python-platform $$platform --python-version $$version - >/dev/null \
			|| exit 1; \
		echo "$$platform, Python $$version: every package has a wheel."; done; done

lint: $(VENV)/.lint ## Check and mend code and notebooks with ruff and nbstripout, as before a commit
	@PATH="$(CURDIR)/$(RUN):$$PATH" pre-commit run --all-files

clean: ## Remove .venv, output/ and caches; data/ and model/ stay
	rm -rf $(VENV) output *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN)python:
	@for python in $(PYTHON); do \
		"$$python" -c '$(FITS)' 2>/dev/null || continue; \
		echo "Making $(VENV) with $$("$$python" --version) ..."; \
		"$$python" -m venv --clear $(VENV); exit; \
	done; \
	echo "This needs Python 3.11, 3.12 or 3.13 with its venv module (Debian: python3-venv): install it, or say make PYTHON=/path/to/python3." >&2; \
	exit 1
	@$(RUN)python -m pip install --quiet --constraint requirements.lock uv \
		|| echo "uv is not to be had here; pip installs instead, which takes longer."

$(VENV)/.detection: PACKAGES := .
$(VENV)/.detection: PURPOSE := detection needs
$(VENV)/.data: PACKAGES := .[data]
$(VENV)/.data: PURPOSE := fetching the data needs
$(VENV)/.detectors: PACKAGES := .[models]
$(VENV)/.detectors: PURPOSE := fetching the detectors needs
$(VENV)/.page: PACKAGES := .[web]
$(VENV)/.page: PURPOSE := building the web page needs
$(VENV)/.lint: PACKAGES := .[dev]
$(VENV)/.lint: PURPOSE := the checks need
$(VENV)/.everything: PACKAGES := .[cluster,data,litert,models,notebooks,video,web,dev]
$(VENV)/.everything: PURPOSE := the notebooks and tests need; TensorFlow makes this a few minutes
$(VENV)/.detection $(VENV)/.data $(VENV)/.detectors $(VENV)/.page $(VENV)/.lint $(VENV)/.everything: pyproject.toml requirements.lock | $(RUN)python
	@echo "Installing into $(VENV) what $(PURPOSE) ..."
	@if [ -x $(RUN)uv ] && $(RUN)uv pip install --python $(RUN)python --compile-bytecode \
		--constraint requirements.lock --editable "$(PACKAGES)"; then :; else \
		$(RUN)python -m pip install --constraint requirements.lock --editable "$(PACKAGES)"; fi
	@touch $@
