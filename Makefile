# One word a chore, the same here and in CI. A fresh machine needs make and Python 3.11 or newer.

# Another Python beside the first: make test-fast VENV=.venv-3.12 PYTHON=/path/to/python3.12
VENV ?= .venv
PYTHON ?=
# Test processes at a time, of which most wait most of the time (tests/conftest.py says how many); each has services of
# its own.
JOBS ?= auto
# What to test, all by default: make test tests/accounts, or make test FILE=tests/accounts/test_codes.py
chosen := $(if $(filter test test-fast,$(firstword $(MAKECMDGOALS))),$(filter tests tests/%,$(MAKECMDGOALS)))
FILE ?= $(chosen)
# A process takes a file at a time, those that last longest first: otherwise one is at them in the end.
spread = -n $(if $(and $(filter 1,$(words $(FILE))),$(findstring .py,$(FILE))),0,$(JOBS)) --dist loadfile --no-loadscope-reorder
# For `make user`, of what is said to make only: some shells have a NAME of their own. $(call quoted,NAME) is its value as
# one word for the shell.
said = $(if $(findstring command,$(origin $(1))),$($(1)))
quoted = '$(subst ','\'',$(call said,$(1)))'
# Further words for pytest, such as ARGS="-k cooldown".
ARGS ?=

