# The house. Every target makes its own .venv first, if there is none or if the dependencies changed.

PYTHON ?= python3
SCALE ?= full
BIN := .venv/bin
EXTRAS := demo,plot,images,log,eval,align,bpe,hf,docs,dev

# uv does not read pip's own setting for a folder of wheels.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif
# Without .pyc files every `import torch` takes twice as long.
unexport PYTHONDONTWRITEBYTECODE

# What `make test-versions` tries: the oldest packages that pyproject.toml allows, and the newest. Fewer: make test-versions VERSIONS=highest@3.12
VERSIONS ?= lowest-direct@3.11 highest@3.11 highest@3.12 highest@3.13 highest@3.14

.PHONY: demo test test-slow test-versions lint docs gpu-check clean

demo: .venv/ready  ## speech -> CPC and Aligned CPC -> a table of what they learnt (SCALE=tiny for a look)
	$(BIN)/foresay demo --run runs --scale $(SCALE)

test: .venv/ready  ## everything but the slow tests
	$(BIN)/pytest -n auto -m "not slow"

test-slow: .venv/ready  ## the slow tests alone
	$(BIN)/pytest -n auto -m slow --timeout 1800

test-versions: $(VERSIONS:%=test-with-%)  ## everything but the slow tests in environments of their own: RESOLUTION@PYTHON of uv (-k goes on after one)

# Old packages warn of newer ones, so that here warnings are no errors; what reads our own source (tests/house) needs no second look.
test-with-%: .venv/ready
	$(BIN)/uv run --isolated --no-project --python $(lastword $(subst @, ,$*)) --resolution $(firstword $(subst @, ,$*)) \
		--with-editable '.[$(EXTRAS),onnx]' -- pytest -n auto -m "not slow" -W default --ignore tests/house

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: .venv/ready  ## -> site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

gpu-check: .gpu/ready  ## the loss of every model on CUDA tensors that hold nothing: no GPU needed, but a CUDA build of torch (5 GB, Linux)
	.gpu/bin/python benchmarks/gpu_check.py

clean:
	rm -rf .venv .gpu site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Foresay needs Python 3.11 or newer; name one: make PYTHON=python3.12 …' >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --python $(BIN)/python --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

.gpu/ready: pyproject.toml
	test -x .gpu/bin/python || $(PYTHON) -m venv .gpu
	.gpu/bin/python -m pip install --quiet --disable-pip-version-check uv
	.gpu/bin/uv pip install --python .gpu/bin/python --quiet -e .
	@touch $@
