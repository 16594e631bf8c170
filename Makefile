# The commands of this repository; `make` alone lists them. Each works from an empty clone: what is missing is made
# first, and stamp files (the real targets below) keep a second run to seconds.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

SECONDS ?= 60
PORT ?= 3000

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
NPM_CI := npm ci --no-audit --no-fund --loglevel=error
FLOOR := target/release/examples/floor
# The newest version of python-socketio, and the last ones of the two minors before it.
SUITES := 5.16.4 5.17.1 5.18.1
SOCKETIOXIDE := target/peers/release/socketioxide-server
RUST_SOURCES := Cargo.toml Cargo.lock rust/Cargo.toml $(shell find rust/src -name '*.rs')

# All that the Python tests read.
PYTHON_SOURCES := Makefile README.md docs/bench.md docs/cluster.md docs/migrating-from-python-socketio.md docs/testing.md docs/validation.md pyproject.toml conftest.py $(shell find python tests examples benches -name node_modules -prune -o -type f \
	\( -name '*.py' -o -name '*.pyi' -o -name '*.js' -o -name '*.mjs' -o -name '*.html' -o -name '*.css' -o -name '*.svg' \) -print)

# One interpreter for maturin and clippy, or PyO3 is built anew each time they alternate.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-14s %s\n", $$1, $$2 }'

.PHONY: demo
demo: need-build need-node $(STAMPS)/extension examples/chat/node_modules/.package-lock.json ## serve the chat on http://127.0.0.1:3000/ (PORT=…)
	@$(BIN)/python examples/chat/server.py --port $(PORT)

.PHONY: cluster
cluster: need-build need-node $(STAMPS)/extension $(STAMPS)/cluster examples/cluster/node_modules/.package-lock.json ## a broker, two roomcast servers and one of Node.js, on http://127.0.0.1:3000/
	@$(BIN)/python examples/cluster/run.py --port $(PORT)

.PHONY: test
test: lint type rust-test python-test ## lint, types, Rust tests, Python tests

.PHONY: check
check: test docs audit ## everything but bench and fuzz

.PHONY: build
build: need-build $(STAMPS)/extension ## build the extension in release mode into .venv

.PHONY: format
format: $(STAMPS)/dev ## rewrite the sources as the formatters want them
	cargo fmt --all
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

.PHONY: format-check
format-check: need-clippy $(STAMPS)/dev
	cargo fmt --all --check
	$(BIN)/ruff format --check .

.PHONY: lint
lint: format-check $(STAMPS)/extension ## formatting, clippy with and without Python, ruff, import-linter
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --workspace --all-targets --no-default-features -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

.PHONY: type
type: need-build need-node $(STAMPS)/extension $(STAMPS)/dev ## mypy, pyright, and the stub against the built extension
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m mypy.stubtest roomcast._core --allowlist tests/typing/stubtest.allow

# Without the feature `python`: a test binary that holds PyO3 must link libpython, which many machines do not have
# (Debian's python3 without python3-dev, statically built interpreters). The binding is tested from Python.
.PHONY: rust-test
rust-test: need-build
	cargo test --locked --workspace --no-default-features --quiet

.PHONY: python-test
python-test: need-build need-node $(STAMPS)/python-tests
	@echo 'The Python tests have passed on these sources (make -W README.md test runs them again).'

# Four at a time also on two cores: most tests wait, for a time-out or for another process.
$(STAMPS)/python-tests: $(STAMPS)/extension $(STAMPS)/dev $(STAMPS)/suites tests/node_modules/.package-lock.json examples/chat/node_modules/.package-lock.json examples/cluster/node_modules/.package-lock.json $(PYTHON_SOURCES)
	$(BIN)/pytest --cov --cov-report=term -n 4 --dist worksteal
	@touch $@

.PHONY: bench
bench: need-build need-node $(STAMPS)/extension $(STAMPS)/dev benches/node/node_modules/.package-lock.json ## the benchmarks, then their tables
	$(BIN)/pytest benches/bench_*.py --benchmark-enable
	$(BIN)/python benches/report.py

