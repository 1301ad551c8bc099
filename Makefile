# The commands of Learning to Attend. `make` alone lists them.
#
#   make book PYTHON=python3.12      another interpreter (3.11 or newer)
#   make test TORCH=2.4.1            another torch than the pinned one
#   make book PIP_FLAGS=...          flags for pip, say an index of CPU-only wheels
#   make test THREADS=4              threads of each test process, one by default

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
TORCH ?=
PORT ?= 8000
REMOTE ?= origin
WORKERS ?= 2
THREADS ?= 1
PROCESSOR ?=
# What make numbers measures; scripts of single chapters may be added: make numbers MEASURED="... heads".
MEASURED ?= translation_length translators

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := $(VENV)/bin
HTML := _build/html
READY := $(VENV)/.ready$(if $(TORCH),-torch-$(TORCH))

# Notebooks are run as they were stored: one thread, fixed hashes, pictures in the page.
FIXED := PYTHONHASHSEED=0 COLUMNS=100 \
	$(foreach library,OMP MKL OPENBLAS,$(library)_NUM_THREADS=$(THREADS)) \
	MPLBACKEND=module://matplotlib_inline.backend_inline MATPLOTLIBRC=$(CURDIR)/book
PYTEST := $(BIN)/python -m pytest
NOTEBOOKS := $(wildcard $(addprefix book/,*.ipynb appendix/*.ipynb course/*.ipynb \
	assignments/source/*/*.ipynb))
# Pages that open in Colab are tested as they would be there: alone.
ALONE := $(wildcard book/[0-9]*.ipynb) book/appendix/own.ipynb
# Of the scripts mypy looks at names and calls alone: they run for hours, and seldom.
LOOSE := arg-type assignment dict-item index list-item misc operator return-value union-attr var-annotated
# Tests are shared among workers; a notebook's cells stay together.
SHARED := -n $(WORKERS) --dist worksteal

# The pull of one target on another is by phony names: never run two at a time.
.NOTPARALLEL:
.PHONY: help setup book numbers cards offline pdf serve test test-fast lint unit check-notebooks check-site check-built-site test-elsewhere \
	release instructor grade notebooks colab publish-colab coverage wheel-check test-newest bench format repo clean distclean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

# --- set-up: once, and again only when the pins or the package's metadata change ---

setup: $(READY) ## make .venv and install the pinned requirements and attnlib

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; \
	  sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, and {sys.executable} is {v[0]}.{v[1]}: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(READY): requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check $(PIP_FLAGS) -r requirements.txt
	$(if $(TORCH),$(BIN)/python -m pip install --disable-pip-version-check $(PIP_FLAGS) "torch==$(TORCH)")
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.ready*
	@touch $@

# --- the book ---

book: $(READY) ## build the site, with warnings as errors
	@rm -rf $(HTML) # a page whose source is gone would stay
	@$(BIN)/jupyter-book build --all -W --keep-going . \
	  || { echo "The book was not built: see the warnings above." >&2; exit 1; }
	@echo
	@echo "The book: file://$(CURDIR)/$(HTML)/index.html"
	@echo "Its pages need no server; make serve gives one on http://localhost:$(PORT)"

serve: book ## build the site and serve it on localhost
	@echo "Serving on http://localhost:$(PORT) (Ctrl-C stops it)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(HTML)

offline: book ## pack the site as a zip that works from a folder
	$(BIN)/python book/_tools/offline.py

pdf: book ## print the whole book as one PDF: make pdf, or make pdf SOLUTIONS=no
	$(BIN)/python book/_tools/pdf.py --solutions "$(or $(SOLUTIONS),yes)"

cards: $(READY) ## draw what shared links and the map of the chapters show
	$(BIN)/python book/_tools/cards.py

notebooks: $(READY) ## run every notebook again and store its normalised outputs
	$(FIXED) $(BIN)/python book/_tools/notebooks.py

numbers: $(READY) ## renew what is said of the shipped models, after one has changed
	$(foreach name,$(MEASURED),OMP_NUM_THREADS=1 $(BIN)/python book/results/$(name).py &&) true
	$(BIN)/python book/_tools/readme.py
	$(BIN)/python book/_tools/course.py
	$(FIXED) $(BIN)/python book/_tools/notebooks.py

colab: $(READY) ## write the chapters' Colab notebooks
	$(BIN)/python book/_tools/colab.py

release: $(READY) ## write the assignments as students get them
	$(BIN)/python book/assignments/kit.py release

instructor: $(READY) ## solutions and hidden checks as a zip: make instructor SEED=2027
	$(BIN)/python book/assignments/kit.py instructor build/instructor.zip $(if $(SEED),--seed $(SEED))

