# make run: the whole program on its embedded data. make test: its tests. make bench: its
# speed beside PyTorch's; on a GPU with PRESET=full EXTRAS=reference,cuda13. make paper:
# the paper's tables and figures on the embedded data, as one page. make docs: the
# documentation as a site in site/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint bench paper docs clean
PRESET ?= small
EXTRAS ?= reference

run: $(VENV)/.base
	$(BIN)/python -m fdbpl_jax.main --config=configs/base2new.py

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

$(VENV)/.base: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks.run --config=benchmarks/configs/$(PRESET).py --out=bench

paper: $(VENV)/.base
	$(BIN)/python -m fdbpl_jax.paper run --workdir=runs

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

$(VENV)/.docs: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@

$(VENV)/.bench: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	touch $@

clean:
	rm -rf $(VENV) runs site
