# One word per chore. Every target that needs the environment makes it first, on a bare machine too.
VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
TEST_STARTED := $(VENV)/.test-started
COMPILED := $(VENV)/.compiled
SPARK_CLASSES := $(VENV)/spark.jsa
UNITS := not frameworks and not cluster and not redis and not docker and not kubernetes and not r and not spark and not browser
FAST := $(UNITS) and not slow
WITH_ENGINE := not frameworks and not serial and not kubernetes and docker
IN_BROWSER := not serial and not kubernetes and not docker and browser
WITHOUT_ENGINE := not frameworks and not ($(UNITS)) and not serial and not kubernetes and not docker and not browser
ASK_THE_ENGINE := tests/container_managers tests/end_to_end tests/images tests/test_wheel.py
SERIAL := not frameworks and not ($(UNITS)) and not kubernetes and serial
IN_KUBERNETES := kubernetes
# What looks at the sources alone runs two at a time, and beside it the engine starts: before the compiler, which installs the
# package anew.
# Units and notebooks: each file in one process, the short ones last, two at a time on two cores. Tests with clusters run in two
# processes, of which one alone asks the engine: two at a time make it slow. The long ones begin, so that no process waits for
# the other at the end: short ones go where there is room. Those that measure times run after them all. What asks the engine is in
# few folders, and thousands of other tests need not be collected to find it.
WITH_CLUSTERS := test-with-engine test-without-engine test-in-browser test-r-package
BY_FILE := --dist loadfile --no-loadscope-reorder
UNIT_WORKERS ?= 2
# Seconds of test-fast go into imports: its two processes share no file, which those of pytest-xdist both import, and tests that
# need a cluster are in neither. Properties are tried with a tenth of the examples.
SERVING := tests/protocol tests/runtime
WITHOUT_CLUSTERS := --ignore=tests/browser --ignore=tests/end_to_end/docker --ignore-glob='tests/end_to_end/test_*.py'
FEW_EXAMPLES := --hypothesis-profile=fast
FRAMEWORKS_VENV ?= .venv-frameworks
PYTHONS ?= 3.10 3.12 3.13
RELEASED_FOR ?= 3.11 $(PYTHONS)
# Without bytecode each process compiles what it imports, and pytest rewrites hundreds of files in each of its own.
unexport PYTHONDONTWRITEBYTECODE
NBVAL := -p nbval --nbval-current-env --nbval-cell-timeout 120 --timeout 0
# JVMs of tests live for seconds. With these options, and Spark's classes from a file, each starts with a quarter of the computing.
SHORT_JVMS = JDK_JAVA_OPTIONS="$$($(PY) -m tests.support.jvms)"
ON_KUBERNETES := notebooks/10_kubernetes.ipynb
# Run a second time, to see that the first left nothing; the others begin and end their clusters alike.
AGAIN := notebooks/01_quickstart.ipynb notebooks/05_versions.ipynb

.PHONY: demo demo-docker compile interpreted test test-with-engine test-without-engine test-in-browser test-notebooks-again test-reprs test-all test-r-package test-kubernetes test-frameworks test-fast test-fast-serving test-fast-notebook test-pythons fuzz cuts check docs lock dist screenshots bench bench-quick engine wrk clean

demo: $(STAMP)            ## the main job on real data, in about a minute
	$(PY) notebooks/demo.py

demo-docker: $(STAMP) engine  ## the same, with every process in a container
	$(PY) notebooks/demo.py --docker

compile: $(COMPILED)      ## what a query passes through, to C: half as many queries again; needs a compiler and a minute

interpreted:              ## back to plain Python
	find clipper_nb -name '*.so' -delete
	rm -f *__mypyc.*.so $(COMPILED) $(wildcard .venv*/.compiled)

test: $(STAMP)            ## every test on a cluster that it needs: the units interpreted first, then all of it compiled
	$(MAKE) -j 2 check docs engine
	touch $(TEST_STARTED)
	VENV=$(abspath $(VENV)) scripts/test-tools
	$(MAKE) interpreted
	$(PY) -m pytest -q -m "$(UNITS)" -n $(UNIT_WORKERS) $(BY_FILE) --durations-file=.durations/interpreted.txt tests/runtime tests/protocol
	$(MAKE) -j 2 compile $(SPARK_CLASSES)
	$(PY) -m pytest -q -m "$(UNITS)" -n $(UNIT_WORKERS) $(BY_FILE) --durations-file=.durations/units.txt
	$(MAKE) -j 2 $(WITH_CLUSTERS)
	$(PY) -m pytest -q -m "$(SERIAL)" $(EVERYTHING) --durations-file=.durations/serial.txt tests/end_to_end
	$(SHORT_JVMS) $(PY) -m pytest -q --nbval-lax $(NBVAL) -n $(UNIT_WORKERS) $(BY_FILE) --ignore=$(ON_KUBERNETES) notebooks
	$(MAKE) -j 2 test-notebooks-again test-reprs
	$(PY) -m tests.support.leftovers $(TEST_STARTED)

test-with-engine: $(STAMP)
	$(PY) -m pytest -q -m "$(WITH_ENGINE)" $(EVERYTHING) --durations-file=.durations/with-engine.txt $(ASK_THE_ENGINE)

test-in-browser: $(STAMP)
	scripts/own-network $(PY) -m pytest -q -m "$(IN_BROWSER)" $(EVERYTHING) --durations-file=.durations/in-browser.txt tests/browser

test-without-engine: $(STAMP)
	$(PY) -m pytest -q -m "$(WITHOUT_ENGINE)" $(EVERYTHING) --durations-file=.durations/without-engine.txt

test-notebooks-again: $(STAMP)
	$(SHORT_JVMS) $(PY) -m pytest -q --nbval-lax $(NBVAL) -n $(UNIT_WORKERS) $(BY_FILE) --ignore=$(ON_KUBERNETES) $(AGAIN)

