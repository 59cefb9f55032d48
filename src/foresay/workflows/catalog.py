"""What the package holds: its models, baselines and recipes, read from their files without importing them."""

import ast
from pathlib import Path

from foresay.errors import UserError, nearest

PACKAGE = Path(__file__).parents[1]


def list_models() -> dict[str, str]:
    """Return the models by name, each with the first line of its docstring."""
    return _first_lines("models")


def list_baselines() -> dict[str, str]:
    """Return the features that need no training (`mfcc`, …), each with the first line of its docstring."""
    return _first_lines("baselines")


def list_recipes() -> dict[str, str]:
    """Return the recipes of the package by name, each with the comment on its first line."""
    return {path.stem: _leading_comment(path) for path in sorted((PACKAGE / "recipes").glob("*.toml"))}


def recipe_text(name: str) -> str:
    """Return a recipe of the package as it is written."""
    recipes = list_recipes()
    if name not in recipes:
        msg = f"there is no recipe {name!r}: {nearest(name, recipes)}"
        raise UserError(msg)
    return (PACKAGE / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def _first_lines(package: str) -> dict[str, str]:
    files = sorted((PACKAGE / package).glob("[!_]*.py"))
    docstrings = {path.stem: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) for path in files}
    return {stem.replace("_", "-"): (text or "").partition("\n")[0] for stem, text in docstrings.items()}


def _leading_comment(path: Path) -> str:
    first, *_ = path.read_text(encoding="utf-8").splitlines() or [""]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
