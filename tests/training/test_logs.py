"""What a line of the log says of a window: means, and rates by the time that its updates took."""

from pathlib import Path

import pytest

from foresay.runs import Run
from foresay.training import logs
from foresay.training.logs import MetricsLog
from foresay.training.recipe import TrainerSettings


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


def test_rates_are_true_also_where_a_window_was_begun_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nineteen of twenty updates in the first process, a second each for 40 s of audio; killed; the last one in the second."""
    clock = Clock()
    monkeypatch.setattr(logs, "time", clock)
    first = MetricsLog(Run(tmp_path), TrainerSettings(steps=1))
    for _ in range(19):
        first.add({"loss": 1.0, "audio_seconds": 40.0})
    clock.now += 19.0
    first.pass_time(waited=3.0)
    clock.now += 3600.0  # until it is started again
    second = MetricsLog(Run(tmp_path), TrainerSettings(steps=1))
    second.window = first.window
    second.add({"loss": 3.0, "audio_seconds": 40.0})
    clock.now += 1.0
    second.pass_time(waited=1.0)
    assert second.close_window() == pytest.approx({"loss": 1.1, "audio_rate": 40.0, "data_wait": 0.2})
    assert second.window == {}
    second.add({"audio_seconds": 10.0})
    clock.now += 5.0
    second.pass_time(waited=2.0)
    assert second.close_window() == pytest.approx({"audio_rate": 2.0, "data_wait": 0.2})
