"""No test that is not marked slow takes more than two seconds of a processor, whatever else runs beside it.

Seconds of a processor, of the test and of the processes that it started, and not of the clock: those hardly depend on the load. A test
that took too many is compared with a piece of work of known length, done right after it: on a slower machine, or one that shares its
caches, all may take longer. What fixtures take is not counted: worlds that tests share are built once.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

FAST = 2.0
"""Seconds."""
SECONDS_OF_WORK = 0.08
"""What `work` takes where nothing else runs, on the machine that the tests were tuned on."""


@contextmanager
def fast(*, slow: bool, seconds: Callable[[], float] | None = None) -> Iterator[None]:
    """Let what is done inside fail if it took too long and is not marked slow.

    Raises:
        pytest.fail.Exception: it took longer than `FAST`, measured by `seconds` of a clock that counts work.
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
    if took > FAST * pace:
        pytest.fail(
            f"took {took:.1f} s of a processor, more than the {FAST:g} s of a fast test (here {FAST * pace:.1f} s): make it faster, "
            "build what it shares with others in a fixture, or mark it slow and keep a fast test of the same law",
            pytrace=False,
        )


def processor_seconds() -> float:
    """Return what this process and the ended ones that it started have taken so far, in all their threads."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def work() -> int:
    """Do what takes about as long on all machines that are as fast."""
    return sum(number * number % 7 for number in range(1_500_000))
