# make quickstart   set up, fetch faces and weights, train, verify, compare (some minutes)
# make recipes      run the small form of every recipe and rewrite its figures (docs/recipes.md)
# make test         set up, run the tests
# make lint         check style
# make bench        print every measured figure
# make test-without-mxnet   in an environment of its own: Python 3.13 if there is one, numpy 2, no
#                   MXNet; runs the tests that need none
# make mutants      put known faults into the code and demand that the tests named beside each fail
# make fuzz-graphs  compare N random graphs, rewritten for a CPU, with float64 (N=1000: a minute)
# make fuzz-readers try every reader of files with N damaged ones, or one: READER=lst N=10000
# make parity       train every network and loss three steps on MXNet, PyTorch and in float64 (hours)
# make kills        kill processes that rewrite sets of files N times each (N=100: three minutes)
# make page         try the web page in Chromium, with axe-core; skipped where there is none
# make service-kills  kill the service N times while it stores and is backed up (N=300: half an hour)
# make service-hostile  send the service 600 bodies, 100 raw requests, 50 names, 180 tokens and paths
#
# EXTRA=cu112 make quickstart   uses the CUDA build of MXNet instead of the CPU build.

EXTRA ?= cpu
VENV  ?= .venv
RUN   := $(VENV)/bin/python
LIGHT := .venv-without-mxnet
LIGHT_RUN := $(LIGHT)/bin/python

N     ?= 1000

.PHONY: setup quickstart recipes test test-without-mxnet lint bench mutants fuzz-graphs fuzz-readers \
	kills parity page service-kills service-hostile clean

setup: $(VENV)/.installed-$(EXTRA)

$(VENV)/.installed-$(EXTRA): setup.py pyproject.toml
	@sh tools/make_venv.sh $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRA),export,serve,tensorboard,test]'
	@touch $@

quickstart: setup
	$(RUN) recipes/quickstart.py

recipes: setup
	$(RUN) recipes/run_recipes.py

# Two processes; each file's tests stay together.  More threads than cores would only spin.  A
# process that dies ends the run, which would wait for ever for one in its place.
test: setup
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --max-worker-restart 0 --dist loadfile

$(LIGHT)/.installed: setup.py pyproject.toml tools/make_venv.sh
	@sh tools/make_venv.sh $(LIGHT) without-mxnet
	$(LIGHT_RUN) -m pip install --quiet --disable-pip-version-check -e '.[embed,export,serve,test]' 'numpy>=2'
	@touch $@

# The pretrained networks are made with MXNet, so the other environment fetches them.
test-without-mxnet: setup $(LIGHT)/.installed
	-@$(RUN) -m arcface_mxnet.fetch.sources fetch sface mtcnn
	@$(LIGHT_RUN) -c "import sys, numpy; print('Python', sys.version.split()[0], 'numpy', numpy.__version__, 'without MXNet')"
	OMP_NUM_THREADS=1 $(LIGHT_RUN) -m pytest -q -n 2 --max-worker-restart 0 --dist loadfile -p tests.without_mxnet --at-least 1200

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

bench: setup
	$(RUN) -m benchmarks

mutants: setup
	$(RUN) -m tests.mutants run

fuzz-graphs: setup
	$(RUN) -m tests.ops.fuzz_graphs $(N)

fuzz-readers: setup
	OMP_NUM_THREADS=1 $(RUN) -m tests.fuzz $(READER) -n $(N)

parity: setup
	$(RUN) -m tests.torch_engine.parity $(GRAPHS) $(if $(RESULTS),--results $(RESULTS))

kills: N = 100
kills: setup
	$(RUN) -m tests.kills $(N)

page: setup
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[browser]'
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -rs tests/serve/test_page.py

service-kills: N = 300
service-kills: setup
	$(RUN) -m tests.serve.killing $(N)

service-hostile: setup
	$(RUN) -m tests.serve.hostile

clean:
	rm -rf $(VENV) $(LIGHT) build *.egg-info
