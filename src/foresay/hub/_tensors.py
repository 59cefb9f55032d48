"""Tensors by other people's names: renamed by a table, and fitted into a model whole or not at all.

What is missing or left over is an error that names it. Others warn, and then go on with random weights: the most frequent complaint about
loading these models (transformers issues 26796, 32433, 33995) is a positional convolution that was lost so.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from torch import Tensor

from foresay.errors import UserError

Tensors: TypeAlias = dict[str, Tensor]

Names: TypeAlias = Sequence[tuple[str, str]]
"""Ours and theirs, of a parameter, or of a module with its weight and bias; `*` is any number."""

WEIGHT_NORM = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
"""The newer spelling of PyTorch's weight norm, and the older, which everybody reads."""


def to_ours(tensors: Mapping[str, Tensor], names: Names, source: str) -> tuple[Tensors, Tensors]:
    """Rename their tensors. -> those that the table knows, by our names, and the rest, by theirs."""
    known: Tensors = {}
    rest: Tensors = {}
    for name, tensor in tensors.items():
        ours = translated(_spelled_as_ever(name), [(theirs, ours) for ours, theirs in names])
        if ours is None:
            rest[name] = tensor
        elif ours in known:
            msg = f"{source} holds {name} twice, in two spellings: which is meant cannot be known. Save the checkpoint anew from its model"
            raise UserError(msg)
        else:
            known[ours] = tensor
    return known, rest


def to_theirs(tensors: Mapping[str, Tensor], names: Names) -> Tensors:
    """Rename our tensors; those that the table does not know are left out."""
    renamed = {translated(name, names): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in renamed.items() if name is not None}


def translated(name: str, names: Iterable[tuple[str, str]]) -> str | None:
    """Look a name up; None if the table does not know it.

    Examples:
        >>> translated("blocks.3.norm.weight", [("blocks.*.norm", "layers.*.layer_norm")])
        'layers.3.layer_norm.weight'
    """
    for source, target in names:
        pattern = re.escape(source).replace(r"\*", r"(\d+)") + r"(\.weight|\.bias)?"
        if match := re.fullmatch(pattern, name):
            *numbers, leaf = match.groups()
            return target.replace("*", "{}").format(*numbers) + (leaf or "")
    return None


def without_prefix(tensors: Mapping[str, Tensor], prefixes: Sequence[str]) -> Tensors:
    """Take the network out of what was built around it: `wav2vec2.encoder.…` becomes `encoder.…`; heads beside it keep their names."""
    return {next((name.removeprefix(p) for p in prefixes if name.startswith(p)), name): tensor for name, tensor in tensors.items()}


def check(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], left: Iterable[str], source: str, theirs: Callable[[str], str]
) -> None:
    """Compare what was found with what a model wants, by name and shape.

    `left`: names of the file that nothing here corresponds to. `theirs` says our names in the file's words.

    Raises:
        UserError: something is missing, left over, or of another shape.
    """
    missing = [theirs(name) for name in wanted if name not in tensors]
    unexpected = [*left, *(theirs(name) for name in tensors if name not in wanted)]
    if missing or unexpected:
        raise misfit(source, missing, unexpected)
    wrong = [f"{theirs(n)} {list(tensors[n].shape)} (not {list(t.shape)})" for n, t in wanted.items() if tensors[n].shape != t.shape]
    if wrong:
        msg = f"{source}: tensors of one model must fit each other, but {_listed(wrong)}. Nothing was loaded: were two checkpoints mixed?"
        raise UserError(msg)


def misfit(source: str, missing: Sequence[str] = (), unexpected: Sequence[str] = ()) -> UserError:
    """Name what a file lacks and what it holds too much."""
    lacks = f"it lacks {_listed(missing)}" if missing else ""
    holds = f"it holds {_listed(unexpected)}, for which this model has no place" if unexpected else ""
    msg = (
        f"{source} is not the model that it seems to be: {' and '.join(filter(None, (lacks, holds)))}. Usually it is cut off, or of a "
        "variant that Foresay does not know. Nothing was loaded: take the file as it was published, or save it anew from its model"
    )
    return UserError(msg)


def _spelled_as_ever(name: str) -> str:
    for newer, older in WEIGHT_NORM.items():
        name = name.replace(newer, older)
    return name


def _listed(names: Sequence[str], shown: int = 6) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
