"""What the package holds: its models, baselines and recipes, read from their files without importing them."""

from pathlib import Path

from foresay.errors import UserError, nearest
from foresay.settings import first_line, list_names

PACKAGE = Path(__file__).parents[1]


def list_models() -> dict[str, str]:
    """Return the models by name, each with the first line of its docstring."""
    return _first_lines("foresay.models")


def list_baselines() -> dict[str, str]:
    """Return the features that need no training (`mfcc`, …), each with the first line of its docstring."""
    return _first_lines("foresay.baselines")


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
    return {name: first_line(package, name) for name in list_names(package)}


def _leading_comment(path: Path) -> str:
    first, *_ = path.read_text(encoding="utf-8").splitlines() or [""]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