export PYTHON
py := $(VENV)/bin/python
catalogues := $(patsubst %.po,%.mo,$(wildcard locale/*/LC_MESSAGES/django.po))
lock := $(py) -m uv pip compile --quiet --system-certs --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --custom-compile-command "make lock" pyproject.toml
# What fuzz and scan get for themselves, and the peers of bench, which have our versions of what they share with us.
tools = for of in tests/tools/fuzz tests/tools/scan tests/tools/oracles bench; do \
	$(subst pyproject.toml,$$of/requirements.txt,$(lock)) -o $$of/requirements.lock $(1) \
	$$([ $$of != bench ] || echo -c requirements.lock) || exit 1; done

# A virtual environment that we have made and whose Python has been upgraded away is made anew, by its own rule and for
# the goals that need it: reading this file removes nothing.
ifneq ($(words $(VENV)),1)
$(error VENV is "$(VENV)". Name one folder without blanks: make VENV=.venv ...)
endif
broken :=
ifneq ($(wildcard $(VENV)/made.stamp),)
ifneq ($(shell $(py) -c 'print("runs")' 2>/dev/null),runs)
broken := broken
endif
endif

# Of a site's own apps, if it has a file of them.
site := $(if $(wildcard site-requirements.txt),$(VENV)/site.stamp)

.PHONY: help run user install test test-fast test-all chaos timing fuzz scan audit bench bench-smoke profile check format lock upgrade messages pictures clean chromium wrk broken
.NOTPARALLEL:

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

run: install ## Start Latchkey at http://127.0.0.1:8000/ (or where HOST and PORT say) until Ctrl-C
	@$(py) -m project.run --development

user: install ## Make an account; NAME=alice MOBILE=13800138000 STAFF=1 SUPERUSER=1 say it beforehand
	@$(py) -m project.run.user $(if $(call said,NAME),--name=$(call quoted,NAME)) \
		$(if $(call said,MOBILE),--mobile=$(call quoted,MOBILE)) \
		$(if $(filter 1,$(call said,STAFF)),--staff) $(if $(filter 1,$(call said,SUPERUSER)),--superuser)

install: $(VENV)/runtime.stamp $(site) $(catalogues) ## Prepare what `make run` needs, and start nothing

test: chromium $(VENV)/dev.stamp $(site) $(catalogues) ## Run the tests, in a browser as well; `make test tests/accounts` for a part
	@$(py) -m pytest $(spread) $(if $(FILE),,-m "not long") $(ARGS) $(FILE)

test-fast: $(VENV)/dev.stamp $(site) $(catalogues) ## Run the tests that need no browser
	@$(py) -m pytest $(spread) -m "not browser and not long" $(ARGS) $(FILE)

test-all: chromium wrk $(VENV)/dev.stamp $(catalogues) ## Run what `make test` leaves out: what is long, the other Pythons, bench-smoke
	@$(py) -m pytest $(spread) -m long $(ARGS)
	@# Alone on the machine, or as good as.
	@$(py) -m bench.smoke
	@bin/test-others $(VENV)

# What is to be tested is nothing to make.
ifneq ($(chosen),)
.PHONY: chosen
chosen:
tests: chosen
	@:
tests/%: chosen
	@:
endif

chaos: $(VENV)/dev.stamp $(catalogues) ## Kill, hang and cut everything under a crowd for ten minutes; ARGS="--seed 3" for one run
	@$(py) -m tests.tools.chaos $(ARGS)

timing: $(VENV)/dev.stamp $(catalogues) ## Measure whether anything can be told by how long an answer takes, some minutes
	@$(py) -m tests.tools.timing $(ARGS)

fuzz: $(VENV)/dev.stamp $(catalogues) ## Try arbitrary input on all that reads input; ARGS="--seconds 30" for each target
	@$(py) -m tests.tools.fuzz $(ARGS)

scan: $(VENV)/dev.stamp $(catalogues) ## Run public scanners and a slow-loris against a site of their own behind nginx
	@$(py) -m tests.tools.scan $(ARGS)

audit: chromium $(VENV)/dev.stamp $(catalogues) ## Hold the pages against Lighthouse and Mozilla's observatory; needs npm and nginx
	@$(py) -m tests.tools.audit $(ARGS)

bench: wrk $(VENV)/dev.stamp $(catalogues) ## Measure Latchkey beside its peers, some minutes; ARGS="--quick" for a look
	@$(py) -m bench $(ARGS)

bench-smoke: wrk $(VENV)/dev.stamp $(catalogues) ## Hold the bench's ratios at 70 % of their targets, a minute or two
	@$(py) -m bench.smoke

profile: wrk $(VENV)/dev.stamp $(catalogues) ## Show where the time goes on the three hottest roads; needs Linux or root
	@$(py) -m bench.profile

check: $(VENV)/dev.stamp $(catalogues) ## Check style, types, imports, templates, migrations, production settings
	@bin/check $(VENV)

format: $(VENV)/dev.stamp ## Put code and templates into shape
	@$(py) -m ruff check --quiet --fix-only
	@$(py) -m ruff format --quiet
	@# It fails when it has changed something.
	@find templates -name '*.html' -exec $(VENV)/bin/djade --target-version 5.2 {} + || true

lock: $(VENV)/dev.stamp ## Write the locks after a change in pyproject.toml; versions that still fit stay
	@$(lock) -o requirements.lock
	@$(lock) -o requirements-dev.lock --extra dev -c requirements.lock
	@$(call tools)

upgrade: $(VENV)/dev.stamp ## Write the locks with the newest versions that pyproject.toml allows
	@$(lock) -o requirements.lock --upgrade
	@$(lock) -o requirements-dev.lock --upgrade --extra dev -c requirements.lock
	@$(call tools,--upgrade)

messages: $(VENV)/dev.stamp ## Collect the marked sentences for the translators
	@$(py) -m tests.tools.catalogue

pictures: chromium $(VENV)/dev.stamp $(catalogues) ## Take the README's pictures anew, from a real run
	@$(py) -m tests.tools.pictures

shots: chromium $(VENV)/dev.stamp $(catalogues) ## Take a picture of every page in every state, to look at: var/shots/index.html
	@$(py) -m tests.tools.shots

clean: ## Remove what can be made again; var/ with its data stays
	@for of in .venv .venv-*; do [ ! -e "$$of/made.stamp" ] || rm -rf "$$of"; done
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis $(catalogues)
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

chromium:
	@bin/need-chromium

wrk:
	@bin/need-wrk

broken:

$(VENV)/made.stamp: $(broken)
	@bin/make-venv $(VENV)
	@touch $@

$(VENV)/runtime.stamp: requirements.lock $(broken) | $(VENV)/made.stamp
	@bin/install-lock $(VENV) requirements.lock "what Latchkey needs into $(VENV)" 42
	@touch $@

# This lock holds the other one.
$(VENV)/dev.stamp: requirements-dev.lock $(broken) | $(VENV)/made.stamp
	@bin/install-lock $(VENV) requirements-dev.lock "what its tests and checks need into $(VENV)" 150
	@touch $(VENV)/runtime.stamp $@

$(VENV)/site.stamp: site-requirements.txt $(VENV)/runtime.stamp
	@bin/install-site $(VENV) site-requirements.txt requirements.lock
	@touch $@

%.mo: %.po | $(VENV)/runtime.stamp
	@$(py) -m babel.messages.frontend -q compile -D django -i $< -o $@
