"""What all tests share: one thread each, the same random numbers every time, and little time."""

import gc
import os
import random
import sys
import time
from collections.abc import Generator

# Tests are small and run side by side: more threads would wait for each other. Must be said before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest

from house.durations import fast

# What `house/test_additions.py` adds to a copy of the tree.
collect_ignore = ["reference/additions"]

TOOK_LONG = "took long"

hypothesis.settings.register_profile("foresay", deadline=None, derandomize=True)
hypothesis.settings.load_profile("foresay")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - for what draws from NumPy's global generator
    if "torch" in sys.modules:  # of the CPU alone: `torch.manual_seed` would look for all other devices, in every test
        sys.modules["torch"].default_generator.manual_seed(0)


@pytest.fixture(autouse=True)
def _recently_said() -> None:
    """Let no loop of a test be the one that says how far it is, because tests before it were silent for half a minute."""
    if "foresay.progress" in sys.modules:
        lines = sys.modules["foresay.progress"]._Lines
        lines.last_line = lines.last_sign = time.monotonic()


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what lives as long as the tests do: modules, and the tests themselves."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test fail that takes too long, and is not marked slow; list one that takes long."""
    with fast(slow=item.get_closest_marker("slow") is not None, warn=lambda message: item.user_properties.append((TOOK_LONG, message))):
        return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the tests that took long."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind if isinstance(report, pytest.TestReport)]
    found = {report.nodeid: text for report in reports for name, text in report.user_properties if name == TOOK_LONG}
    for name, text in sorted(found.items()):
        terminalreporter.write_line(f"{name} {text}")
