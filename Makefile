# The two commands are `make up` and `make test`; both set the project up first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: up setup test fuzz chaos lint lint-deploy rules docs pictures clean

up: setup
	@$(BIN)/sorafeed up

setup: .venv/.ready

.venv/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv \
	  || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing the pinned packages into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# The accessibility test needs axe-core; it is skipped where npm is missing or reaches no registry.
node_modules/.ready: package.json package-lock.json
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@ \
	  || echo "npm did not install axe-core, so the test of accessibility is skipped"

# Each worker begins with its half in order, so that what the tests of a module share is made once.
test: setup node_modules/.ready
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

fuzz: setup
	@$(BIN)/python -m pytest --numprocesses 2 --hypothesis-profile fuzz sorafeed_assets_tests/serving/test_fuzz.py

chaos: setup
	@$(BIN)/sorafeed chaos --minutes 5 --kills 100

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lint-deploy: setup
	@$(BIN)/hadolint deploy/Dockerfile
	@$(BIN)/shellcheck deploy/entrypoint.sh .ci/run
	@$(BIN)/compose-lint check --quiet --skip-suppressed deploy/compose.yaml
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	@$(BIN)/kubernetes-validate --strict --quiet \
	  $(filter-out %/kustomization.yaml %/dagster-values.yaml, $(wildcard deploy/kubernetes/*.yaml))
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/zizmor --quiet --offline .github

rules:
	@command -v promtool >/dev/null \
	  || { echo "promtool is missing; Debian's package prometheus has it"; exit 1; }
	@cd deploy/prometheus && promtool check config --syntax-only prometheus.yml compose.yml
	@cd deploy/prometheus && promtool check rules sorafeed.rules.yml
	@cd deploy/prometheus && promtool test rules sorafeed.test.yml

# The docs as a site in site/; a broken link or anchor, or a page that nothing leads to, fails.
docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The pictures of the guides and of the pages that other docs show, taken while they are tested.
pictures: setup
	@$(BIN)/python -m pytest sorafeed_assets_tests/walkthroughs --pictures docs/images

clean:
	rm -rf .venv node_modules site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
