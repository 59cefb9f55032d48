"""The models of a contract, found by listing: its battery takes all of them."""

import functools

from foresay.building import MODELS, find_model
from foresay.contracts import Model
from foresay.settings import list_names
from foresay.training.recipe import read_recipe
from foresay.workflows.catalog import list_recipes


def models_of(contract: type) -> list[str]:
    """Return the names of all models that meet a contract."""
    found: dict[str, type[Model]] = {name: find_model(name) for name in list_names(MODELS)}
    return [name for name, kind in found.items() if issubclass(kind, contract)]


def recipe_of(model: str) -> str:
    """Return a recipe of a model, a small one if there is."""
    found = [name for name, of in _models().items() if of == model]
    return next((name for name in found if name.startswith("demo-") or name.endswith("-tiny")), found[0])


@functools.cache
def _models() -> dict[str, str]:
    """Recipe -> model."""
    return {name: read_recipe(name).model for name in list_recipes()}
