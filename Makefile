# make quickstart   set up, fetch faces and weights, train, verify, compare (about ten minutes)
# make test         set up, run the tests
# make lint         check style
# make bench        print every measured figure
#
# EXTRA=cu112 make quickstart   uses the CUDA build of MXNet instead of the CPU build.

EXTRA ?= cpu
VENV  ?= .venv
RUN   := $(VENV)/bin/python

.PHONY: setup quickstart test lint bench clean

setup: $(VENV)/.installed-$(EXTRA)

$(VENV)/.installed-$(EXTRA): setup.py pyproject.toml
	@sh tools/make_venv.sh $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRA),export,serve,tensorboard,test]'
	@touch $@

quickstart: setup
	$(RUN) recipes/quickstart.py

test: setup
	$(RUN) -m pytest

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

bench: setup
	$(RUN) -m benchmarks

clean:
	rm -rf $(VENV) build *.egg-info
