# The newcomer's commands. Each sets up what it needs in .venv, the first time only.
.PHONY: install demo test test-fast fuzz test-crash test-pace check lock docs examples need-tools need-strace need-chromium \
	need-systemd bench bench-full bench-against profile

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq
TESTS := -m "not long"

# Many tests wait for a process, a socket or a clock: with one worker more than there are processors, none stands still.
WORKERS := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

PRISM := 5.14.2

FAST := $(addprefix tests/,app changes check coalesce config delivery endpoints inference mapping outputs rate run sandbox source \
	state test_counts.py test_layers.py test_observations.py test_private_files.py test_project.py test_shape.py test_stop.py test_units.py \
	test_words.py cli/test_endings.py cli/test_messages.py cli/test_runs.py e2e/test_flags.py e2e/test_retry_file.py \
	e2e/test_several.py)
PACED := tests/crash tests/e2e

# What was compiled once is used again. Some machines forbid that; then each worker, and each of the hundreds of
# processes that tests start, compiles all of it anew.
unexport PYTHONDONTWRITEBYTECODE

install: .venv/.ready
	@echo "Ready. Try: $(BIN)/uploader --help"

demo: .venv/.ready
	@$(BIN)/uploader run samples/profiles.csv --sandbox; status=$$?; \
	if [ $$status -ne 3 ]; then echo "make demo: uploader ended with $$status, 3 was expected." >&2; exit 1; fi; \
	echo "That is the demo: 8 rows of the sample are broken on purpose, hence the retry file (exit status 3)."

test: .venv/.tools
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(TESTS)

# For every few lines that were changed, about 40 s: each room by examples, and the command as a whole by a few files. No
# searches, and nothing that takes a second by itself (tests/README.md).
test-fast: .venv/.tools
	@$(BIN)/pytest -n auto --dist worksteal -m "not long and not slow and not hypothesis and not seeded" $(FAST)

# Search for what no test has met yet: FUZZ=5 for five minutes, SEED=7 to repeat one round.
fuzz: .venv/.tools
	@FUZZ="$(FUZZ)" SEED="$(SEED)" $(BIN)/python tests/fuzz.py

# The crash tests in their full size: hundreds of kills, stops and disks that fail, an hour or more.
test-crash: .venv/.tools need-tools
	@CRASH=full $(BIN)/pytest -n auto -rP tests/crash tests/changes/test_merge_kills.py

# The pace and the outages in their full size: thousands of simulated runs, 20 windows at each anchor, outages of a
# minute, about ten minutes.
test-pace: .venv/.tools
	@PACE=full $(BIN)/pytest -n auto -rP tests/rate tests/e2e/test_pace.py tests/e2e/test_outages.py

# The long tests break processes off at chosen system calls (strace), look at reports in a browser (chromium), check the
# units of examples/ (systemd), and hold all bodies against a mock that others made (Prism, which needs Node.js).
# Debian's own packages will do.
need-tools: need-strace need-chromium need-systemd .venv/.prism

need-strace need-chromium need-systemd: need-%:
	@command -v $(subst systemd,systemd-analyze,$*) >/dev/null || { echo "Installing $* …"; \
	[ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -qq && $$sudo apt-get install -y -qq $* >/dev/null; } || \
	{ echo "$* is needed by the long tests; install it, then run make again." >&2; exit 1; }

.venv/.prism: .venv/.packages
	@command -v npm >/dev/null || { echo "Installing npm …"; \
	[ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -qq && $$sudo apt-get install -y -qq npm >/dev/null; } || \
	{ echo "Node.js and npm are needed by the long tests; install them, then run make again." >&2; exit 1; }
	@echo "Adding Prism to .venv (a minute, once) …"
	@mkdir -p .venv/prism && cd .venv/prism && npm install --silent --no-save --no-fund --no-audit --ignore-scripts \
	--prefix . @stoplight/prism-cli@$(PRISM)
	@touch $@

# Side by side with what else could send the file, about ten minutes on two idle cores; it installs what it needs, and
# writes benchmarks/results.json and docs/performance.md. It fails when a figure that is wanted does not hold.
bench: .venv/.ready
	@$(BIN)/python -m benchmarks

# With more rounds, ten million rows, and the long benchmarks: two hours.
bench-full: .venv/.ready
	@$(BIN)/python -m benchmarks --full

# This tree beside an earlier commit, in turn: make bench-against BASE=HEAD~20
bench-against: .venv/.ready
	@$(BIN)/python -m benchmarks.against $(BASE)

# Where a row's time goes, part by part.
profile: .venv/.ready
	@$(BIN)/python -m benchmarks.row_cost

# The pages of docs/ as a site: nothing is fetched, every link is checked.
docs: .venv/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The pages are in site/, from site/index.html on. To search in them: $(BIN)/mkdocs serve"

# After a change of options or messages: the page of the command line, what the examples print, and the recording.
examples: .venv/.docs
	@$(BIN)/python -m docs.scripts.command_line
	@$(BIN)/python -m docs.scripts.examples
	@$(BIN)/python -m docs.scripts.recording

# The tests come last, each once: those of `make test`, with coverage, and the long ones beside them, without; then
# those that need time of the processor at certain moments, apart from what takes it, and one for each processor.
check: .venv/.tools .venv/.docs need-tools
	@echo "check: format (ruff)" && $(BIN)/ruff format --check --quiet --output-format concise .
	@echo "check: lint (ruff)" && $(BIN)/ruff check --quiet .
	@echo "check: types (mypy)" && $(BIN)/mypy
	@echo "check: layers (import-linter)" && $(BIN)/lint-imports
	@echo "check: dependencies (deptry)" && $(BIN)/deptry .
	@echo "check: documentation (mkdocs)" && $(MAKE) --no-print-directory docs
	@echo "check: tests and coverage (pytest)" && $(MAKE) --no-print-directory test TESTS='-m "not paced" --cov --cov-report=term'
	@echo "check: paced tests (pytest)" && $(MAKE) --no-print-directory test WORKERS=auto TESTS='-m "paced" $(PACED)'

# hatchling and editables build the editable install, so the locks hold them as well. Extras are kept in the names:
# without them, older pips look for the newest `coverage[toml]` and find no hash for it.
LOCK = printf 'hatchling>=1.27\neditables>=0.5\n' | $(BIN)/uv pip compile --quiet --upgrade --universal \
	--python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: .venv/.tools
	@$(LOCK) pyproject.toml - --output-file requirements.lock
	@$(LOCK) pyproject.toml - --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	@$(LOCK) pyproject.toml - --extra docs --constraint requirements-dev.lock --output-file requirements-docs.lock

# A mark is set when its step is complete: a step that was interrupted is done again.
.venv/.packages: requirements.lock
	@echo "Setting up .venv (about a minute, once) …"
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then exec "$$python" -m venv .venv; fi; \
	done; \
	echo "No Python 3.11 or newer with venv was found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1
	@$(PIP) --require-hashes -r requirements.lock
	@touch $@

.venv/.ready: .venv/.packages pyproject.toml uploader/__init__.py
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.tools: requirements-dev.lock .venv/.ready
	@echo "Adding the test tools to .venv (about a minute, once) …"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

.venv/.docs: requirements-docs.lock .venv/.ready
	@echo "Adding the documentation tools to .venv (half a minute, once) …"
	@$(PIP) --require-hashes -r requirements-docs.lock
	@touch $@
