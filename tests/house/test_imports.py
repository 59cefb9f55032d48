"""Imports stand at the top of a file and are few: a model can be understood from a handful of files. Lint knows that they run downhill."""

import ast
import dataclasses
from pathlib import Path

import pytest

import foresay
from foresay.contracts import Model
from foresay.settings import find_class, modules, settings_class
from house.tree import MODELS, PACKAGE, SOURCES, imported, inner_imports, line_count, name, parsed, reached

OPTIONAL = {
    "PIL",
    "espeakng_loader",
    "faster_whisper",
    "huggingface_hub",
    "matplotlib",
    "onnx",
    "onnxscript",
    "pocketsphinx",
    "sklearn.datasets",
    "sklearn.manifold",
    "tensorboard",
    "tokenizers",
    "torch.utils.tensorboard",
    "transformers",
    "wandb",
}
LAZY = {PACKAGE / "__init__.py", PACKAGE / "cli" / "__init__.py"}
CONTRACTS = (
    "__init__",
    "batches",
    "estimators",
    "losses",
    "frames",
    "language_models",
    "models",
    "recognition",
    "spelling",
    "states",
    "tokens",
    "transduction",
)
KNOWN_TO_ALL = {"settings.py", "draws.py", "errors.py", *(f"contracts/{file}.py" for file in CONTRACTS)}
MOST_FILES = 13
"""Of a model whose parts stand alone: encoder, context, prediction heads, negatives, objectives, each a file."""
PARTS = {
    "encoder": "encoders",
    "context": "context",
    "predictor": "predictors",
    "negatives": "negatives",
    "objective": "objectives",
    "generator": "decoders",
}
"""Endings of settings' names, and the packages of the parts that they name."""


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_a_model_is_understood_from_few_files(model: Path) -> None:
    """The files that it imports, and those of the parts that its default settings name."""
    files = reached(model, without=KNOWN_TO_ALL)
    for part in _default_parts(model):
        files |= reached(part, without=KNOWN_TO_ALL)
    lines = sum(map(line_count, files))
    listing = "\n".join(f"{line_count(file):5} {name(file)}" for file in sorted(files))
    assert len(files) <= MOST_FILES, f"{name(model)} needs {len(files)} files:\n{listing}"
    assert lines <= 1500, f"{name(model)} needs {lines} lines:\n{listing}"


def test_imports_stand_at_the_top() -> None:
    """Save for the optional extras and the two lazy fronts."""
    hidden = [
        f"{name(path)}:{node.lineno} in {function.name}"
        for path in SOURCES
        if path not in LAZY
        for function, node in inner_imports(path)
        if not _modules(node) <= OPTIONAL
    ]
    assert not hidden


def test_only_the_front_imports_for_types_alone() -> None:
    """`if TYPE_CHECKING` would hide an uphill import from the contracts."""
    users = [name(path) for path in SOURCES if "TYPE_CHECKING" in path.read_text(encoding="utf-8")]
    assert users == ["src/foresay/__init__.py"]


def test_nobody_inside_uses_the_front() -> None:
    front = PACKAGE / "__init__.py"
    assert not [name(path) for path in SOURCES if path != front and front in imported(path)]


def test_the_front_is_typed_as_it_is_served() -> None:
    """What type checkers see, what `__all__` says and what is imported lazily are one list."""
    guarded = next(node for node in parsed(PACKAGE / "__init__.py").body if isinstance(node, ast.If))
    seen = {(f"foresay.{home}", public) for home, names in foresay._HOMES.items() for public in names}
    typed = {(node.module, alias.name) for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == seen
    assert {public for _, public in seen} | {"AudioError", "UserError", "__version__"} == set(foresay.__all__)


@pytest.mark.parametrize("public", foresay.__all__)
def test_every_public_name_is_there(public: str) -> None:
    assert getattr(foresay, public) is not None


def _modules(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    return {node.module or ""} if node.module in OPTIONAL else {(node.module or "").split(".")[0]}


def _default_parts(model: Path) -> set[Path]:
    """Return the files of parts that a model's settings name."""
    fields = dataclasses.fields(settings_class(find_class("foresay.models", model.stem, Model)))
    values = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
    named = [
        (modules(f"foresay.{package}"), value) for field, value in values.items() for end, package in PARTS.items() if field.endswith(end)
    ]
    found = [known.get(str(value).replace("-", "_")) for known, value in named]
    return {PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py") for module in found if module}
