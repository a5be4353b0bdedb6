# Needs Python 3.11 or newer and make; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DATA ?= digits

# Threads that wait without spinning: on a busy machine, several times faster.
export OMP_WAIT_POLICY = passive

.PHONY: demo test long lint docs viewer clean

demo: $(VENV)/run.stamp  ## encrypt, train, classify, decrypt: a table and a picture in demo-output/
	$(BIN)/python examples/demo.py --data $(DATA)
	$(BIN)/ricsk demo

# A file goes to one process as a whole, which makes once what its tests share.
test: lint  ## everything a change must pass
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

long: $(VENV)/dev.stamp  ## the tests that `make test` leaves out: every example of the gallery
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m long

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy

docs: $(VENV)/dev.stamp  ## the HTML documentation, in docs/_build/html
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

viewer: viewer/node_modules/.package-lock.json  ## the page that opens sealed images, with node 20.19 or newer
	cd viewer && npm run --silent build

clean:
	rm -rf $(VENV) viewer/node_modules viewer/dist docs/_build docs/api docs/auto_examples docs/sg_execution_times.rst demo-output

$(VENV)/run.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable ".[plot]"
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable ".[test,docs]"
	touch $@ $(VENV)/run.stamp

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

viewer/node_modules/.package-lock.json: viewer/package-lock.json
	cd viewer && npm ci --silent
	touch $@