.PHONY: bench-load
bench-load: need-build need-node $(STAMPS)/extension $(STAMPS)/dev bench-servers tests/node_modules/.package-lock.json ## servers under load beside their peers, 45 minutes on two calm cores
	$(BIN)/python benches/load

.PHONY: bench-servers
bench-servers: need-build $(FLOOR) $(SOCKETIOXIDE)

$(FLOOR): benches/load/peers/floor.rs $(RUST_SOURCES)
	cargo build --release --locked --no-default-features --example floor
	@touch $@

$(SOCKETIOXIDE): $(wildcard benches/load/peers/socketioxide/*)
	cargo build --release --locked --manifest-path benches/load/peers/socketioxide/Cargo.toml --target-dir target/peers
	@touch $@

.PHONY: docs
docs: need-build $(STAMPS)/extension ## the documentation as HTML, in docs/_build/html
	$(PIP) install --group docs
	$(BIN)/sphinx-build -q -W -b html docs docs/_build/html
	@echo 'The documentation is in docs/_build/html/index.html'

.PHONY: fuzz
fuzz: need-fuzz ## each fuzz target for SECONDS=60
	cd rust && for target in $$(cargo +nightly fuzz list); do \
		mkdir -p "fuzz/corpus/$$target" && cargo +nightly fuzz run "$$target" "fuzz/corpus/$$target" "fuzz/seeds/$$target" \
			-- -max_total_time=$(SECONDS) || exit 1; done

.PHONY: audit
audit: ## licences and advisories of the crates, where cargo-deny is installed
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check licenses sources bans; \
	else echo 'left out: the licences of the crates (cargo install --locked cargo-deny)'; fi

.PHONY: screenshot
screenshot: need-build need-node $(STAMPS)/extension tests/node_modules/.package-lock.json examples/chat/node_modules/.package-lock.json ## take the README's picture of the chat anew
	CHROMIUM="$${CHROMIUM:-$$(command -v chromium || command -v google-chrome)}" \
		node tests/browser/screenshot.mjs docs/images/chat.png $(BIN)/python examples/chat/server.py

.PHONY: clean
clean: ## remove what the commands above have made
	rm -rf $(VENV) target docs/_build tests/node_modules examples/chat/node_modules examples/cluster/node_modules benches/node/node_modules python/roomcast/*.so

# What must be on the machine; each missing tool is one line.
.PHONY: need-build need-clippy need-node need-fuzz
need-build:
	@scripts/need python rust
need-clippy: need-build
	@scripts/need clippy
need-node:
	@scripts/need node
need-fuzz:
	@scripts/need rust fuzz

# pip 25.1 is the first to read [dependency-groups].
$(STAMPS)/venv:
	@scripts/need python
	"$$(scripts/need --interpreter)" -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: $(STAMPS)/venv pyproject.toml
	$(PIP) install --group dev
	@touch $@

$(STAMPS)/cluster: $(STAMPS)/venv pyproject.toml
	$(PIP) install --group cluster
	@touch $@

# As archives of sources, which have the tests in them.
$(STAMPS)/suites: $(STAMPS)/venv Makefile
	rm -rf $(VENV)/suites && mkdir -p $(VENV)/suites
	for version in $(SUITES); do \
		$(PIP) download --no-deps --no-binary python-socketio --dest $(VENV)/suites "python-socketio==$$version" || exit 1; \
		mkdir "$(VENV)/suites/$$version" || exit 1; \
		tar -xzf "$(VENV)/suites/python_socketio-$$version.tar.gz" --strip-components 1 -C "$(VENV)/suites/$$version" || exit 1; \
		rm "$(VENV)/suites/python_socketio-$$version.tar.gz"; done
	@touch $@

$(STAMPS)/extension: $(STAMPS)/venv pyproject.toml $(RUST_SOURCES)
	$(PIP) install --group build
	$(BIN)/maturin develop --release --locked --extras server,client --group build
	@touch $@

# npm writes this file last: it is the stamp of the whole folder.
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	cd $* && $(NPM_CI)
	@touch $@
