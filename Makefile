# make demo | make test | make lint. Each makes .venv first; PYTHON picks the interpreter, VENV the folder.
PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python

.PHONY: demo test lint clean

demo: $(VENV)/.demo
	$(PY) -m talking_heads.host.cli demo

test: $(VENV)/.test
	$(PY) -m pytest $(ARGS)

lint: $(VENV)/.test
	$(PY) -m ruff check .

# torch by version and first: the loose "torch" of the extra is then already satisfied and nothing larger replaces it.
$(PY):
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install torch==2.13.0

$(VENV)/.demo: $(PY) pyproject.toml
	$(PY) -m pip install -e ".[cpu]"
	@touch $@

$(VENV)/.test: $(PY) pyproject.toml
	$(PY) -m pip install -e ".[cpu,test]"
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) output build *.egg-info
