"""Checkpoints of fairseq and unilm (`.pt`): wav2vec 2.0, XLSR, XLS-R, HuBERT and WavLM, read as data into our own networks.

    {"cfg": tables or omegaconf, or "args": argparse.Namespace, "model": tensors, …}

Nothing of fairseq is built: it would look for dictionaries on its authors' disks (fairseq issues 3624, 4003).
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from foresay.errors import UserError
from foresay.hub._pickles import only_tensors, plain, read_pickle
from foresay.hub._tensors import to_ours, without_prefix
from foresay.hub.wav2vec2 import ReadCheckpoint, assemble, fairseq_names, words
from foresay.models.representation._masked_transformer import MaskedTransformer
from foresay.settings import Table

PREFIXES = ("w2v_encoder.w2v_model.",)
TASK_HEADS = re.compile(r"w2v_encoder\.proj\.(weight|bias)")
LONGEST = 1000
"""Letters of what states the convolutions, and convolutions in it: more are not meant."""
SECTIONS = ("task", "model", "w2v_args")
"""Where settings stand; those of a fine-tuned network are inside, as `w2v_args`."""


def read_file(path: Path, overrides: Mapping[str, Any]) -> MaskedTransformer:
    """Read a `.pt` file. `overrides`: settings that shall be otherwise (`standardize`, `padding_in_norm`, …).

    Raises:
        UserError: it is no such file, or something is missing, left over, or does not fit.
    """
    content = read_pickle(path)
    state = content.get("model")
    settings = flat(plain(content.get("cfg") or content.get("args")))
    if not isinstance(state, dict):
        msg = (
            f'{path} is no checkpoint of fairseq: those are tables with "model", tensors by name, and "cfg" or "args"; '
            f"it holds {str(list(content))[:200]}"
        )
        raise UserError(msg)
    state = only_tensors(state, path)
    if not settings:
        msg = f'{path} does not say its settings ("cfg" or "args"): the tensors do not say how many heads its attention has'
        raise UserError(msg)
    family = _family(state, settings)
    names = fairseq_names(family)
    tensors, rest = to_ours(without_prefix(state, PREFIXES), names, str(path))
    heads = [name for name in rest if TASK_HEADS.fullmatch(name)]
    stated = {ours: settings[theirs] for ours, _, theirs in words(family) if theirs in settings}
    if "strides" in stated:
        stated["strides"] = _strides(stated["strides"], path)
    stated["standardize"] = settings.get("normalize", "convolutions.norms.1.weight" in tensors)
    left = tuple(name for name in rest if name not in heads)
    return assemble(ReadCheckpoint(str(path), family, names, tensors, left, stated, fine_tuned=bool(heads)), overrides)


def flat(settings: object) -> Table:
    """Put settings of all sections into one table; those of what was pre-trained count more than those of its fine-tuning."""
    if not isinstance(settings, dict):
        return {}
    table = {key: value for key, value in settings.items() if not isinstance(value, dict)}
    for section in SECTIONS:
        table |= {key: value for key, value in flat(settings.get(section)).items() if value is not None}
    return table


def _family(state: Mapping[str, Tensor], settings: Table) -> str:
    if any("relative_attention_bias" in name for name in state):
        return "wavlm"
    kind = f"{settings.get('_name')} {settings.get('arch')}"
    return "hubert" if "label_embs_concat" in state or "hubert" in kind else "wav2vec2"


def _strides(layers: object, path: Path) -> list[int]:
    """Read the strides of `[(512, 10, 5)] + [(512, 3, 2)] * 4`, a sum of lists, each perhaps repeated; nothing is evaluated."""
    text = str(layers)
    try:
        if len(text) > LONGEST:
            raise ValueError  # noqa: TRY301 - reported below
        return [stride for _, _, stride in _layers(ast.parse(text, mode="eval").body)]
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError) as error:
        msg = f"{path} states its convolutions as {text[:200]!r}; expected a list of (channels, kernel, stride)"
        raise UserError(msg) from error


def _layers(node: ast.expr) -> list[tuple[int, int, int]]:
    match node:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _layers(left) + _layers(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=ast.Constant(value=int(times))):
            repeated = _layers(left)
            if times * len(repeated) > LONGEST:
                raise ValueError
            return repeated * times
        case _:
            listed: list[tuple[int, int, int]] = ast.literal_eval(node)
            return listed
