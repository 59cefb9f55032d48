"""Multi-modal CPC done again: every cell once, and tables that say what was found."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from foresay.errors import UserError
from foresay.evaluation.probes.linear_probe import CONVERGED
from foresay.results import Result, append_results, read_results
from foresay.training.recipe import read_recipe
from foresay.workflows.reproduce import reproduce
from foresay.workflows.reproductions import mmcpc
from foresay.workflows.reproductions._tables import markdown, mean_and_interval
from foresay.workflows.reproductions.mmcpc import ABLATION, MultimodalReproduction, rank_correlation
from reference.pairs import write_pairs

TINY = (
    "trainer.steps=2",
    "data.batch=4",
    "data.shortest=0.05",
    "data.image_side=32",
    "model.channels=8",
    "model.context_size=8",
    "model.negative_group=4",
)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        write_pairs(tmp_path / "corpus" / f"{split}.jsonl", 42)
    return tmp_path / "corpus"


@pytest.mark.parametrize("scale", mmcpc.SCALES)
def test_every_cell_is_a_valid_recipe_of_its_own(scale: str) -> None:
    trainings = MultimodalReproduction().trainings(scale)
    assert len({training.folder for training in trainings}) == len(trainings)
    recipes = [read_recipe(training.recipe, training.overrides) for training in trainings]
    assert len({str(recipe) for recipe in recipes}) == len(trainings)
    seeds, swept = mmcpc.SCALES[scale].seeds, mmcpc.SCALES[scale].swept
    assert len(trainings) == 14 * len(seeds) + 2 * 9 * len(swept)  # 4 + 4 + 6 cells; 3 more values of each of 3 options


def test_the_negatives_of_a_cell() -> None:
    cells = {(cell.modalities, cell.negatives): cell for cells in ABLATION.values() for cell in cells}
    assert cells["image", "+ queue"].settings == (
        "model.modalities=image",
        "model.image_negatives.queue=4096",
        "model.image_negatives.perturbed=false",
        "model.image_negatives.shuffled=false",
        "model.cross_modal=false",
        "model.cross_modal_positives=false",
    )
    assert "model.cross_modal=true" in cells["both", "+ cross-modal"].settings
    assert "model.audio_negatives.perturbed=true" in cells["both", "+ synthetic"].settings
    assert "model.cross_modal_positives=true" in cells["both", "all + pairs as positives"].settings


@pytest.mark.slow
def test_it_runs_and_runs_again(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mmcpc.SCALES, "demo", replace(mmcpc.SCALES["demo"], seeds=(0,), settings=TINY))
    monkeypatch.setattr(mmcpc, "ABLATION", {modalities: [cells[0], cells[-1]] for modalities, cells in ABLATION.items()})
    monkeypatch.setattr(mmcpc, "SWEPT", {"temperature": (0.1, 0.5)})
    monkeypatch.setattr("foresay.evaluation.items.item_probe.CONVERGED", replace(CONVERGED, epochs=1))
    done = reproduce("mmcpc", tmp_path / "runs", corpus=corpus)
    kept = read_results(tmp_path / "runs" / "both-in-batch-seed0" / "results.jsonl")
    assert {row.measure for row in kept} == {"item_probe", "item_geometry", "retrieval"}
    assert {row.layer for row in kept if row.step} == {"c"}
    assert done.text.count("| all + pairs as positives |") == 1
    assert done.text.count("| temperature | 0.5 |") == 1
    reached = {(row.metric): row.value for row in kept if row.step and row.split == "test"}
    assert f"| in batch | {100 * reached['accuracy_audio']:.1f} |" in done.text
    assert reproduce("mmcpc", tmp_path / "runs", corpus=corpus).text == done.text


def test_a_cell_is_a_mean_over_seeds(tmp_path: Path) -> None:
    cell = ABLATION["audio"][0]
    for seed, value in enumerate((0.5, 0.6, 0.7)):
        row = Result("a", "item_probe", "mean", "accuracy_audio", "c", "test", value, None, None, "corpus", 300, 0, 0.0, unit="%")
        append_results(tmp_path / f"audio-in-batch-seed{seed}" / "results.jsonl", [row])
    reach = 100 * 4.30265 * 0.1 / math.sqrt(3)  # Student's t with two degrees of freedom
    written = mmcpc._cell(mmcpc._runs(tmp_path, cell, (0, 1, 2)), mmcpc.PROBES["audio"])
    assert written == f"60.0 [{60 - reach:.1f}, {60 + reach:.1f}]"
    assert mean_and_interval([0.5], unit="%") == "50.0"
    assert mean_and_interval([], unit="%") == ""


def test_rank_correlation() -> None:
    assert rank_correlation([(x, x**3) for x in range(20)]).startswith("+1.00 [+1.00")
    some = [(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 3.0), (5.0, 5.0)]
    assert rank_correlation(some).startswith("+0.80 [")  # 1 - 6 x 4 / (5 x 24)
    assert rank_correlation(some[:4]) == "+0.60"  # of four no interval
    assert rank_correlation([(1.0, 2.0)] * 5) == ""


def test_markdown() -> None:
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_corpus_without_classes_is_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_pairs(tmp_path / "corpus" / f"{split}.jsonl", 12, labelled=False)
    with pytest.raises(UserError, match=r"12 of 12 items are no pairs of a class"):
        reproduce("mmcpc", tmp_path / "runs", corpus=tmp_path / "corpus")
