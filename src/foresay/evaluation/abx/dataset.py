"""The frames of tokens: which ones they are, and where they lie in memory."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from foresay.errors import UserError, nearest
from foresay.evaluation.abx.frame_distances import DISTANCES
from foresay.evaluation.abx.items import Items
from foresay.progress import ProgressBar
from foresay.threads import one_thread

Slicing = Literal["clock", "centers", "librilight"]
Normalization = Literal["none", "recording", "librilight"]

TOLERATED = 2
"""Frames that a layer may have less than its recording's last phone needs: encoders without padding lose some."""
LONGEST = 4000
"""Frames of a token. Phones have ten, and time warping of two tokens takes time and memory for each pair of frames."""
PIECE = 4.0
"""Seconds of 16 kHz audio, 64000 samples, that Libri-Light's CPC loader encodes and normalizes at once."""
SHOWN = 3
"""Names in a message."""
EXACT = 6
"""Decimals of a frame. Times have four decimals, so what differs less is rounding: 100 x 0.285 is 28.499999999999996."""


class Dataset(NamedTuple):
    """N tokens and their frames."""

    frames: Tensor
    """(F, D) float32, prepared for the distance: the frames of all recordings that are in a token, each once."""
    starts: NDArray[np.int64]
    """(N,): a token's first frame."""
    lengths: NDArray[np.int64]
    """(N,): how many follow."""
    items: Items
    """The tokens that have frames."""
    without_frames: int
    """Tokens left out, for no frame lies in them."""
    cut_short: int
    """Tokens that lost a frame or two, for the layer ends before its recording."""
    distance: str
    """Name of what compares two frames."""


def make_dataset(
    features: Mapping[str, ArrayLike | Tensor],
    items: Items,
    frame_rate: float,
    *,
    slicing: Slicing,
    normalization: Normalization,
    distance: str,
    device: str = "cpu",
    first_center: float | None = None,
) -> Dataset:
    """Cut tokens out of the features (T, D) of each recording, by its id. Any mapping will do: each recording is asked for once.

    `slicing`: `clock` takes the frames whose centers, `first_center` + t / frame rate (seconds), lie in the token. `centers` puts them at
    (t + ½) / frame rate, whatever the features are of, as fastabx does. `librilight` loses the last of these, as the code of Libri-Light
    and ZeroSpeech 2021 does (and fastabx, if FASTABX_WITH_LIBRILIGHT_BUG is set).
    `normalization`: mean 0 and variance 1 of each feature over the time of a `recording`; over each 4 s of it (`librilight`); or `none`.
    `distance`: one of `frame_distances.DISTANCES`.

    Raises:
        UserError: a recording is missing, its features are not finite, too few for its tokens, or not what the distance compares;
            no token has a frame.
    """
    _check_names(slicing, normalization, distance)
    _refuse_missing(items, features)
    firsts, stops = frames_of(items, frame_rate, slicing, first_center)
    _refuse_long(items, stops - firsts, frame_rate)
    starts, lengths = np.zeros_like(firsts), np.zeros_like(firsts)
    order = np.argsort(items.file, kind="stable")
    names, begins = np.unique(items.file[order], return_index=True)
    tokens_of = np.split(order, begins[1:])
    covered = [_covered(firsts[tokens], stops[tokens]) for tokens in tokens_of]
    cut_short, filled, frames = 0, 0, torch.empty(0)
    steps = zip(names.tolist(), tokens_of, covered, strict=True)
    for name, tokens, mask in ProgressBar(steps, "abx, features", "recording", total=len(names)):
        encoded = torch.as_tensor(features[name])
        with one_thread():
            _check(encoded, name, int(stops[tokens].max()), frame_rate)
            if frames.ndim == 1:
                frames = torch.empty((sum(int(m.sum()) for m in covered), encoded.shape[1]), device=device)
            encoded = DISTANCES[distance].prepare(normalize(encoded.to(device, torch.float32), normalization, frame_rate))
            kept = np.flatnonzero(mask[: len(encoded)])
            frames[filled : filled + len(kept)] = encoded[torch.from_numpy(kept).to(device)]
        ends = np.minimum(stops[tokens], len(encoded))
        cut_short += int((ends < stops[tokens]).sum())
        lengths[tokens] = np.maximum(0, ends - firsts[tokens])
        starts[tokens] = filled + np.searchsorted(kept, firsts[tokens])
        filled += len(kept)
    whole = lengths > 0
    if not whole.any():
        msg = f"no frame lies in any of the {len(items)} tokens, at {frame_rate:g} frames a second: are the times of the items in seconds?"
        raise UserError(msg)
    return Dataset(frames[:filled], starts[whole], lengths[whole], items.select(whole), int((~whole).sum()), cut_short, distance)


