"""Results side by side: who stands where, under which name."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest

from foresay.evaluation.measure import find_measure
from foresay.reports.comparisons import Comparison, compare
from foresay.reports.record import Record
from foresay.reports.tables import results_section
from foresay.results import Result
from reference.example_run import probe_results
from reference.html_checker import Checker

PROTOCOLS = {"abx": "phone", "clusters": "curve"}


def record(name: str, results: list[Result]) -> Record:
    return Record(name=name, folder=Path(name), recipe={}, data={}, lines=(), results=tuple(results), examples=())


def labels(comparison: Comparison) -> list[str]:
    return [f"{line.label} {line.layer}".strip() for line in comparison.lines]


def test_references_come_first_and_untrained_copies_before_their_models() -> None:
    test, train = compare([record("acpc", probe_results("acpc", 40))])
    assert labels(test) == ["majority class", "logmel", "mfcc", "acpc, untrained z", "acpc, untrained c", "acpc z", "acpc c"]
    assert labels(train) == ["acpc c"]
    assert test.best is test.lines[-1]
    assert train.best is None
    assert [line.gain is not None for line in test.lines] == [False] * 5 + [True] * 2


def test_a_gain_stands_beside_its_own_number() -> None:
    def row(metric: str, value: float, step: int | None = 40) -> Result:
        return Result(
            "acpc", "item_probe", "mean", metric, "c", "test", value, value - 0.01, value + 0.01, "x/test", step, 0, 1.0, unit="%"
        )

    metrics = ("accuracy_audio", "accuracy_image")
    gains = [row(f"gain over untrained in {metric}", value) for metric, value in zip(metrics, (0.1, 0.2), strict=True)]
    compared = compare([record("acpc", [*(row(metric, 0.7) for metric in metrics), *gains])])
    assert [(c.metric, c.lines[0].gain.value) for c in compared if c.lines[0].gain] == [("accuracy audio", 0.1), ("accuracy image", 0.2)]
    assert len(compared) == 2


def test_what_retrieval_finds_at_random_is_a_reference_and_never_the_best() -> None:
    def row(model: str, value: float, step: int | None, low: float | None) -> Result:
        layer, kind = "c" if step else "none", {"direction": "higher", "unit": "%", "headline": True}
        return Result(model, "retrieval", "mean", "R@1_audio_to_image", layer, "test", value, low, low, "x/test", step, 0, 1.0, **kind)

    (found,) = compare([record("mm", [row("mm", 0.01, 40, 0.0), row("chance", 0.02, None, None)])])
    assert [(line.label, line.run) for line in found.lines] == [("chance", None), ("mm", 0)]
    assert found.best is found.lines[1]
    html = results_section([found])
    assert "R@1 audio to image (%)" in html
    assert "Retrieval across modalities" in html


def bits_row(layer: str, value: float, learnt: str | None, evaluation: str = "e", measure: str = "unit_perplexity") -> Result:
    """A number of a language model, or of n-grams that were counted in a corpus; `evaluation`: of what else, such as the lists of pairs."""
    details = {"fingerprint": f"{evaluation} {measure}"} | ({"trained_on": learnt, "control": layer == "bigram"} if learnt else {})
    measured, data = (measure, "modelled", "below bigram" if layer == "gain" else "bits", layer, "test"), f"{evaluation[0]} {learnt}"
    kind = {"direction": "lower", "unit": "bits/s", "headline": True}
    return Result("lm", *measured, value, value, value, "x/test", 40, 0, 1.0, details=details, data_fingerprint=data, **kind)


def test_what_a_control_learnt_from_does_not_part_it_from_its_model_unless_there_are_two() -> None:
    rows = [bits_row("model", 2.0, None), bits_row("bigram", 3.0, "x/train"), bits_row("gain", 1.0, "x/train")]
    bits, gain = compare([record("lm", rows)])
    assert labels(bits) == ["lm model", "lm bigram"]
    assert bits.kind._replace(metric="") == gain.kind._replace(metric="")
    assert bits.best is bits.lines[0]
    html = results_section([bits, gain])
    assert html.count("<h3>") == 1
    assert html.count("learned on x/train") == html.count("controls learned on x/train") == 1
    again = [bits_row("model", 2.0, None, "e2"), bits_row("bigram", 2.5, "y/train", "e2")]
    parted = compare([record("lm", [*rows, *again])])
    assert [labels(one) for one in parted] == [["lm model"], ["lm bigram"], ["lm gain"], ["lm bigram"]]
    assert [one.kind.data for one in parted] == ["e None", "e x/train", "e x/train", "e y/train"]
    unknown = [replace(one, details={k: v for k, v in one.details.items() if k != "fingerprint"}) for one in rows]
    assert len(compare([record("lm", unknown)])) == 3  # of an older version


def test_numbers_of_other_lists_stand_apart_from_each_other_with_controls_of_their_own() -> None:
    """As where the pairs beside a test corpus were corrected between two evaluations."""
    before, now = ([bits_row("model", 2.0, None, of), bits_row("bigram", 3.0, "x/train", of)] for of in ("old", "new"))
    for results in ([before, now], [now, before], [before[:1], now], [now, before[:1]]):
        records = [record(name, own) for name, own in zip("ab", results, strict=True)]
        for one in compare(records):
            assert {line.result.data_fingerprint[0] for line in one.lines} == {one.kind.data[0]}
        assert sum(len(one.lines) for one in compare(records)) == sum(map(len, results))
        assert len(compare(records)) == 2


def test_where_one_measure_counted_in_two_corpora_others_stay_as_they_are() -> None:
    twice = [bits_row(*row, measure="sblimp") for row in (("model", 0.7, None, "e"), ("bigram", 0.6, "x/train", "e"))]
    twice += [bits_row("model", 0.7, None, "e2", "sblimp"), bits_row("bigram", 0.5, "y/train", "e2", "sblimp")]
    found = compare([record("lm", [bits_row("model", 2.0, None), bits_row("bigram", 3.0, "x/train"), *twice])])
    assert [labels(one) for one in found] == [["lm model", "lm bigram"], ["lm model"], ["lm bigram"], ["lm bigram"]]


def test_references_that_two_runs_share_stand_once() -> None:
    records = [record("monday/acpc", probe_results("acpc", 40)), record("friday/acpc", probe_results("acpc", 40))]
    test, _ = compare(records)
    assert labels(test)[:4] == ["majority class", "logmel", "mfcc", "monday/acpc, untrained z"]
    assert labels(test)[-1] == "friday/acpc c"
    assert [line.run for line in test.lines] == [None] * 3 + [0] * 4 + [1] * 4


def test_of_several_steps_the_last_counts_and_the_others_are_its_history() -> None:
    test, _ = compare([record("acpc", probe_results("acpc", 40) + probe_results("acpc", 20))])
    assert labels(test)[5:] == ["acpc z", "acpc c"]
    assert [line.source.step for line in test.lines[5:]] == [40, 40]
    assert [[result.step for result in line.history] for line in test.lines] == [[]] * 5 + [[20, 40]] * 2
    assert "Over the training" in results_section([test])


def test_what_was_measured_twice_counts_as_it_was_last() -> None:
    first = probe_results("acpc", 40)
    (reference, *_), second = first, [replace(result, value=result.value + 0.1) for result in first]
    test, _ = compare([record("acpc", first + second)])
    assert len(test.lines) == 7
    assert next(line for line in test.lines if line.label == reference.model).result.value == pytest.approx(reference.value + 0.1)


def test_several_models_in_one_folder_keep_their_names() -> None:
    test, _ = compare([record("out", probe_results("acpc", 40) + probe_results("cpc", 40))])
    assert labels(test)[-4:] == ["cpc, untrained z", "cpc, untrained c", "cpc z", "cpc c"]


def test_a_model_that_never_says_its_step_is_no_reference() -> None:
    results = [replace(result, step=None) for result in probe_results("acpc", 40)]
    test, _ = compare([record("out", results)])
    assert [line.run for line in test.lines] == [None] * 3 + [0] * 4


def test_less_error_is_better() -> None:
    results = [replace(result, metric="error", direction="lower") for result in probe_results("acpc", 40) if result.metric == "accuracy"]
    test, _ = compare([record("acpc", results)])
    assert test.best is not None
    assert test.best.label == "majority class"
    assert labels(test)[:3] == ["mfcc", "logmel", "majority class"]


def test_a_number_without_an_interval_is_no_best_and_no_picture() -> None:
    results = [Result("acpc", "size", "all", "parameters", "none", "none", 1.3e6, None, None, "none", 40, 0, 0.0)]
    comparisons = compare([record("acpc", results)])
    html = results_section(comparisons)
    Checker(html)
    assert "1,300,000" in html
    assert "<svg" not in html


def test_phones_that_were_never_learned_are_named() -> None:
    results = [replace(result, details={**result.details, "unseen_phones": ["zh", "<oy>"]}) for result in probe_results("acpc", 40)]
    html = results_section(compare([record("acpc", results)]))
    assert "12,345 frames, 39 classes, learned on corpus/train. Never learned, so never right: zh and &lt;oy&gt;." in html


def test_several_measures_have_an_overview_of_what_is_said_first_of_each() -> None:
    def row(measure: str, metric: str, model: str, value: float) -> Result:
        step, kind = 40 if model == "acpc" else None, dataclasses.asdict(find_measure(f"{measure}:{PROTOCOLS[measure]}").metric(metric))
        return Result(model, measure, "p", metric, "c", "test", value, value - 0.01, value + 0.01, "x/test", step, 0, 1.0, **kind)

    metrics = [("abx", "error within speakers"), ("abx", "error across speakers"), ("clusters", "inertia"), ("clusters", "NMI")]
    results = [row(*metric, model, value) for metric in metrics for model, value in (("mfcc", 0.1234), ("acpc", 0.2345))]
    html = results_section(compare([record("acpc", results)]))
    Checker(html)
    overview, _, details = html.partition("<h3>")
    assert overview.count('<th scope="col">') == 2 + 3  # no inertia: it rates nothing
    assert overview.count("<b>12.3</b>") == 2
    assert overview.count("<b>0.2345</b>") == 1
    assert overview.count("<small>11.3 to 13.3</small>") == 2
    assert "More numbers" in details
    assert "inertia" in details


def test_an_overview_of_several_corpora_says_of_each_column_which() -> None:
    test = [row for row in probe_results("acpc", 40) if row.split == "test"]
    other = [replace(row, corpus="timit/test", data_fingerprint="2") for row in test]
    overview, _, _ = results_section(compare([record("acpc", test + other)])).partition("<h3>")
    assert "Linear phone probe, on corpus/test: accuracy (%)" in overview
    assert "Linear phone probe, on timit/test: accuracy (%)" in overview


def test_one_measure_needs_no_overview() -> None:
    assert "overlap it may be chance" not in results_section(compare([record("acpc", probe_results("acpc", 40))]))


def test_corpora_of_one_name_and_other_content_stand_apart_and_a_moved_one_stays_one() -> None:
    def results(run: str, corpus: str, data: str) -> list[Result]:
        return [replace(row, corpus=corpus, data_fingerprint=data) for row in probe_results(run, 40) if row.split == "test"]

    one, other = record("one", results("one", "corpus/test", "1")), record("other", results("other", "corpus/test", "2"))
    assert [[line.run for line in comparison.lines if line.run is not None] for comparison in compare([one, other])] == [[0] * 4, [1] * 4]
    moved = record("other", results("other", "moved/test", "1"))
    (together,) = compare([one, moved])
    assert [line.run for line in together.lines if line.run is not None] == [0] * 4 + [1] * 4