test-reprs: $(STAMP)
	$(PY) -m pytest -q --nbval $(NBVAL) tests/notebooks

test-all: $(STAMP)        ## all that make test leaves out too, every cut, and minutes of fuzzing: the better part of two hours
	$(MAKE) test EVERYTHING=--everything AGAIN=notebooks
	$(MAKE) cuts
	$(MAKE) fuzz

test-r-package: $(STAMP)  ## the R package, on real clusters, in a minute
	VENV=$(abspath $(VENV)) scripts/test-tools
	scripts/check-r-package $(PY)

# The user's own cluster is left as it is, but for a namespace that the tests make and remove.
test-kubernetes: $(STAMP) engine  ## on a real Kubernetes: yours if KUBECONFIG is set, else one that root on Debian 12 gets here
	if [ -z "$$KUBECONFIG" ]; then exports=$$(scripts/kubernetes-up) && eval "$$exports" || exit 1; fi; \
	$(PY) -m pytest -q -m "$(IN_KUBERNETES)" $(EVERYTHING) --durations-file=.durations/kubernetes.txt tests/end_to_end && \
	$(PY) -m pytest -q --nbval-lax $(NBVAL) $(ON_KUBERNETES)

test-frameworks: $(STAMP) ## TensorFlow, Keras and Hugging Face, in an environment of their own: gigabytes
	[ -x $(FRAMEWORKS_VENV)/bin/python ] || $(PY) -m venv $(FRAMEWORKS_VENV)
	PIP_CONSTRAINT=constraints.txt $(FRAMEWORKS_VENV)/bin/pip install -q '.[notebook]' pytest pytest-timeout pytest-xdist hypothesis pandas scikit-learn keras tensorflow-cpu transformers torch
	for file in test_heavy_frameworks test_hugging_face; do \
	$(FRAMEWORKS_VENV)/bin/python -m pytest -q -m frameworks -o filterwarnings=default tests/end_to_end/$$file.py || exit 1; done

test-fast: $(STAMP)       ## no Redis, no processes, no Docker: half a minute
	$(MAKE) -j 2 test-fast-serving test-fast-notebook

test-fast-serving: $(STAMP)
	$(PY) -m pytest -q -m "$(FAST)" $(FEW_EXAMPLES) $(SERVING)

test-fast-notebook: $(STAMP)
	$(PY) -m pytest -q -m "$(FAST)" $(FEW_EXAMPLES) $(WITHOUT_CLUSTERS) $(addprefix --ignore=,$(SERVING))

test-pythons:             ## test-fast, interpreted and compiled, and the demo on each other Python that is installed here
	scripts/test-pythons $(PYTHONS)

dist:                     ## what is released, into dist/: each installed into an empty environment, where the demo runs; 15 minutes
	scripts/dist $(RELEASED_FOR)

fuzz: $(STAMP)            ## HTTP, RPC and predict bodies against bytes of any kind, FUZZ_MINUTES (3) for each
	for file in tests/fuzz/test_*.py; do FUZZ_MINUTES=$${FUZZ_MINUTES:-3} $(PY) -m pytest -q --timeout 0 $$file || exit 1; done

cuts: $(STAMP) engine     ## every admin call, cut at every step by every fault, into docs/cuts.md; the better part of an hour
	$(PY) -m tests.end_to_end.cuts
	$(PY) -m tests.end_to_end.cuts --docker

check: $(STAMP)           ## style, types, import rules
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

docs: $(STAMP)            ## the documentation into site/, strictly: a dead link or an unknown name ends it
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet

lock: $(STAMP)            ## constraints.txt anew, with the newest releases of all that tests and benchmarks install
	VENV=$(abspath $(VENV)) scripts/lock

screenshots: $(STAMP)     ## pictures of every panel in both themes, in docs/screenshots
	VENV=$(abspath $(VENV)) scripts/test-tools
	$(PY) -m tests.browser.screenshots

bench: $(COMPILED) wrk engine  ## everything that is measured, against its targets; the better part of an hour
	$(PY) benchmarks/throughput.py
	failed=0; for part in before.py overload.py big_bodies.py scaling.py shadow.py tokens.py own_metrics.py tls.py records.py v2.py selection.py admin.py idle.py many_deploys.py "endurance.py --frontends 2" "startup.py --docker --peers"; do $(PY) benchmarks/$$part --write || failed=1; done; exit $$failed
	$(PY) benchmarks/dashboard.py --write
	VENV=$(abspath $(VENV)) scripts/test-tools && $(PY) benchmarks/languages.py --write

bench-quick: $(COMPILED) wrk  ## throughput beside the fastest HTTP server that Python has, deploys beside the build before: minutes
	$(PY) benchmarks/throughput.py --quick
	$(PY) benchmarks/startup.py --quick

engine: $(STAMP)          ## a Docker engine that answers, with base images of the environment's Python
	PYTHON_MINOR=$$($(PY) -c 'import sys; print(sys.version_info.minor)') scripts/engine-up

wrk:                      ## the load generator
	command -v wrk >/dev/null || scripts/install-packages wrk

clean: interpreted
	rm -rf $(VENV) $(wildcard .venv-3.*) benchmarks/.environments site

$(STAMP): pyproject.toml constraints.txt scripts/make-environment
	scripts/make-environment $(VENV)
	touch $@

# Made while the compiler has one processor: it needs nothing of the package.
$(SPARK_CLASSES): $(STAMP)
	$(PY) -m tests.support.jvms $@

$(COMPILED): $(STAMP) scripts/compile $(shell find clipper_nb -name '*.py')
	VENV=$(abspath $(VENV)) scripts/compile
	touch $@
