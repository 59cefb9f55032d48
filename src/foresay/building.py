"""Building of models: from names and settings to models, and back (the table [model] of a recipe or a model folder).

    name = "kmeans"             a file of `models/` or `baselines/`, or a dotted module
    clusters = 500              its settings
    layer = "L6"
    [model.encoder]             a model made of other models has their tables in its own, by the names of its constructor's parameters
    name = "hubert"

`build` makes the model untrained; its weights, those of its parts included, are one file.
"""

from collections.abc import Container, Mapping
from typing import Any, TypeAlias

from torch import nn

from foresay.contracts import Extractor, Model
from foresay.errors import UserError, with_article
from foresay.settings import Table, construct, find_class, from_table, list_names, name_of, parts_of, settings_class, to_table

MODELS, BASELINES = "foresay.models", "foresay.baselines"

Part: TypeAlias = str | Table
"""What a recipe says of a part: a MODEL to be loaded, or the table of one that is built anew."""


def find_model(name: str) -> type[Model]:
    """Find the class of a model by its name.

    Raises:
        UserError: there is none.
    """
    found: type[Model] = find_class(MODELS, name, Model)
    return found


def is_baseline(name: str) -> bool:
    """Whether a name is that of a baseline, which has no settings."""
    return name in list_names(BASELINES)


def baseline(name: str) -> nn.Module:
    """Build a baseline."""
    found: nn.Module = find_class(BASELINES, name, Extractor)()
    return found


def check_kind(owner: type[Model], part: str, name: str) -> None:
    """Make sure that a model, by its name, can be a part of a class, before it is built or fitted.

    Raises:
        UserError: it is of another kind than the constructor takes.
    """
    found = find_class(BASELINES, name, Extractor) if is_baseline(name) else find_model(name)
    contract = parts_of(owner)[part]
    if not issubclass(found, contract):
        raise UserError(_another_kind(owner, part, contract, found))


def build(table: Table) -> nn.Module:
    """Build an untrained model, or a baseline, from its table; its parts must be tables too.

    Raises:
        UserError: there is no such model or setting, or a part is missing or of another kind.
    """
    name, settings, given = taken_apart(table)
    if is_baseline(name):
        return baseline(name)
    parts = {}
    for part, described in given.items():
        if not isinstance(described, Mapping):
            msg = f"[model.{part}] must be the table of a model, not {described!r}"
            raise UserError(msg)
        parts[part] = build(dict(described))
    return assemble(find_model(name), settings, parts)


def assemble(cls: type[Model], settings: object, parts: Mapping[str, nn.Module]) -> Model:
    """Build an untrained model around its parts.

    Raises:
        UserError: a part is missing or of another kind, or the settings do not fit together.
    """
    require_parts(cls, parts)
    for part, contract in parts_of(cls).items():
        if not isinstance(parts[part], contract):
            raise UserError(_another_kind(cls, part, contract, type(parts[part])))
    return construct(cls, settings, parts)


def require_parts(cls: type[Model], given: Container[str]) -> None:
    """Make sure that every part of a model is named, before any of them is loaded, fitted or built.

    Raises:
        UserError: one is missing.
    """
    for part, contract in parts_of(cls).items():
        if part not in given:
            msg = f"{cls.__name__} is made of another model, `{part}`: --set parts.{part}=MODEL, {_kind(contract)}"
            raise UserError(msg)


def describe(model: nn.Module) -> Table:
    """Return the table from which `build` makes an untrained copy of a model."""
    cls = type(model)
    name = name_of(cls, MODELS, BASELINES)
    if not isinstance(model, Model):
        return {"name": name}
    return {"name": name, **to_table(model.settings), **{part: describe(getattr(model, part)) for part in parts_of(cls)}}


def untrained_copy(model: nn.Module) -> nn.Module:
    """Build a model of the same settings, parts included, from torch's present random state."""
    cls = type(model)
    if not isinstance(model, Model):
        return cls()
    return construct(cls, model.settings, {part: untrained_copy(getattr(model, part)) for part in parts_of(cls)})


def taken_apart(table: Mapping[str, Any], where: str = "model") -> tuple[str, Any, dict[str, Part]]:
    """Return the name, the checked settings and the parts that a table states; of a baseline there are no settings.

    Raises:
        UserError: it has no name, or names a model or a setting that there is not.
    """
    rest = dict(table)
    name = rest.pop("name", None)
    if not isinstance(name, str):
        msg = f"[{where}] must have the name of a model, not name = {name!r}"
        raise UserError(msg)
    if is_baseline(name):
        if rest:
            msg = f"[{where}]: {name} is a baseline and has no settings: leave out {', '.join(rest)}"
            raise UserError(msg)
        return name, None, {}
    cls = find_model(name)
    parts = {part: rest.pop(part) for part in parts_of(cls) if part in rest}
    return name, from_table(settings_class(cls), rest, where), parts


def _another_kind(owner: type[Model], part: str, contract: type, found: type) -> str:
    return f"parts.{part} of {owner.__name__} must be {_kind(contract)}, and this is {with_article(found)}"


def _kind(contract: type) -> str:
    """Say what a part must be: the first line of its contract."""
    first = (contract.__doc__ or "").partition(".")[0]
    return f"{with_article(contract)} ({first[:1].lower()}{first[1:]})"
