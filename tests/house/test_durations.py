"""A fast test that takes long fails, and says so; a slow one may, and so may one on a machine that takes long for everything."""

import time

import pytest

from house.durations import FAST, SECONDS_OF_WORK, TOO_LONG, fast, processor_seconds, work


def run(took: float, *, slow: bool = False, pace: float = 1.0) -> list[str]:
    """Take so many seconds of a clock that stands still else, and return the warnings."""
    times, warnings = iter([0.0, took, took, took + pace * SECONDS_OF_WORK]), list[str]()
    with fast(slow=slow, seconds=lambda: next(times), warn=warnings.append):
        pass
    return warnings


def test_what_takes_long_is_listed_and_what_takes_twice_that_fails_unless_it_is_marked_slow() -> None:
    assert not run(FAST)
    assert not run(10 * FAST, slow=True)
    (warning,) = run(2.1)
    assert warning.startswith("took 2.1 s of a processor, more than the 2 s of a fast test")
    assert run(TOO_LONG)
    with pytest.raises(pytest.fail.Exception, match=r"took 4\.1 s of a processor"):
        run(4.1)


def test_on_a_machine_that_is_slow_at_everything_more_is_allowed() -> None:
    assert not run(5.9, pace=3.0)
    assert run(6.1, pace=3.0)
    assert run(11.9, pace=3.0)
    with pytest.raises(pytest.fail.Exception, match=r"\(here 6\.0 s\)"):
        run(12.1, pace=3.0)
    assert run(2.1, pace=0.5)


def test_the_clock_counts_work_and_no_waiting() -> None:
    before = processor_seconds()
    time.sleep(0.2)
    waited = processor_seconds()
    work()
    assert waited - before < 0.1
    assert 0.01 < processor_seconds() - waited < FAST


def test_every_test_here_is_measured(request: pytest.FixtureRequest) -> None:
    hooks = request.config.pluginmanager.hook.pytest_runtest_call.get_hookimpls()
    assert any(hook.function.__module__.endswith("conftest") for hook in hooks)


def test_a_mistake_of_a_test_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), fast(slow=False, seconds=iter([0.0, 9.0]).__next__):
        _ = 1 / 0
