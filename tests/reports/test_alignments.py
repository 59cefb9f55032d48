"""Pictures of where a text is: what is known is compared, what is not is said, and any length is drawn."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foresay.reports.alignments import draw_alignment
from foresay.reports.example import read_example
from foresay.reports.listening import listening_section
from foresay.reports.record import read_records
from foresay.results import save_artifact
from reference.example_run import FRAMES, SECONDS, example_arrays, write_run
from reference.html_checker import Checker

ROWS = ("", "a", "", "<", "", "|", "", "b", "")


def arrays(**changed: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The text `a< b`, of which the last word is found 0.15 s late."""
    path = np.repeat([0, 1, 2, 3, 5, 7, 8], [5, 15, 2, 8, 10, 15, 5])
    assert len(path) == FRAMES
    kept = {
        "alignment_rows": np.array(ROWS),
        "alignment_shares": np.eye(len(ROWS), dtype=np.float16)[path],
        "alignment_meaning": np.array("posterior of each symbol"),
        "alignment_path": path,
        "alignment_words": np.array(["a<", "b"]),
        "alignment_times": np.array([[0.05, 0.3], [0.45, 0.55]]),
        "alignment_true": np.array([[0.05, 0.3], [0.3, 0.55]]),
    }
    return {**example_arrays(), **kept, **changed}


def drawn(given: Mapping[str, NDArray[Any]]) -> str:
    example = read_example(given)
    assert example is not None
    assert example.aligned is not None
    html = draw_alignment(example.aligned, example, (0, "mine"), "one")
    Checker(html)
    return html.replace("\N{NO-BREAK SPACE}", " ")


def test_it_is_compared_with_what_is_spoken_and_with_even_words() -> None:
    html = drawn(arrays())
    assert "<title>Where mine finds the text of speaker/&lt;one&gt;</title>" in html
    assert "the posterior of each symbol, and the words" in html
    assert "Boundaries of words are 38 ms off on average, and 70% of the time that they are spoken in is given to the right word." in html
    assert "laid out evenly, as long as their letters: 75 ms and 80%." in html  # 0 to .4 and .4 to .6 s
    assert html.count("a&lt;</text>") == 2  # as found, and where it is spoken


def test_what_is_not_known_is_said() -> None:
    given = arrays()
    del given["alignment_true"]
    html = drawn(given)
    assert "Where they are spoken is not known" in html
    assert "evenly" not in html


@pytest.mark.parametrize("seconds, shown", [(0.35, 1), (SECONDS, 3)])  # where it is spoken; on the path, as found
def test_only_what_is_shown_is_drawn(monkeypatch: pytest.MonkeyPatch, seconds: float, shown: int) -> None:
    monkeypatch.setattr("foresay.reports.example.LONGEST", seconds)
    html = drawn(arrays())
    assert html.count(">b</text>") == shown
    assert "38 ms off" in html  # of the whole, as are the even words
    assert "75 ms and 80%." in html


def test_runs_are_drawn_one_below_the_other_in_one_section(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, steps=0, results=False, example=False) for name in ("one", "two", "features")]
    for run, given in zip(runs, (arrays(), arrays(), example_arrays()), strict=True):
        few = {key: array for key, array in given.items() if not key.startswith(("inspect_", "features_c"))}
        save_artifact(run, "example-1", few)
    html = listening_section(read_records(runs))
    Checker(html)
    assert html.count("<h3>Where is the text?</h3>") == 1
    assert html.count("ms off") == 2
    assert "<h4>one</h4>" in html
    assert "<h4>features</h4>" not in html
