"""How far long work is, where there is no terminal: lines at the right times, by a clock that the tests turn."""

import io
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foresay import progress
from foresay.progress import ProgressBar, going_on, stage


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def ticking(self, steps: int, seconds: float) -> Iterator[int]:
        """Yield steps that take so many seconds each."""
        for step in range(steps):
            self.now += seconds
            yield step


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "monotonic", clock)
    monkeypatch.setattr(progress._Lines, "last_sign", -1e9)
    return clock


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert not out
    return err.splitlines()


def test_short_work_stays_quiet(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(ProgressBar(clock.ticking(29, 1.0), "checking", "item", total=29)) == list(range(29))
    assert not lines(capsys)


def test_a_line_each_half_minute_says_what_and_how_far_and_how_fast_and_how_long_yet(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in ProgressBar(clock.ticking(1200, 0.0625), "checking a/b", "item", total=1200):
        pass
    assert lines(capsys) == [
        "checking a/b: item 480 of 1,200 (40 %), 16 per second, 45 s to go",
        "checking a/b: item 960 of 1,200 (80 %), 16 per second, 15 s to go",
        "checking a/b: item 1,200 of 1,200 (100 %) in 1 min 15 s",
    ]


def test_the_total_may_be_unknown_and_steps_slow(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in ProgressBar(clock.ticking(2, 45.0), "importing", "file"):
        pass
    assert lines(capsys) == [
        "importing: file 1, 45 s each",
        "importing: file 2, 45 s each",
        "importing: file 2 in 1 min 30 s",
    ]


def test_what_was_done_before_makes_it_no_faster(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar[int](what="training", unit="update", total=1000, initial=800) as bar:
        clock.now += 60.0
        bar.note({"loss": "2.31"})
        bar.update(60)
    assert lines(capsys)[0] == "training: update 860 of 1,000 (86 %), 1 per second, 2 min 20 s to go, loss 2.31"


def test_many_short_loops_have_lines_too_but_not_after_a_rest(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    for layer in range(4):
        list(ProgressBar(clock.ticking(9, 1.0), f"probe, layer {layer}", "batch", total=9))
    assert [line.partition(" of")[0] for line in lines(capsys)] == ["probe, layer 3: batch 3", "probe, layer 3: batch 9"]
    clock.now += 3600.0
    list(ProgressBar(clock.ticking(9, 1.0), "probe, an hour later", "batch"))
    assert not lines(capsys)


def test_the_loop_around_others_has_its_turn(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in ProgressBar(range(2), "measuring", "measure"):
        list(ProgressBar(clock.ticking(40, 1.0), "probe", "batch"))
    assert [line.partition(" of")[0] for line in lines(capsys) if line.startswith("measuring")][:2] == [
        "measuring: measure 1",
        "measuring: measure 2",
    ]


def test_lines_of_a_week_are_a_thousand(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in ProgressBar(clock.ticking(7 * 24 * 360, 10.0), "training", "update"):
        pass
    written = lines(capsys)
    assert 900 < len(written) < 1300
    assert written[-2].startswith("training: update 60,4")  # the last of them less than ten minutes before the end


def test_one_of_several_processes_writes(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in ProgressBar(clock.ticking(100, 1.0), "training", "update", shown=False):
        pass
    assert not lines(capsys)


def test_a_terminal_has_a_bar(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    for _ in ProgressBar(clock.ticking(3, 1.0), "checking", "item", total=3, leave=True):
        pass
    assert "checking: 100%" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_no_loop_has_a_bar_that_only_a_terminal_shows() -> None:
    own = Path(progress.__file__)
    assert not [
        path.name for path in own.parent.rglob("*.py") if path != own and re.search(r"\bt(qdm|range)\(", path.read_text(encoding="utf-8"))
    ]


def test_stages_say_when_they_begin_and_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with stage("training cpc, 1 of 2"):
        clock.now += 61.0
        assert lines(capsys) == ["training cpc, 1 of 2 …"]
    assert lines(capsys) == ["training cpc, 1 of 2: done in 1 min 1 s"]


def test_a_stage_that_fails_is_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), stage("training"):
        {}["loss"]
    assert lines(capsys) == ["training …"]


def test_one_long_step_says_that_it_goes_on_until_it_ends(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with going_on("quick"):
        clock.now += 5
    assert lines(capsys) == []
    monkeypatch.setattr(progress, "PERIOD", 0.01)
    monkeypatch.setattr(progress, "LONGEST", 0.01)
    with going_on("t-SNE of 50,000 points"):
        clock.now += 90
        time.sleep(0.3)
    said = lines(capsys)
    assert set(said) == {"t-SNE of 50,000 points: goes on, 1 min 30 s so far"}
    time.sleep(0.05)
    assert lines(capsys) == []
