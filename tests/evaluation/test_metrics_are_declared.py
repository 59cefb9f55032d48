"""Every metric that a measure finds is declared with its direction and unit: nothing is guessed from its name."""

import dataclasses
import re
from pathlib import Path

import pytest

import foresay
from foresay.evaluation.measure import Measure, find_measure, list_measures
from foresay.evaluation.probes.probe import GAIN

MEASURES = sorted({name.partition(":")[0] for name in list_measures()})
LOWER = {"phone error rate", "error within speakers", "error across speakers"}
HEADLINES = {
    "probe": ["accuracy"],
    "phone_ctc": ["phone error rate"],
    "speaker": ["accuracy"],
    "abx": ["error within speakers", "error across speakers"],
    "clusters": ["NMI"],
    "segmentation": ["R-value"],
    "item_probe": ["accuracy_audio", "accuracy_image"],
    "retrieval": ["R@1_audio_to_image", "R@1_image_to_audio"],
}


NO_BEST = ("similarity", "geometry", "item_geometry", "slowness", "robustness", "tsne", "item_map")


def measure(name: str) -> Measure:
    return find_measure(next(one for one in list_measures() if one.startswith(f"{name}:")))


@pytest.mark.parametrize("name", MEASURES)
def test_what_a_measure_declares(name: str) -> None:
    declared = measure(name).metrics
    assert declared
    assert all(kind.direction != "none" for kind in declared.values() if kind.headline)
    assert all(dataclasses.astuple(declared[m])[:2] == ("higher", "%") for m in declared if m.startswith(GAIN))


@pytest.mark.parametrize("name", [*HEADLINES, *NO_BEST])
def test_what_is_said_first_and_what_is_better(name: str) -> None:
    declared = measure(name).metrics
    assert {metric for metric, kind in declared.items() if kind.direction == "lower"} == LOWER & declared.keys()
    assert [metric for metric, kind in declared.items() if kind.headline] == HEADLINES.get(name, [])


def test_what_is_degenerate_has_the_best_of_nothing() -> None:
    for name in NO_BEST:
        assert {kind.direction for kind in measure(name).metrics.values()} == {"none"}


def test_shares_are_in_percent_and_nothing_else() -> None:
    shares = {metric for name in MEASURES for metric, kind in measure(name).metrics.items() if kind.unit == "%"}
    assert all(re.search(r"accuracy|gain|error|purity|share|@|F1|CER|EER|precision|recall|BLEU|VERT", metric) for metric in shares)


def test_rows_are_written_by_one_function_that_looks_the_metric_up() -> None:
    """Nobody in the package builds a row beside it."""
    for file in Path(foresay.__file__).parent.joinpath("evaluation").rglob("*.py"):
        assert file.name == "measure.py" or not re.search(r"\bResult\(", file.read_text())
