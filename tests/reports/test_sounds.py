"""The section on synthesized speech: every sound has a player and a picture, and what is said of it."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.evaluation.spoken_examples import Playable, as_arrays
from foresay.reports.page import page
from foresay.reports.record import read_records
from foresay.reports.sounds import sounds_section
from foresay.results import save_artifact
from reference.example_run import write_run
from reference.html_checker import Checker

RATE = 16_000


def tone(seconds: float, hertz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "vocoder", steps=0, results=False, example=False)
    sounds = [
        Playable("recorded", "<eva>", tone(0.5)),
        Playable("resynthesized", "", tone(0.4)),
        Playable("silent", "", np.zeros(800, np.float32)),
    ]
    save_artifact(folder, "sounds-1", as_arrays("one", "so it began & ended", RATE, sounds))
    save_artifact(folder, "sounds-2", as_arrays("two", "", RATE, [*sounds[:1], Playable("nothing", "", np.zeros(0, np.float32))]))
    return folder


def test_every_sound_is_played_and_drawn(run: Path) -> None:
    html = sounds_section(read_records([run]))
    checked = Checker(html)
    assert html.count("<audio") == 5
    assert html.count("<svg") == 4  # of nothing there is no picture
    assert html.count("<details") == 2
    assert html.count(" open") == 1
    assert len(checked.ids) == len(set(checked.ids))
    assert "\N{LEFT DOUBLE QUOTATION MARK}so it began & ended\N{RIGHT DOUBLE QUOTATION MARK}" in checked.text
    assert "<eva>, 0.5\N{NO-BREAK SPACE}s" in checked.text
    assert "vocoder: " not in checked.text  # there is one run
    sources = re.findall(r'src="data:audio/flac;base64,([^"]+)"', html)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sources[1])), dtype="float32")
    assert rate == RATE
    assert np.abs(samples - tone(0.4)).max() < 1e-3


def test_of_several_runs_each_is_named(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", steps=0, results=False, example=False)
    save_artifact(other, "sounds-1", as_arrays("three", "", RATE, [Playable("recorded", "", tone(0.1))]))
    assert "vocoder: one" in Checker(sounds_section(read_records([run, other]))).text


def test_the_page_has_the_section_where_there_are_sounds(run: Path, tmp_path: Path) -> None:
    html = page(read_records([run]))
    Checker(html)
    assert 'id="sounds"' in html
    assert 'id="utterances"' not in html
    assert "There is no example of" not in html
    without = page(read_records([write_run(tmp_path / "none", steps=0, results=False)]))
    assert 'id="sounds"' not in without
    assert 'id="utterances"' in without
    both = page(read_records([run, tmp_path / "none"]))
    assert 'id="sounds"' in both
    assert 'id="utterances"' in both


def test_nothing_is_no_section(tmp_path: Path) -> None:
    assert sounds_section(read_records([write_run(tmp_path / "none", steps=0, results=False)])) == ""
