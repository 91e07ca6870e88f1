# make demo | make test | make lint. Each makes .venv first; PYTHON picks the interpreter, VENV the folder.
PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python

# An installed pack points at its folder: when that has moved, or the environment served another checkout, it is installed again.
PLACE  := $(VENV)/.place
ifneq ($(shell cat "$(PLACE)" 2>/dev/null),$(shell pwd -P))
MOVED  := moved
endif

.PHONY: demo test lint clean moved

demo: $(VENV)/.demo
	$(PY) -m talking_heads.cli demo

test: $(VENV)/.test
	$(PY) -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

lint: $(VENV)/.lint
	$(PY) -m ruff check .
	$(PY) tests/check_types.py $(TYPES)

# torch by version and first: the loose "torch" of the extra is then already satisfied and nothing larger replaces it.
$(PY):
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install torch==2.13.0

$(VENV)/.demo: $(PY) pyproject.toml $(MOVED)
	$(PY) -m pip install -e ".[cpu]"
	@touch $@ && pwd -P > "$(PLACE)"

$(VENV)/.test: $(PY) pyproject.toml $(MOVED)
	$(PY) -m pip install -e ".[cpu,test]"
	@touch $@ $(VENV)/.demo && pwd -P > "$(PLACE)"

$(VENV)/.lint: $(VENV)/.test
	$(PY) -m pip install -e ".[lint]"
	@touch $@

clean:
	rm -rf $(VENV) output build *.egg-info
