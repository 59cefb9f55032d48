"""The models of a contract, found by listing: its battery takes all of them."""

from foresay.building import MODELS, find_model
from foresay.contracts import Model
from foresay.settings import list_names


def models_of(contract: type) -> list[str]:
    """Return the names of all models that meet a contract."""
    found: dict[str, type[Model]] = {name: find_model(name) for name in list_names(MODELS)}
    return [name for name, kind in found.items() if issubclass(kind, contract)]