grade: $(READY) ## grade a class: make grade SUBMISSIONS=folder; then make grade MARKS=grades/answers.csv
	$(if $(SUBMISSIONS)$(MARKS),,$(error name what was handed in: make grade SUBMISSIONS=folder (or a zip)))
	$(BIN)/python book/assignments/grade.py $(if $(SUBMISSIONS),"$(SUBMISSIONS)" --workers $(WORKERS)) \
	  --out "$(or $(GRADES),grades)" $(if $(MARKS),--marks "$(MARKS)") $(if $(ADD),--add) \
	  $(if $(SEED),--seed $(SEED)) $(if $(TIMEOUT),--timeout $(TIMEOUT)) $(if $(MEMORY),--memory $(MEMORY))

publish-colab: colab ## push them to the branch that the launch buttons open
	@export GIT_INDEX_FILE="$(CURDIR)/_build/colab.index"; rm -f "$$GIT_INDEX_FILE"; \
	git --work-tree=_build/colab add --force --all .; \
	commit=$$(git -c user.name="make colab" -c user.email=colab@localhost \
	  commit-tree "$$(git write-tree)" -m "Generate the Colab notebooks of $$(git rev-parse HEAD)"); \
	git push --force "$(REMOTE)" "$$commit:refs/heads/colab"

# --- tests ---

test: $(READY) ## everything: lint, tests, notebooks, site in a browser
	@# the build keeps one core busy: lint and the notebooks go beside it
	@$(MAKE) --no-print-directory book & built=$$!; \
	  $(MAKE) --no-print-directory lint check-notebooks || { kill $$built 2>/dev/null; exit 1; }; \
	  wait $$built
	@$(MAKE) --no-print-directory unit check-built-site

test-fast: lint ## the inner loop: lint, and the tests that take no time
	$(FIXED) $(PYTEST) -q -m "not slow and not benchmark" attnlib tests README.md --ignore=tests/site

lint: $(READY) ## ruff for Python, rules and format; mypy for its types; oxlint for JavaScript
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ruff format --check --line-length 80 $(NOTEBOOKS)
	$(BIN)/mypy
	$(BIN)/mypy --no-warn-unused-ignores $(addprefix --disable-error-code=,$(LOOSE)) book/results
	$(BIN)/oxlint --deny-warnings attnlib book

unit: $(READY) ## unit and property tests, and the examples of docstrings and README
	$(FIXED) $(PYTEST) attnlib tests README.md --ignore=tests/site $(SHARED) --durations=40

check-notebooks: $(READY) ## run every notebook and compare with its stored outputs
	$(BIN)/python book/_tools/alone.py $(ALONE)
	$(FIXED) JUPYTER_PATH=$(CURDIR)/_build/alone/jupyter $(PYTEST) --nbval \
	  --nbval-sanitize-with tests/notebooks/sanitize.cfg -n $(WORKERS) --dist loadfile --durations=40 \
	  book _build/alone/pages --ignore=book/assignments $(addprefix --ignore=,$(ALONE))

check-site: book check-built-site ## open every page in a browser

check-built-site: $(READY)
	$(FIXED) $(PYTEST) tests/site $(SHARED) --durations=40

test-elsewhere: $(READY) ## tests and notebooks as other processors would run them: hours
	$(BIN)/python tests/elsewhere.py $(if $(PROCESSOR),--processor $(PROCESSOR))

coverage: $(READY) ## which lines of attnlib the unit tests and examples run
	$(FIXED) $(PYTEST) attnlib tests README.md --ignore=tests/site $(SHARED) \
	  --cov=attnlib --cov-report=term:skip-covered --cov-report=html:_build/coverage

wheel-check: $(READY) ## build the wheel, install it alone elsewhere, and translate a sentence there
	rm -rf _build/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir _build/wheel .
	$(PYTHON) -m venv _build/wheel/venv
	_build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) _build/wheel/*.whl
	cd _build/wheel/venv && bin/python -m attnlib translate "Two dogs play in the snow." \
	  | tee /dev/stderr | grep --quiet --fixed-strings "Deux chiens jouent dans la neige."

test-newest: ## unit tests with the newest versions that attnlib's own ranges allow
	$(PYTHON) -m venv _build/newest
	_build/newest/bin/python -m pip install --disable-pip-version-check $(PIP_FLAGS) --upgrade \
	  --upgrade-strategy eager -e '.[book,eval,test]' pytest-timeout pytest-xdist pyyaml
	$(FIXED) _build/newest/bin/python -m pytest attnlib tests README.md --ignore=tests/site \
	  --ignore=tests/notebooks $(SHARED)

bench: $(READY) ## measure speed and memory
	$(FIXED) $(BIN)/python -m pytest tests/benchmarks -s -m benchmark

format: $(READY) ## let ruff format and mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/ruff format --line-length 80 $(NOTEBOOKS)

# --- housekeeping ---

repo: $(READY) ## make repo URL=https://github.com/you/your-fork: change the repository's address everywhere
	@$(if $(URL),,$(error Which address? make repo URL=https://github.com/you/your-fork))
	$(BIN)/python book/_tools/repo.py "$(URL)"

clean: ## remove what was built, keep .venv
	rm -rf _build build dist attnlib.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	rm -rf $(VENV)
