"""Pictures are drawn of what results carry, and of nothing else."""

from dataclasses import replace

import pytest

from foresay.reports.comparisons import Comparison, Kind, Line, Source
from foresay.reports.figures import figures
from foresay.results import Result

pytest.importorskip("matplotlib")


def _comparison(metric: str, *details: dict[str, object]) -> Comparison:
    lines = []
    for place, carried in enumerate(details):
        result = Result(f"run{place}", "m", "p", metric, "c", "test", 0.5, 0.4, 0.6, "corpus", 10, 0, 1.0, details=carried)
        lines.append(Line(Source(place, result.model, "c", 10, 0), result, result.model, None))
    return Comparison(Kind("m", "p", metric, "corpus", "test"), tuple(lines))


def test_a_histogram_a_curve_and_a_map() -> None:
    histogram = {"histogram": {"from": -1.0, "to": 1.0, "counts": [0, 3, 5, 1]}}
    html = figures([_comparison("cosine", histogram, histogram)], "x")
    assert html.count("<svg") == 1
    assert "run0 c" in html
    assert "density" in html
    curve = {"clusters": [8, 16, 32], "values": [0.1, 0.2, 0.3], "intervals": [(0.0, 0.2), (0.1, 0.3), (0.2, 0.4)]}
    html = figures([_comparison("purity", curve)], "x")
    assert "clusters K" in html
    assert ">16<" in html
    points = {"points": [[0.0, 0.0], [1.0, 1.0], [0.9, 1.1]], "labels": [0, 1, 1], "phones": ["aa", "sh"]}
    html = figures([_comparison("trust", points, points)], "x")
    assert html.count("<svg") == 2
    assert ">sh<" in html


def test_a_map_of_items_marks_audio_and_images() -> None:
    points = {"points": [[0.0, 0.0], [1.0, 1.0], [0.9, 1.1], [2.0, 0.0]], "labels": [0, 1, 1, -1], "phones": ["low", "high"]}
    html = figures([_comparison("trust", {**points, "modalities": ["audio", "image"], "marks": [0, 0, 1, 1]})], "x")
    assert html.count("<svg") == 1
    assert "Map of items, run0 c" in html
    assert (html.count(">low<"), html.count(">high<")) == (1, 2)  # high is audio and image
    assert html.count(">audio<") == html.count(">image<") == 1


def test_metrics_of_one_measure_share_a_picture_and_its_legend() -> None:
    histogram = {"histogram": {"from": -1.0, "to": 1.0, "counts": [0, 3, 5, 1]}}
    html = figures([_comparison("cosine within", histogram), _comparison("cosine between", histogram)], "x")
    assert html.count("<svg") == 1
    assert html.count(">run0 c<") == 1
    assert ">cosine within<" in html
    assert ">cosine between<" in html


def test_one_k_among_several_clusters_is_no_curve() -> None:
    assert figures([_comparison("run length", {"clusters": 50}, {"clusters": 50})], "x") == ""


def test_what_carries_nothing_is_not_drawn() -> None:
    plain = _comparison("accuracy", {"frames": 3}, {})
    assert figures([plain], "x") == ""
    one_k = _comparison("purity", {"clusters": [50], "values": [0.2], "intervals": []})
    assert figures([one_k], "x") == ""  # a curve of one point is a number


def test_the_untrained_map_is_left_out() -> None:
    points = {"points": [[0.0, 0.0], [1.0, 1.0]], "labels": [0, 1], "phones": ["aa", "sh"]}
    comparison = _comparison("trust", points)
    line = comparison.lines[0]
    untrained = replace(line, source=line.source._replace(model="run0 (untrained)"))
    assert figures([replace(comparison, lines=(untrained,))], "x") == ""
