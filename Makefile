# One word per chore. Every target that needs the environment makes it first, on a bare machine too.
VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: demo test test-fast check bench clean

demo: $(STAMP)            ## the main job on real data, in about a minute
	$(PY) notebooks/demo.py

test: $(STAMP) check      ## everything
	$(PY) -m pytest -q
	$(PY) -m pytest -q --nbval-lax --nbval-current-env --nbval-cell-timeout 120 --timeout 0 notebooks

test-fast: $(STAMP)       ## no Redis, no processes: seconds
	$(PY) -m pytest -q -m "not cluster and not redis and not slow"

check: $(STAMP)           ## style, types, import rules
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: $(STAMP)           ## start-up times against their targets
	$(PY) benchmarks/startup.py

clean:
	rm -rf $(VENV)

$(STAMP): pyproject.toml scripts/make-environment
	scripts/make-environment $(VENV)
	touch $@
