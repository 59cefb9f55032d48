"""Progress of long work: a bar on a terminal, a line now and then where there is none.

    checking timit/test: item 1,200 of 6,300 (19 %), 40 per second, 2 min 8 s to go

All of it goes to the standard error. Without a terminal short work stays quiet: there is no line before the first half minute. Lines of
long work are further apart: those of a week are a thousand. Nothing here imports torch.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Any, Generic, Self, TypeVar

from tqdm import tqdm

T = TypeVar("T")

PERIOD = 30.0
"""Seconds between two lines, at least."""
SHARE, LONGEST = 0.02, 600.0
"""Of the time that a loop has taken: so long is the pause to its next line once that is more; and seconds that it is at most."""


class ProgressBar(Generic[T]):
    """Goes through `steps`, or counts them by `update`, and shows how far that is.

    Args:
        steps: what to go through.
        what: what is being done.
        unit: what a step is called, in the singular.
        total: how many steps there are, where `steps` does not know.
        initial: those that were done before.
        leave: whether the bar stays on the terminal when it is full.
        shown: False for all but one of several processes.
    """

    def __init__(
        self,
        steps: Iterable[T] = (),
        what: str = "",
        unit: str = "step",
        *,
        total: int | None = None,
        initial: int = 0,
        leave: bool = False,
        shown: bool = True,
    ) -> None:
        self.steps = steps
        if total is None and isinstance(steps, Sized):
            total = len(steps)
        if shown and not sys.stderr.isatty():
            self.bar: Any = _Lines(what, unit, total, initial)
        else:
            self.bar = tqdm(desc=what, unit=f" {unit}", total=total, initial=initial, leave=leave, disable=not shown)

    def __iter__(self) -> Iterator[T]:
        with self:
            for step in self.steps:
                yield step
                self.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def update(self, steps: int = 1) -> None:
        """Count so many steps as done."""
        self.bar.update(steps)

    def note(self, numbers: Mapping[str, str]) -> None:
        """Show some numbers beside how far it is, from now on."""
        self.bar.set_postfix(numbers)


@contextmanager
def stage(what: str) -> Iterator[None]:
    """Say when a part of a job begins, and when it has ended, how long that took."""
    began = monotonic()
    _write(f"{what} …")
    yield
    _write(f"{what}: done in {_duration(monotonic() - began)}")


@contextmanager
def going_on(what: str) -> Iterator[None]:
    """Say now and then that one long step goes on, of which nobody knows how far it is."""
    began, ended = monotonic(), Event()

    def say() -> None:
        while not ended.wait(_pause(monotonic() - began)):
            _write(f"{what}: goes on, {_duration(monotonic() - began)} so far")

    thread = Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def say(line: str) -> None:
    """Write a line, beside whatever bar there is."""
    _write(line)


class _Lines:
    """What tqdm is to a terminal, for log files. All loops of a process share their silence: a job of many short ones has lines too."""

    last_sign = last_line = float("-inf")
    """When a loop began or moved last, and when one wrote a line."""

    def __init__(self, what: str, unit: str, total: int | None, initial: int) -> None:
        self.what, self.unit, self.total, self.initial = what, unit, total, initial
        self.done, self.postfix, self.lines = initial, "", 0
        self.began = monotonic()
        if self.began - _Lines.last_sign > PERIOD:  # the process did something else, or nothing, in between
            _Lines.last_line = self.began
        self.written = _Lines.last_line
        _Lines.last_sign = self.began

    def update(self, steps: int) -> None:
        self.done += steps
        now = _Lines.last_sign = monotonic()
        if now - self.written < _pause(now - self.began):
            return
        self.written = _Lines.last_line = now
        self.lines += 1
        _write(f"{self.what}: {self}{self._pace(now)}{self.postfix}")

    def set_postfix(self, numbers: Mapping[str, str]) -> None:
        self.postfix = "".join(f", {name} {number}" for name, number in numbers.items())

    def close(self) -> None:
        if self.lines:
            _write(f"{self.what}: {self} in {_duration(monotonic() - self.began)}{self.postfix}")
        self.lines = 0

    def __str__(self) -> str:
        share = f" of {self.total:,} ({self.done / self.total:.0%})".replace("%", " %") if self.total else ""
        return f"{self.unit} {self.done:,}{share}"

    def _pace(self, now: float) -> str:
        """Say how fast it goes, and for how long yet."""
        seconds = (now - self.began) / max(self.done - self.initial, 1)
        pace = f", {_duration(seconds)} each" if seconds > 1 else f", {1 / max(seconds, 1e-9):.3g} per second"
        return pace + (f", {_duration(seconds * max(self.total - self.done, 0))} to go" if self.total else "")


def _pause(taken: float) -> float:
    """Seconds to the next line of what has taken so many."""
    return max(PERIOD, min(SHARE * taken, LONGEST))


def _write(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
    sys.stderr.flush()


def _duration(seconds: float) -> str:
    """Say how long something takes.

    >>> [_duration(s) for s in (2.34, 59.6, 130, 8000, 200_000)]
    ['2.3 s', '1 min 0 s', '2 min 10 s', '2 h 13 min', '2 d 7 h']
    """
    if seconds < 10:  # noqa: PLR2004 - one digit after the point
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
