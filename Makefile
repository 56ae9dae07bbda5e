# `make run` opens the lab, `make test` passes its tests; both make .venv by themselves.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8501
# tests on all cores, file by file; where workers or a browser answer, nothing else runs beside
TOGETHER := -n auto --maxprocesses 4 --dist loadfile
ALONE := (browser or alone)

.PHONY: run test test-all lint bench baselines clean

.venv/ready: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/ready-dev: .venv/ready requirements-dev.txt requirements-server.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

run: .venv/ready
	COMPRESSION_OPEN_BROWSER=1 $(BIN)/streamlit run serve.py --server.port $(PORT)

test: .venv/ready-dev
	$(BIN)/python -m pytest $(TOGETHER) -m "not $(ALONE) and not slow"
	$(BIN)/python -m pytest -m "$(ALONE) and not slow"

test-all: .venv/ready-dev
	$(BIN)/python -m pytest $(TOGETHER) -m "not $(ALONE)"
	$(BIN)/python -m pytest -m "$(ALONE)"

lint: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/ready-dev
	$(BIN)/python -m benchmarks.live
	$(BIN)/python -m benchmarks.load

baselines: .venv/ready
	$(BIN)/python -m compression baselines

clean:
	rm -rf .venv runs
