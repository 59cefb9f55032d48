"""A test that is not marked slow takes two seconds of a processor at most: one that takes more is listed, one that takes twice that fails.

Seconds of a processor, of the test and of the processes that it started, and not of the clock: those hardly depend on the load. They do
depend on the machine and its caches, and the first test that needs a library pays for its import: hence the factor of two, and a piece of
work of known length, done right after a test that took too long, with which it is compared. What fixtures take is not counted: worlds
that tests share are built once.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

FAST = 2.0
"""Seconds that a test may take."""
TOO_LONG = 2 * FAST
"""Seconds at which it fails."""
SECONDS_OF_WORK = 0.08
"""What `work` takes where nothing else runs, on the machine that the tests were tuned on."""


@contextmanager
def fast(*, slow: bool, seconds: Callable[[], float] | None = None, warn: Callable[[str], object] = print) -> Iterator[None]:
    """Let what is done inside fail if it took too long and is not marked slow; `warn` if it took long.

    Raises:
        pytest.fail.Exception: it took longer than `TOO_LONG`, measured by `seconds` of a clock that counts work.
    """
    clock = seconds or processor_seconds
    before = clock()
    yield
    took = clock() - before
    if slow or took <= FAST:
        return
    before = clock()
    work()
    pace = max(1.0, (clock() - before) / SECONDS_OF_WORK)
    if took <= FAST * pace:
        return
    message = (
        f"took {took:.1f} s of a processor, more than the {FAST:g} s of a fast test (here {FAST * pace:.1f} s): make it faster, "
        "build what it shares with others in a fixture, or mark it slow and keep a fast test of the same law"
    )
    if took > TOO_LONG * pace:
        pytest.fail(message, pytrace=False)
    warn(message)


def processor_seconds() -> float:
    """Return what this process and the ended ones that it started have taken so far, in all their threads."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def work() -> int:
    """Do what takes about as long on all machines that are as fast."""
    return sum(number * number % 7 for number in range(1_500_000))
