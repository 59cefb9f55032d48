"""The section on the example utterance, where something of it is missing, long or unlike."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foresay.reports.listening import listening_section
from foresay.reports.record import read_records
from foresay.results import save_artifact
from reference.example_run import example_arrays, write_run
from reference.html_checker import Checker


def section(folder: Path, *examples: Mapping[str, NDArray[Any]]) -> str:
    """Draw the section of as many runs as there are examples."""
    runs = [write_run(folder / str(place), steps=0, results=False, example=False) for place in range(len(examples))]
    for run, arrays in zip(runs, examples, strict=True):
        save_artifact(run, "example-1", arrays)
    html = listening_section(read_records(runs))
    Checker(html)
    return html.replace("\N{NO-BREAK SPACE}", " ")


def without(*prefixes: str) -> dict[str, NDArray[Any]]:
    return {key: array for key, array in example_arrays().items() if not key.startswith(prefixes)}


def test_an_example_without_phones(tmp_path: Path) -> None:
    html = section(tmp_path, without("phone_", "inspect_"))
    assert "It has no phone times" in html
    assert "inside phones" not in html


def test_an_example_without_features_is_played_and_drawn(tmp_path: Path) -> None:
    html = section(tmp_path, without("features_", "frame_rate_", "inspect_"))
    assert "<audio" in html
    assert html.count("<svg") == 1


def test_a_long_example_is_cut(tmp_path: Path) -> None:
    arrays = without("features_", "frame_rate_", "inspect_")
    html = section(tmp_path, {**arrays, "waveform": np.tile(arrays["waveform"], 40)})
    assert "24 s, of which the first 20 s are shown" in html


def test_other_utterances_are_shown_each_by_itself(tmp_path: Path) -> None:
    arrays = without("features_", "frame_rate_", "inspect_")
    assert section(tmp_path, arrays, {**arrays, "id": np.array("other")}).count("<audio") == 2


def test_features_that_are_not_numbers_are_drawn(tmp_path: Path) -> None:
    arrays = without("inspect_")
    arrays["features_z"] = np.full_like(arrays["features_z"], np.nan)
    assert section(tmp_path, arrays).count("<figcaption>") == 2


def test_consecutive_frames_are_alike_inside_phones(tmp_path: Path) -> None:
    arrays = without("inspect_", "features_z")
    arrays["features_c"] = np.round(arrays["features_c"])  # one-hot by phone
    assert "cosine 1.00 inside phones, 0.00 across their boundaries" in section(tmp_path, arrays)


def test_each_utterance_is_folded_but_the_first(tmp_path: Path) -> None:
    run = write_run(tmp_path / "one", steps=0, results=False, example=False)
    arrays = without("features_", "frame_rate_", "inspect_")
    for number, name in enumerate(("a", "b", "c"), start=1):
        save_artifact(run, f"example-{number}", {**arrays, "id": np.array(name), "text": np.array(f"said {name}")})
    html = listening_section(read_records([run]))
    assert html.count("<details") == 3
    assert html.count(" open") == 1
    assert [html.index(f"said {name}") for name in "abc"] == sorted(html.index(f"said {name}") for name in "abc")


def test_without_codes_none_are_shown(tmp_path: Path) -> None:
    assert "As discrete units" not in section(tmp_path, without("inspect_"))


def test_codes_are_shown_where_there_are_any(tmp_path: Path) -> None:
    arrays = without("inspect_")
    codes = np.arange(len(arrays["features_z"])) // 10
    html = section(tmp_path / "with", {**arrays, "codes_z": codes, "codes_c": codes}, {**arrays, "codes_z": codes})
    assert html.count("As discrete units") == 1  # one picture for both runs, with a legend
    assert html.count('class="legend"') == 1
