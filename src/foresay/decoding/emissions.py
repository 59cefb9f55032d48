"""What every search asks of emissions, and how utterances of different lengths go through one loop."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from foresay.contracts.recognition import Emissions, Encoded
from foresay.errors import UserError

BLANK = 0
IMPOSSIBLE = -1e30
"""Log p of what a language model excludes: finite, so that a weight of 0 makes it 0."""


def checked(emissions: Emissions, symbols: int | None = None) -> Emissions:
    """Return emissions that can be searched.

    Args:
        emissions: (B, T, V).
        symbols: V, where the search has a vocabulary.

    Raises:
        UserError: shapes or lengths do not fit each other, or real frames hold NaN.
    """
    scores, lengths = emissions
    if scores.ndim != 3 or lengths.shape != scores.shape[:1] or scores.shape[2] < 2:  # noqa: PLR2004 - (B, T, V): a blank and a symbol
        given = f"{tuple(scores.shape)} with {tuple(lengths.shape)}"
        msg = f"emissions are (utterances, frames, symbols) with one length an utterance, not {given}"
        raise UserError(msg)
    if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= scores.shape[1]:
        msg = (
            f"lengths of {int(lengths.min())} to {int(lengths.max())} frames in a batch of {scores.shape[1]}: each lies between 0 and that"
        )
        raise UserError(msg)
    if symbols is not None and scores.shape[2] != symbols:
        msg = (
            f"the emissions have {scores.shape[2]} symbols and the vocabulary {symbols}, both with the blank. "
            "Usual cause: the vocabulary of another recognizer"
        )
        raise UserError(msg)
    unknown = scores.isnan().any(-1) & real_frames(emissions)
    if unknown.any():
        msg = f"utterance {int(unknown.any(1).nonzero()[0])} of the batch has frames that are not a number: has training diverged?"
        raise UserError(msg)
    return emissions


def checked_chunk(encoded: Encoded, symbols: int | None = None) -> Emissions:
    """Return a chunk of one utterance (1, t, V) that can be searched.

    Raises:
        UserError: as `checked` says, or it is no chunk.
    """
    emissions = checked(Emissions(*encoded), symbols)
    refuse_no_chunk(emissions)
    return emissions


def refuse_no_chunk(encoded: Encoded) -> None:
    """Refuse what is no chunk of one utterance (1, t, D).

    Raises:
        UserError: it is of several utterances, or has frames that are not real.
    """
    frames, lengths = encoded
    if lengths.tolist() != [frames.shape[1]]:
        msg = f"a stream is one utterance, in chunks of real frames alone, not lengths {lengths.tolist()} in a chunk of {frames.shape[1]}"
        raise UserError(msg)


def real_frames(emissions: Emissions) -> Tensor:
    """Say which frames are no padding: (B, T) bool."""
    scores, lengths = emissions
    return torch.arange(scores.shape[1], device=scores.device) < lengths.to(scores.device)[:, None]


def padded_with_blanks(emissions: Emissions) -> Tensor:
    """Make every frame beyond an utterance's length a sure blank: a search may run on, and no score changes. (T, B, V)."""
    scores = emissions.log_probabilities
    sure = torch.where(torch.arange(scores.shape[2], device=scores.device) == BLANK, 0.0, -torch.inf)
    return torch.where(real_frames(emissions)[..., None], scores, sure).transpose(0, 1).contiguous()


def begins(path: Tensor, first: int = BLANK) -> Tensor:
    """Say at which frames of paths (B, T) a symbol begins: it is no blank, and not that of the frame before. (B, T) bool.

    `first`: the symbol of the frame before the first one.
    """
    before = torch.nn.functional.pad(path[:, :-1], (1, 0), value=first)
    return (path != BLANK) & (path != before)


def padded_labels(labels: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Lay sequences of symbols into one tensor: (B, U) int64, blanks behind the end, and their lengths (B,)."""
    lengths = torch.tensor([len(row) for row in labels], dtype=torch.int64)
    rows = torch.full((len(labels), int(lengths.max()) if len(labels) else 0), BLANK, dtype=torch.int64)
    for row, symbols in zip(rows, labels, strict=True):
        row[: len(symbols)] = torch.tensor(symbols, dtype=torch.int64)
    return rows, lengths


def required_frames(labels: Sequence[int]) -> int:
    """Count the frames that a text needs at least: one a symbol, and a blank between two equal neighbours.

    Examples:
        >>> required_frames([3, 5, 5])
        4
    """
    return len(labels) + sum(a == b for a, b in itertools.pairwise(labels))
