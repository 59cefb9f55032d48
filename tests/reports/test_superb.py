"""The score by hand, means over folds, agreement of heads, and what the page shows."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from foresay.reports.comparisons import compare
from foresay.reports.markup import Html
from foresay.reports.record import Record
from foresay.reports.superb import COLUMNS, PUBLISHED, Cell, _shares, agreement, superb_scores, superb_section, table
from foresay.results import Draws, Result
from reference.html_checker import Checker

SUM = "sum"


def row(model: str, measure: str, value: float, metric: str = "accuracy", layer: str = SUM, **more: object) -> Result:
    given = {"direction": "higher", "unit": "%", "headline": True, **more}
    return Result(model, measure, "tiny", metric, layer, "test", value, None, None, "x/test", None, 0, 1.0, **given)  # type: ignore[arg-type]


def rate(model: str, value: float, **more: object) -> Result:
    return row(model, "phoneme_recognition", value, "phone error rate", direction="lower", **more)


def slots(model: str, f1: float, cer: float) -> list[Result]:
    named = "slot_filling"
    return [row(model, named, f1, "slot type F1"), row(model, named, cer, "slot value CER", direction="lower")]


THREE = [
    *(row(model, "keyword_spotting", value) for model, value in (("logmel", 0.2), ("good", 0.6), ("best", 1.0))),
    *(rate(model, value) for model, value in (("logmel", 0.9), ("good", 0.3), ("best", 0.5))),
    *slots("logmel", 0.5, 0.6),
    *slots("good", 0.7, 0.2),
    *slots("best", 0.9, 0.4),
]


def scores_of(results: Sequence[Result]) -> list[str]:
    return [cells[-1] for cells in table(results)[1:]]


def test_the_score_by_hand() -> None:
    """KS: 0, 1/2, 1. PR: 0, 1, 2/3. SF, the mean of two metrics: 0, (1/2 + 1) / 2, (1 + 1/2) / 2."""
    assert scores_of(THREE) == ["0", f"{1000 * (0.5 + 1 + 0.75) / 3:.0f}", f"{1000 * (1 + 2 / 3 + 0.75) / 3:.0f}"]


def test_what_is_worse_than_the_baseline_is_below_0() -> None:
    assert scores_of([row("logmel", "keyword_spotting", 0.5), row("a", "keyword_spotting", 0.4), row("b", "keyword_spotting", 0.7)]) == [
        "0",
        "-500",
        "1000",
    ]


def test_there_is_no_score_where_it_would_not_be_one() -> None:
    assert scores_of([one for one in THREE if one.model != "logmel"]) == ["", ""]
    assert scores_of([one for one in THREE if (one.model, one.measure) != ("good", "slot_filling")]) == ["", "", ""]
    assert scores_of([one for one in THREE if one.model == "logmel"]) == [""]
    assert superb_scores({}) == {}
    assert scores_of([row(model, "keyword_spotting", 0.5) for model in ("logmel", "a")]) == ["0", "0"]


def test_the_table_has_the_published_head_in_the_order_of_the_paper() -> None:
    other = [row("good", "keyword_spotting", 0.99, layer=layer) for layer in ("normed sum", "L3", "sum, statistics")]
    query = row("good", "query_by_example", 0.25, "MTWV", "best layer", unit="")
    head, *rows = table([*THREE, *other, query, row("good", "keyword_spotting", 0.1, "other", headline=False), row("good", "probe", 0.1)])
    assert head == ["model", "PR phone error rate, %", "KS accuracy, %", "QbE MTWV", "SF slot type F1, %", "SF slot value CER, %", "score"]
    assert [cells[0] for cells in rows] == ["logmel", "good", "best"]
    assert rows[1][2] == "60.0"
    assert rows[0][3] == rows[2][3] == ""


def test_published_numbers_stand_in_their_own_columns() -> None:
    head, *rows = table(THREE, published=True)
    names = [cells[0] for cells in rows]
    assert names[3:] == [f"{name} (published, original data)" for name in PUBLISHED]
    hubert = dict(zip(head, rows[names.index("HuBERT BASE (published, original data)")], strict=True))
    values = dict(zip(COLUMNS, PUBLISHED["HuBERT BASE"], strict=True))
    assert [hubert[one] for one in head[1:-1]] == [f"{values[one]:g}" for one in ("PR", "KS", "SF F1", "SF CER")]
    assert hubert["score"] == ""


def drawn(value: float, spread: float) -> Result:
    values = value + spread * np.linspace(-1, 1, 1001)
    draws = Draws("utterances", tuple("abcde"), 0, values)
    return row("a", "emotion_recognition", value, draws=draws, drawn=draws.drawn)


def test_folds_are_one_number_with_the_interval_of_their_mean() -> None:
    cell = Cell.of([drawn(0.4, 0.1), drawn(0.6, 0.3)])
    assert cell.value == pytest.approx(0.5)
    assert (cell.low, cell.high) == (pytest.approx(0.5 - 0.95 * 0.2), pytest.approx(0.5 + 0.95 * 0.2))
    assert Cell.of([drawn(0.4, 0.1), row("a", "emotion_recognition", 0.6)]).low is None
    assert Cell.of([dataclasses.replace(row("a", "emotion_recognition", 0.6), low=0.1, high=0.9)])[:3] == (0.6, 0.1, 0.9)


def test_heads_that_rank_alike_and_heads_that_do_not() -> None:
    def ranked(layer: str, *values: float) -> list[Result]:
        return [row(model, "keyword_spotting", value, layer=layer) for model, value in zip("abc", values, strict=True)]

    results = [
        *ranked(SUM, 0.1, 0.2, 0.3),
        *ranked("sum, lstm", 0.5, 0.6, 0.7),
        *ranked("normed sum", 0.3, 0.2, 0.1),
        *ranked("L1", 1, 2, 3),
    ]
    assert agreement(results) == [
        "KS accuracy: `sum` and `sum, lstm` rank 3 models, Kendall's tau +1.00",
        "KS accuracy: `sum` and `normed sum` rank 3 models, Kendall's tau -1.00",
    ]
    assert not agreement([one for one in results if one.model != "c"])


def record(results: Sequence[Result]) -> Record:
    return Record(name="run", folder=Path("run"), recipe={}, data={}, lines=(), results=tuple(results), examples=())


def test_the_page_draws_what_layers_count_of_models_with_several(monkeypatch: pytest.MonkeyPatch) -> None:
    painted: list[tuple[str, str]] = []

    def draw(name: str, title: str, *_: object) -> Html:
        painted.append((name, title))
        return Html("")

    monkeypatch.setattr("foresay.reports.superb.draw", draw)
    layers = {"layers": ["L0", "L1"], "weights": [0.75, 0.25], "rms": [1.0, 9.0]}
    results = [row("hub", "keyword_spotting", 0.5, details=layers), row("logmel", "keyword_spotting", 0.4, details={"weights": [1.0]})]
    html = superb_section(compare([record(results)]))
    assert html is not None
    Checker(str(html))
    for text in ("KS accuracy, %", "hub", "logmel", "50.0", "1000", "root mean square"):
        assert text in str(html)
    assert painted == [("layers-0", "What layers of hub count in each task")]
    assert _shares(results)["hub", ("L0", "L1")]["KS"].tolist() == [0.25, 0.75]
    assert superb_section(compare([record([row("hub", "probe", 0.5)])])) is None


def test_editions_of_a_task_stand_beside_each_other() -> None:
    def edition(model: str, value: float, **more: str) -> Result:
        return dataclasses.replace(row(model, "keyword_spotting", value), **more)

    results = [
        edition("a", 0.2),
        edition("a", 0.8, protocol="clean"),
        edition("a", 0.4, data_fingerprint="abcdefg"),
        edition("logmel", 0.1),
    ]
    head, *rows = table(results)
    columns = ("KS (tiny, x/test) accuracy, %", "KS (clean, x/test) accuracy, %", "KS (tiny, x/test, abcd) accuracy, %")
    assert head == ["model", *columns, "score"]
    assert rows == [["a", "20.0", "80.0", "40.0", ""], ["logmel", "10.0", "", "", ""]]
    folds = [dataclasses.replace(drawn(0.4, 0.1), corpus=f"fold{n}/test", data_fingerprint=str(n)) for n in (1, 2)]
    assert table(folds)[0] == ["model", "ER accuracy, %", "score"]


def test_two_metrics_of_a_task_are_ranked_apart() -> None:
    """F1 ranks alike, CER the other way round; both as one number would rank by nothing."""
    own = [(0.1, 0.9), (0.2, 0.5), (0.3, 0.2)]
    results = [one for model, values in zip("abc", own, strict=True) for one in slots(model, *values)]
    others = [(0.3, 0.2), (0.5, 0.3), (0.9, 0.4)]
    results += [
        dataclasses.replace(one, layer="normed sum") for model, pair in zip("abc", others, strict=True) for one in slots(model, *pair)
    ]
    taus = [line.rpartition(" ")[2] for line in agreement(results)]
    assert taus == ["+1.00", "-1.00"]


def test_models_that_are_all_alike_have_no_ranking() -> None:
    results = [row(model, "keyword_spotting", 0.5, layer=layer) for model in "abc" for layer in (SUM, "normed sum")]
    assert agreement(results) == ["KS accuracy: by `normed sum` or by `sum` all 3 models are alike, so that there is no ranking"]


def test_the_page_draws_numbers_of_different_layers_apart() -> None:
    pytest.importorskip("matplotlib")

    def weighted(layers: list[str], **more: str) -> Result:
        details = {"weights": [1 / len(layers)] * len(layers), "rms": [1.0] * len(layers), "layers": layers}
        return dataclasses.replace(row("a", "keyword_spotting", 0.5, details=details), **more)

    results = [weighted(["L1", "L2", "L3"]), weighted(["L1", "L2"], protocol="tiny(layers=L1 L2)")]
    section = superb_section(compare([record(results)]))
    assert section is not None
    assert str(section).count("What layers of a count in each task") == 2
