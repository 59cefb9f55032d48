"""Why a corpus does not fill a batch, and which setting, changed to what, mends it for nearly all of the corpus, not for the rest."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

GIVEN_UP = 0.05
"""Share of the recordings, the shortest, that advice does not care for."""
HELD = {"same-speaker": "of one speaker", "same-recording": "of one recording"}


class _Settings(Protocol):
    """The settings that matter here (`DataSettings`)."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def window(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def join(self) -> bool: ...
    @property
    def sampler(self) -> str: ...


class WindowsFound(NamedTuple):
    """How many windows there are in an epoch that has the fewest."""

    name: str
    """Of the corpus."""
    group: int
    """Windows that share their negatives."""
    lengths: Integers
    """(timelines,) samples."""
    speakers: Integers
    """(timelines,) who speaks."""
    windows: Integers
    """(timelines,)"""
    sizes: Integers
    """Windows of each unit that groups come from."""
    dealt: Integers
    """Windows that are dealt out, of each deck."""


def nearly_all(lengths: Integers) -> int:
    """Return a length that nearly all of them have: (recordings,) samples, at least one."""
    return max(int(np.quantile(lengths, GIVEN_UP, method="lower")), 1)


def never_used(lengths: Integers, speakers: int, window: int) -> tuple[str, ...]:
    """Say how many timelines of some lengths, (timelines,) samples, are too short for a window; nothing if none is."""
    short = int((lengths < window).sum())
    if not short:
        return ()
    count = f"{short:,} of {len(lengths):,}"
    if len(lengths) == speakers:
        return (f"{count} speakers have less audio than data.window = {window} samples and are never used: make it shorter",)
    return (f"{count} recordings are shorter than data.window = {window} samples and never used: make it shorter, or --set data.join=true",)


def shortage(found: WindowsFound, settings: _Settings, fills: Callable[[int], bool]) -> str | None:
    """Say what is too little for a batch, and what would do; None if nothing is. `fills`: whether windows of so many samples would."""
    name, group, batch, seconds = found.name, found.group, settings.batch, settings.window / settings.sample_rate
    grouped = int((found.dealt - found.dealt % group).sum())
    if batch % group:
        return (
            f"data.batch = {batch} is not a whole number of the model's groups of {group} utterances, which share their negatives "
            f"and stay together: --set data.batch={max(batch // group, 1) * group}"
        )
    long_enough = int(np.count_nonzero(found.windows))
    if not long_enough or (grouped < batch and 2 * long_enough < len(found.windows)):
        longest = int(found.lengths.max(initial=0)) / settings.sample_rate
        how_many = f"only {long_enough:,} of {len(found.lengths):,} timelines long enough for a window of {seconds:.2f} s"
        if not long_enough:
            how_many = (
                f"no window of {settings.window} samples ({seconds:.2f} s): the longest of its {len(found.lengths)} timelines lasts "
                f"{longest:.2f} s"
            )
        return (
            f"{name} has {how_many}, and the random offset takes up to half a window. Make windows shorter (--set data.window="
            f"{_shorter_window(found.lengths, settings.window, fills)}){_joined(found, settings)}"
        )
    if not (found.sizes // group).any():
        most = int(found.sizes.max())
        mixed = ", or let groups mix (--set data.sampler=uniform)" if found.sizes.sum() >= batch else ""
        return (
            f"{name}: {group} windows of {seconds:.2f} s share their negatives, but there are no more than {most} "
            f"{HELD.get(settings.sampler, 'in all')}. Use more audio, or a smaller group (--set model.negative_group={most} "
            f"--set data.batch={max(batch // most, 1) * most}){mixed}"
        )
    if grouped < batch:
        return (
            f"{name} has {found.windows.sum()} windows of {seconds:.2f} s, {grouped} of them in groups of {group}: "
            f"fewer than the {batch} of one batch. Use more audio, or a smaller batch: --set data.batch={grouped}"
        )
    return None


def _shorter_window(lengths: Integers, window: int, fills: Callable[[int], bool]) -> int:
    """Find a window that fits into nearly all timelines, offset and all, and fills a batch; if none does, one that there is."""
    shorter = min(max(nearly_all(lengths) * 2 // 3, 1), window)
    while shorter > 1 and not fills(shorter):
        shorter = shorter * 9 // 10
    return shorter if fills(shorter) else max(int(lengths.max(initial=0)) * 2 // 3, 1)


def _joined(found: WindowsFound, settings: _Settings) -> str:
    """Offer to join recordings, where that gives a batch of the windows that were asked for."""
    by_speaker = np.bincount(found.speakers, weights=found.lengths)
    windows = np.maximum(by_speaker - settings.window // 2, 0) // settings.window // found.group * found.group
    if (settings.join and settings.sampler != "same-recording") or windows.sum() < settings.batch:
        return ""
    sampler = " --set data.sampler=same-speaker" if settings.sampler == "same-recording" else ""
    return f", or join a speaker's recordings (--set data.join=true{sampler}), which gives {int(windows.sum()):,} windows"
