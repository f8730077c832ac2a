# Everything is one command; `make help` lists them. Needs Python 3.11, 3.12 or 3.13 and a package index, nothing else.

.DEFAULT_GOAL := help
.PHONY: help figures check test thorough lab paper sweep reproduce site benchmark lock clean
.DELETE_ON_ERROR:

VENV_PYTHON := .venv/bin/python
INSTALLED := .venv/.installed

# This folder first, whatever else is there by the names of its packages, in the kernels of JupyterLab, too.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
# A kernel of the user's own there would take the place of this environment's.
unexport JUPYTER_PATH

# The first Python that really runs, has a right version and can make an environment; or the one that is given:
# make figures PYTHON=/path/to/python3.12
CANDIDATES := python3.13 python3.12 python3.11 python3 python
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
find_python = $(shell for candidate in $(or $(PYTHON),$(CANDIDATES)); do \
	if "$$candidate" -c "$(USABLE)" >/dev/null 2>&1; then echo "$$candidate"; break; fi; done)
NO_PYTHON = Error: no usable Python 3.11, 3.12 or 3.13 (tried: $(or $(PYTHON),$(CANDIDATES))); install one with its \
	venv module (Debian: python3-venv) or name it, as in make figures PYTHON=/path/to/python3.12

# Options come from the command line alone, as in make paper SEEDS=0-4: the environment may have a NAME of its own.
given = $(if $(findstring command,$(origin $(1))),$($(1)))
option = $(if $(call given,$(1)),$(2) "$(call given,$(1))")

# exec: a request to end that make passes on reaches the run, not a shell before it.
# What a run can be given: make paper ONLY=01_baseline_sgd SEEDS=0-4 CORES=2 FORCE=1, or VARIANTS=mnist_mlp
RUN = $(VENV_PYTHON) -m workflow.run $(call option,ONLY,--only) $(call option,SEEDS,--seeds) \
	$(call option,VARIANTS,--variants) $(if $(CORES),--cores "$(CORES)") $(if $(call given,FORCE),--force) \
	$(call option,PROFILE,--profile) $(if $(call given,DRY),--dry-run) $(if $(call given,YES),--yes)

# Which stored runs are trained again: make reproduce COUNT=5 RESULTS=results/paper/03_optimizers_from_scratch NAME=momentum
REPRODUCE = $(VENV_PYTHON) -m workflow.reproduce $(call option,RESULTS,--results) $(call option,COUNT,--count) \
	$(call option,SEED,--seed) $(call option,NAME,--run) $(call option,SEEDS,--of-seed) $(call option,DIGEST,--digest) \
	$(call option,AT_MOST,--at-most)

# As many processes as cores, but each needs over a gigabyte. The cells of a notebook stay in one of them.
SIDE_BY_SIDE = -n $(or $(CORES:all=auto),auto) --maxprocesses 4 --dist

AS_ROOT = Error: JupyterLab does not start as root unless it is told to, for whoever reaches its page can run anything: use \
	an account of your own or, in a container that is yours alone, make lab OPTIONS=--allow-root.

# Notebooks in this folder, whatever the user's own settings say.
LAB = $(VENV_PYTHON) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks --ServerApp.root_dir="$(CURDIR)" \
	$(call given,OPTIONS)

define LINT
$(VENV_PYTHON) -m ruff check .
$(VENV_PYTHON) -m ruff format --check .
.venv/bin/lint-imports
$(VENV_PYTHON) -m mypy
endef

help:  ## list these commands
	@echo "Commands (the first one also installs what is needed into .venv):"
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18
	@echo "figures and paper take ONLY=01_baseline_sgd (notebooks), CORES=2 or all, FORCE=1 (run again);"
	@echo "paper also SEEDS=0-4 or 0,2 and, of notebooks that run on several data sets or networks, VARIANTS=mnist_mlp;"
	@echo "sweep takes FILE=sweeps/noise_by_rate.yml, CORES, FORCE and DRY=1 (only list its jobs);"
	@echo "paper and sweep PROFILE=slurm with CLUSTER_MEMORY, CLUSTER_RUNTIME, CLUSTER_PARTITION (README: On a cluster);"
	@echo "reproduce COUNT=3, AT_MOST=60 (seconds of training), RESULTS=results/paper, NAME=momentum, SEEDS=0-1, DIGEST=..."

figures: $(INSTALLED)  ## run all notebooks on small data, draw their figures (minutes)
	@exec $(RUN) --preset quick

check: $(INSTALLED)  ## lint, layering contract, types, examples in docstrings, the quick tests
	$(LINT)
	$(VENV_PYTHON) -m pytest $(SIDE_BY_SIDE) worksteal --doctest-modules -m "not slow" common tests

test: check  ## the same, then all notebooks: stored outputs against fresh ones
	$(VENV_PYTHON) -m workflow.with_store -m pytest $(SIDE_BY_SIDE) loadscope --nbval --nbval-current-env \
		--nbval-cell-timeout=3000 --nbval-sanitize-with=ci/nbval.cfg notebooks

thorough: $(INSTALLED)  ## the slow tests: they train, compile and start processes (under an hour)
	$(VENV_PYTHON) -m pytest $(SIDE_BY_SIDE) worksteal -m slow tests

lab: $(INSTALLED)  ## open JupyterLab on the notebooks
	@$(VENV_PYTHON) -m workflow.user_folders lab
	@if [ "$$(id -u)" != 0 ]; then exec $(LAB); fi; $(LAB) <&0 & lab=$$!; trap 'kill "$$lab"' TERM HUP INT; \
		wait "$$lab"; code=$$?; if [ "$$code" -gt 128 ]; then wait "$$lab"; fi; \
		if [ "$$code" = 1 ]; then echo "$(AS_ROOT)" >&2; fi; exit "$$code"

paper: $(INSTALLED)  ## run the paper's settings that are not stored yet, draw its figures (hours)
	@exec $(RUN) --preset paper

sweep: $(INSTALLED)  ## run your own grid of settings: make sweep FILE=sweeps/noise_by_rate.yml
	@exec $(RUN) --sweep "$(call given,FILE)"

reproduce: $(INSTALLED)  ## train some stored runs again, say whether they come out the same
	@exec $(REPRODUCE)

site: $(INSTALLED)  ## build the pages, notebooks and API as a site: docs/_build/index.html (a minute)
	$(VENV_PYTHON) -m sphinx -b html -c docs --fail-on-warning --keep-going --quiet . docs/_build

benchmark: $(INSTALLED)  ## measure the training loop against Keras' own
	$(VENV_PYTHON) -m benchmarks

lock: $(INSTALLED)  ## solve requirements.txt anew from pyproject.toml (UPGRADE=1: newest versions)
	ci/lock $(VENV_PYTHON) $(if $(UPGRADE),--upgrade)

clean:  ## remove quick results and figures, and logs (not .venv, not the paper's results, not the store of runs)
	rm -rf results/quick figures/quick logs .snakemake

$(INSTALLED): requirements.txt pyproject.toml
	@$(if $(find_python),"$(find_python)" workflow/install.py,echo "$(NO_PYTHON)." >&2; exit 1)
