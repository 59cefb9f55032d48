"""List the built-in recipes, or print one.

Example:
    foresay recipes
    foresay recipes acpc > my-recipe.toml
"""

from typing import Annotated

import tyro

from foresay.workflows.catalog import list_recipes, recipe_text


def run(arguments: list[str]) -> None:
    """Print what is asked for."""
    tyro.cli(recipes, prog="foresay recipes", description=__doc__, args=arguments)


def recipes(name: Annotated[str | None, tyro.conf.arg(metavar="[NAME]")] = None, /) -> None:
    """Print the list, or one recipe as it is written.

    Args:
        name: The recipe to print.
    """
    if name:
        print(recipe_text(name), end="")
        return
    entries = list_recipes()
    width = max(map(len, entries), default=0)
    for recipe, line in entries.items():
        print(f"{recipe:{width}}  {line}")
