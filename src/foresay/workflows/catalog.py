"""What the package holds: its models, baselines and recipes, read from their files without importing them."""

from foresay.errors import UserError, nearest
from foresay.settings import first_line, list_names
from foresay.training.built_in import RETIRED, built_in


def list_models() -> dict[str, str]:
    """Return the models by name, each with the first line of its docstring."""
    return _first_lines("foresay.models")


def list_baselines() -> dict[str, str]:
    """Return the features that need no training (`mfcc`, …), each with the first line of its docstring."""
    return _first_lines("foresay.baselines")


def list_recipes() -> dict[str, str]:
    """Return the recipes of the package by name, each with the comment on its first line."""
    return {name: _leading_comment(text) for name, text in built_in().items()}


def recipe_text(name: str) -> str:
    """Return a recipe of the package as it is written."""
    recipes = built_in()
    if name not in recipes:
        msg = f"there is no recipe {name!r}: {RETIRED.get(name) or nearest(name, recipes)}"
        raise UserError(msg)
    return recipes[name]


def _first_lines(package: str) -> dict[str, str]:
    return {name: first_line(package, name) for name in list_names(package)}


def _leading_comment(text: str) -> str:
    first, *_ = text.splitlines() or [""]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
