# Every target sets up what it needs: a machine with Python 3.11, a C++ compiler and make is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CONSTRAINED := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

# The pages are tested in Debian's Chromium; where there is none, those tests are left out, and it is said.
ifeq ($(wildcard /usr/bin/chromium),)
WITHOUT_BROWSER := --ignore=tests/browser
$(info No /usr/bin/chromium: the browser tests are left out. To run them: apt-get install chromium)
endif

.PHONY: tune test test-slow check fuzz matrix families example-service example-batch clean

# Without a GPU: pip finds PyTorch's CPU build under the exact pin in constraints.txt.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sol needs Python 3.11 or later: make PYTHON=python3.11")'
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(CONSTRAINED) torch
	$(CONSTRAINED) -e '.[tune,train,test]'
	touch $@

tune: $(INSTALLED)
	$(BIN)/sol tune --model pocket --budget quick

test: $(INSTALLED)
	$(BIN)/pytest $(WITHOUT_BROWSER)

test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow $(WITHOUT_BROWSER)

# 10,000 mutated recipes.
fuzz: $(INSTALLED)
	$(BIN)/pytest -m slow tests/test_recipe_fuzz.py

# Which technique works on which family of models: docs/matrix.md.
matrix: $(INSTALLED)
	-$(BIN)/pytest -q -m 'not gpu' --junitxml=build/contracts.xml tests/contracts/test_technique_contract.py
	$(BIN)/python tests/contracts/matrix.py docs/matrix.md build/contracts.xml

# sol inspect on a tiny pipeline of each family.
families: $(INSTALLED)
	$(BIN)/python tests/inspect_families.py build/families

# A service that makes videos with a shipped recipe, on http://127.0.0.1:8000.
example-service: $(INSTALLED)
	$(BIN)/python examples/service/service.py recipes/pocket/cpu-amd-epyc.yaml --allow hardware

# A file of prompts, by actors of Ray.
example-batch: $(INSTALLED)
	$(BIN)/python examples/batch/batch.py recipes/pocket/cpu-amd-epyc.yaml examples/batch/prompts.txt -o runs/batch --allow hardware

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p sol
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
