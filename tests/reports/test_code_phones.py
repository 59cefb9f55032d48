"""P(phone | code): codes by their likeliest phone, phones by how frequent they are."""

import re
from dataclasses import replace

import numpy as np
import pytest

from foresay.reports.code_phones import code_pictures, phones_of_codes
from foresay.reports.comparisons import Comparison, Kind, Line, Source
from foresay.results import Result


def test_codes_are_sorted_by_their_likeliest_phone() -> None:
    counts = np.array([[8, 2, 0], [0, 0, 0], [1, 1, 8], [0, 3, 0], [9, 1, 0], [1, 30, 0]])
    found = phones_of_codes(counts, ["aa", "sil", "t"])
    assert found.phones == ["sil", "aa", "t"]  # 37, 19, 8
    assert found.codes.tolist() == [3, 5, 4, 0, 2]
    np.testing.assert_allclose(found.shares[:, 1], [30 / 31, 1 / 31, 0])
    np.testing.assert_allclose(found.shares.sum(axis=0), 1)
    assert len(phones_of_codes(np.zeros((2, 3), dtype=np.int64), ["a", "b", "c"]).codes) == 0


def comparison(counts: np.ndarray, split: str = "test", layer: str = "codes") -> Comparison:
    row = Result("run", "codes", "phones", "NMI", layer, split, 0.5, 0.4, 0.6, "corpus", 10, 0, 1.0)
    row = replace(row, arrays={"contingency": counts, "phones": np.array(["<aa>", "t"])})
    untrained = replace(row, model="run (untrained)")
    lines = [Line(Source(0, one.model, layer, 10, 0), one, one.model, None) for one in (row, untrained, replace(row, arrays=None))]
    return Comparison(Kind("codes", "phones", "NMI", "corpus", split), tuple(lines))


def test_trained_models_are_drawn() -> None:
    pytest.importorskip("matplotlib")
    html = "".join(code_pictures([comparison(np.array([[3, 0], [1, 5], [0, 0]]))], "x"))
    assert html.count("<svg") == 1
    assert "P(phone | code), run codes" in html
    assert "2 codes" in html
    assert "&lt;aa&gt;" in html
    assert code_pictures([comparison(np.zeros((2, 2), dtype=np.int64))], "x") == []
    assert code_pictures([comparison(np.eye(2, dtype=np.int64), "train")], "x") == []


def test_of_many_those_with_most_codes_are_drawn_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("foresay.reports.code_phones.MOST_PICTURES", 2)
    measure = [comparison(np.ones((size, 2), dtype=np.int64), layer=f"of {size}") for size in (3, 2, 4, 1)]
    assert re.findall(r"<title>P\(phone \| code\), run (.*?)</title>", "".join(code_pictures(measure, "x"))) == ["of 3", "of 4"]
