"""Habits that no linter knows."""

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest

from house.tree import MODELS, PACKAGE, ROOT, SOURCES, name, nodes, parsed, repository_files

# Written so that this file does not hold what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.$}~-])/(tmp|work|home|root|Users|mnt|scratch)/")
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|NotImplemented[E]rror)\b")
DOCSTRING = re.compile(r'r?"""\S')
TEXT = {"", ".cff", ".css", ".html", ".md", ".py", ".svg", ".toml", ".txt", ".yml"}


def test_every_file_says_what_it_is() -> None:
    python = [path for path in repository_files() if path.suffix == ".py"]
    assert len(python) > len(SOURCES)
    assert not [name(path) for path in python if not DOCSTRING.match(path.read_text(encoding="utf-8"))]


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    assert not [name(path) for path in SOURCES if path.stem in {"utils", "util", "helpers", "misc", "common"}]


def test_types_are_known_not_probed() -> None:
    probing = [
        f"{name(path)}:{node.lineno}"
        for path in SOURCES
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hasattr"
    ]
    assert not probing


def test_nothing_is_left_unfinished() -> None:
    assert not [found for path in SOURCES for found in _lines_with(UNFINISHED, path)]


def test_no_path_of_one_machine() -> None:
    texts = [path for path in repository_files() if path.suffix in TEXT]
    assert not [found for path in texts for found in _lines_with(MACHINE_PATH, path)]


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_every_model_has_a_recipe_and_a_test(model: Path) -> None:
    spelled = re.compile(rf'^(?:model|name) *= *"{model.stem.replace("_", "-")}"', re.MULTILINE)
    assert any(spelled.search(path.read_text(encoding="utf-8")) for path in (PACKAGE / "recipes").glob("*/*.toml")), "no recipe"
    tests = [path.stem.removeprefix("test_") for path in (ROOT / "tests" / "models").rglob("test_*.py")]
    assert any(f"_{model.stem}_" in f"_{test}_" for test in tests), "no test of its own, beside the battery"


@pytest.mark.parametrize("path", [path for path in SOURCES if ">>> " in path.read_text(encoding="utf-8")], ids=name)
def test_examples_in_docstrings_are_true(path: Path) -> None:
    module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried
    assert not failed


def _lines_with(pattern: re.Pattern[str], path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [f"{name(path)}:{number}: {line.strip()}" for number, line in enumerate(lines, start=1) if pattern.search(line)]


def test_one_name_is_one_class() -> None:
    """Whoever reads `Found` need not ask which; the options of the command line's verbs are nobody's but theirs."""
    places: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and path.parent.name != "cli":
                places.setdefault(node.name, []).append(name(path))
    assert not {known: where for known, where in places.items() if len(where) > 1}