def frames_of(
    items: Items, frame_rate: float, slicing: Slicing, first_center: float | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each token's first frame (N,) and the one after its last (N,). `first_center`: of frame 0, in seconds; None: half a frame."""
    first = 0.5 if slicing != "clock" or first_center is None else first_center * frame_rate
    firsts = np.ceil(np.round(items.onset * frame_rate - first, EXACT)).astype(np.int64)
    lasts = np.floor(np.round(items.offset * frame_rate - first, EXACT)).astype(np.int64)
    return np.maximum(0, firsts), lasts + (slicing != "librilight")


def normalize(features: Tensor, normalization: Normalization, frame_rate: float) -> Tensor:
    """Give the features (T, D) of a recording mean 0 and variance 1 over time, or over pieces of time."""
    if normalization == "none" or len(features) < 2:  # noqa: PLR2004 - one frame has no variance
        return features
    piece = round(PIECE * frame_rate) if normalization == "librilight" else len(features)
    result = torch.empty_like(features)
    for start in range(0, len(features), piece):
        # The last piece of Libri-Light's loader is the last 4 s, of which only what is new is kept.
        around = features[max(0, min(start, len(features) - piece)) :][:piece]
        variance, mean = torch.var_mean(around, dim=0)
        result[start : start + piece] = (features[start : start + piece] - mean) / torch.sqrt(variance + 1e-8)
    return result


def _refuse_missing(items: Items, features: Mapping[str, ArrayLike | Tensor]) -> None:
    wanted = set(items.file.tolist())
    missing = sorted(wanted - set(features))
    if missing:
        msg = (
            f"{len(missing)} of the {len(wanted)} recordings of the items are missing: {', '.join(missing[:SHOWN])}"
            f"{', …' if len(missing) > SHOWN else ''}. There are {len(features)} recordings: {', '.join(sorted(features)[:SHOWN])}"
            f"{', …' if len(features) > SHOWN else ''}. Are the items those of another split, or are its recordings named otherwise?"
        )
        raise UserError(msg)


def _refuse_long(items: Items, lengths: NDArray[np.int64], frame_rate: float) -> None:
    i = int(lengths.argmax())
    if lengths[i] > LONGEST:
        msg = (
            f"a token of {items.file[i]} goes from {items.onset[i]:g} s to {items.offset[i]:g} s, {lengths[i]} frames at {frame_rate:g} a "
            f"second; {LONGEST} are the most that can be compared. Are the times in seconds, not in samples or frames?"
        )
        raise UserError(msg)


def _check_names(slicing: str, normalization: str, distance: str) -> None:
    choices = (
        ("slicing", slicing, get_args(Slicing)),
        ("normalization", normalization, get_args(Normalization)),
        ("distance", distance, tuple(DISTANCES)),
    )
    for what, name, known in choices:
        if name not in known:
            msg = f"there is no {what} {name!r}: {nearest(name, known)}"
            raise UserError(msg)


def _covered(firsts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask of the frames of a recording that are in a token."""
    steps = np.zeros(max(int(stops.max()), int(firsts.max())) + 1, dtype=np.int64)
    real = stops > firsts
    np.add.at(steps, firsts[real], 1)
    np.add.at(steps, stops[real], -1)
    return np.asarray(steps.cumsum() > 0)


def _check(features: Tensor, name: str, needed: int, frame_rate: float) -> None:
    if features.ndim != 2:  # noqa: PLR2004 - (T, D)
        msg = f"the features of {name} must be (T, D), not {tuple(features.shape)}"
        raise UserError(msg)
    if not features.isfinite().all():
        msg = f"the features of {name} are not finite: the model has diverged, or the recording is damaged (`foresay corpus check` says)"
        raise UserError(msg)
    if needed > len(features) + TOLERATED:
        msg = (
            f"the phones of {name} go on to frame {needed} ({needed / frame_rate:.2f} s), but it has {len(features)} frames at "
            f"{frame_rate:g} a second; {TOLERATED} too few would be tolerated. Is the frame rate right, and do the phone times, in "
            "seconds, belong to this recording?"
        )
        raise UserError(msg)
