"""Papers done again: every cell once, tables that say what was found, and nothing begun that cannot be finished."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foresay.errors import UserError
from foresay.evaluation.abx.abx import Abx
from foresay.evaluation.probes.linear_probe import CONVERGED
from foresay.evaluation.probes.probe import Probe
from foresay.results import Draws, Result, append_results, read_results, save_draws
from foresay.statistics.intervals import ConfidenceInterval
from foresay.training.recipe import read_recipe
from foresay.workflows import reproduce as workflow
from foresay.workflows.reproduce import reproduce
from foresay.workflows.reproductions import acpc
from foresay.workflows.reproductions._seed_pairs import QUESTIONS, paired_table
from foresay.workflows.reproductions._tables import rows_at_end
from foresay.workflows.reproductions.acpc import ACPC, CPC, AlignedCPC
from reference.levels import write_corpus

TINY = (
    "trainer.steps=4",
    "trainer.save_every=2",
    "trainer.validate_batches=1",
    "data.batch=2",
    "model.channels=8",
    "model.context_size=8",
    "model.negative_count=4",
    "model.negative_group=2",
    "model.predictor=linear",
)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    for seed, split in enumerate(("train", "valid", "test")):
        write_corpus(folder / f"{split}.jsonl", 8, seed=seed, speakers=2)
    return folder


def test_what_is_trained_and_measured_is_all_that_the_plan_says(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The order, and what each verb is given; what they do is their own tests' and that of the slow test below."""
    done: list[tuple[object, ...]] = []

    def train(recipe: str, train: Path, run: Path, *, valid: Path | None, overrides: tuple[str, ...], device: str | None) -> None:
        run.mkdir(parents=True)
        done.append((run.name, recipe, train.name, valid and valid.name, overrides, device))

    def rate(models: list[Path], test: Path, train: Path | None, **asked: object) -> None:
        done.append((sorted({model.name.partition("@")[0] for model in models}), asked["measures"], test.name, train and train.name))

    monkeypatch.setitem(acpc.SCALES, "demo", replace(acpc.SCALES["demo"], cells=(CPC, ACPC), settings=TINY))
    monkeypatch.setattr(workflow, "pretrain", train)
    monkeypatch.setattr(workflow, "evaluate", rate)
    monkeypatch.setattr(workflow, "report", lambda _runs, page: page)
    monkeypatch.setattr(AlignedCPC, "tables", lambda *_: "tables")
    found = reproduce("acpc", tmp_path / "runs", corpus=corpus, device="cpu")
    assert (found.text, found.tables.read_text(encoding="utf-8"), found.report.name) == ("tables", "tables", "report.html")
    shapes = {"cpc-seed0": 12, "acpc-k8-seed0": 8}
    expected = [
        (name, "demo-acpc", "train.jsonl", "valid.jsonl", (*TINY, f"model.predictions={k}", "model.matched=12", "trainer.seed=0"), "cpu")
        for name, k in shapes.items()
    ]
    both, probe = sorted(shapes), ("probe:converged",)
    assert done == [
        *expected,
        (both, probe, "test.jsonl", "train.jsonl"),
        (both, ("abx:phone",), "test.jsonl", None),
        (both, acpc.FIGURES, "test.jsonl", "train.jsonl"),
        ([], probe, "test.jsonl", "train.jsonl"),  # of each checkpoint, and here is none
    ]
    printed = capsys.readouterr().err.splitlines()
    assert sum(": done in " in line for line in printed) == sum(line.endswith("…") for line in printed) == 2 + 4 + 1


@pytest.mark.slow
def test_each_cell_is_trained_and_measured_once(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("clusters.clusters=[4]", "clusters.restarts=1")
    tiny = replace(acpc.SCALES["demo"], cells=(CPC, ACPC), settings=TINY, few=few)
    monkeypatch.setitem(acpc.SCALES, "demo", tiny)
    monkeypatch.setitem(Probe.protocols, "converged", replace(CONVERGED, epochs=1))
    done = reproduce("acpc", tmp_path / "runs", corpus=corpus)
    names = ["cpc-seed0", "acpc-k8-seed0"]
    printed = capsys.readouterr().err.splitlines()
    assert [line for line in printed if "training" in line and line.endswith("…")] == [
        f"training {number} of 2, {name} …" for number, name in enumerate(names, start=1)
    ]
    assert sum(": done in " in line for line in printed) == sum(line.endswith("…") for line in printed) == 2 + 4 + 1
    kept = {name: read_results(tmp_path / "runs" / name / "results.jsonl") for name in names}
    for rows in kept.values():
        assert {row.measure for row in rows} == {"probe", "abx", "similarity", "clusters", "segmentation"}
        assert {row.step for row in rows if row.measure == "probe" and row.step} == {2, 4}  # Figure 5
    assert done.text == done.tables.read_text(encoding="utf-8")
    assert done.text.count("| CPC | 12 | 12 |") == done.text.count("| ACPC | 8 | 12 |") == 1
    assert "| 51.2 | 67.5 |" in done.text
    assert "Over the training" in done.report.read_text(encoding="utf-8")

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Probe, "__call__", never)
    monkeypatch.setattr(Abx, "__call__", never)
    again = reproduce("acpc", tmp_path / "runs", corpus=corpus)
    assert again.text == done.text
    assert {name: read_results(tmp_path / "runs" / name / "results.jsonl") for name in names} == kept


def measured(folder: Path, measure: str, metric: str, layer: str, values: dict[int, float], spread: float = 0.02) -> None:
    """Write rows of a run down, by step, with draws evenly over `spread` on either side."""
    folder.mkdir(parents=True, exist_ok=True)
    for step, value in values.items():
        names = tuple(map(str, range(9)))
        interval = ConfidenceInterval(value + np.linspace(-spread, spread, 1001), range(9))
        draws = Draws("utterances", names, 0, interval.draws)
        row = Result(
            model=folder.name,
            measure=measure,
            protocol="p",
            metric=metric,
            layer=layer,
            split="test",
            value=value,
            low=interval[0],
            high=interval[1],
            corpus="x/test",
            step=step,
            seed=0,
            seconds=0.0,
            details={"fingerprint": f"{folder.name}-{measure}-{layer}-{step}"},
            unit="%",
            direction="lower" if "error" in metric else "higher",
            model_fingerprint=f"{folder.name}@{step}",
            drawn=draws.drawn,
            draws=draws,
        )
        append_results(folder / "results.jsonl", [row])
        save_draws(folder, [row])
    (folder / "metrics.jsonl").write_text('{"kind": "train", "step": 1, "audio_rate": 640.0}\n', encoding="utf-8")


def test_tables_say_the_end_of_each_run_and_the_paired_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(acpc.SCALES, "demo", replace(acpc.SCALES["demo"], cells=(CPC, ACPC)))
    for layer in ("z", "c"):
        measured(tmp_path / "cpc-seed0", "probe", "accuracy", layer, {400: 0.40, 100: 0.2})
        measured(tmp_path / "acpc-k8-seed0", "probe", "accuracy", layer, {400: 0.45, 100: 0.3})
    for name, error in (("cpc-seed0", 0.10), ("acpc-k8-seed0", 0.09)):
        measured(tmp_path / name, "abx", "error within speakers", "c", {400: error}, spread=0.0)
    text = AlignedCPC().tables("demo", tmp_path)
    assert "| x/test | within | 10.0 [10.0, 10.0] | 9.0 [9.0, 9.0] | \N{MINUS SIGN}1.0 [\N{MINUS SIGN}1.0, \N{MINUS SIGN}1.0] |" in text
    assert "| CPC | 12 | 12 | 2.0 | 40.0 [38.1, 41.9] | 40.0 [38.1, 41.9] |  |  | 2.6 | 51.2 | 67.5 |" in text
    assert "| ACPC | 8 | 12 | 2.0 | 45.0 [43.1, 46.9] | 45.0 [43.1, 46.9] |" in text
    assert "+5.0 [+5.0, +5.0]" in text  # the same utterances were hard for both


def test_several_seeds_have_a_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(acpc.SCALES, "demo", replace(acpc.SCALES["demo"], cells=(CPC, ACPC), seeds=(0, 1, 2)))
    for seed, value in enumerate((0.3, 0.4, 0.5)):
        for layer in ("z", "c"):
            measured(tmp_path / f"cpc-seed{seed}", "probe", "accuracy", layer, {4: value})
            measured(tmp_path / f"acpc-k8-seed{seed}", "probe", "accuracy", layer, {4: value})
    text = AlignedCPC().tables("demo", tmp_path)
    assert text.count("40.0 ± 10.0") == 4
    assert "3 seeds" in text


def test_the_paper_asks_for_the_papers_lengths() -> None:
    trainings = {training.folder: training for training in AlignedCPC().trainings("paper")}
    assert len(trainings) == 7 + 2
    assert {"model.predictions=10", "model.matched=16", "trainer.epochs=50"} <= set(trainings["acpc-k10-m16-seed0"].overrides)
    long = trainings["acpc-k8-long-seed0"].overrides
    assert [setting for setting in long if setting.startswith("trainer.epochs")][-1] == "trainer.epochs=200"  # the last one counts


@pytest.mark.slow
def test_seed_by_seed_on_every_test(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("abx.max_size_group=5", "abx.max_x_across=1", "clusters.clusters=[4]", "clusters.restarts=1")
    tests = (
        acpc.Test("test.jsonl", "train.jsonl", ("probe:converged", "abx:phone")),
        acpc.Test("valid.jsonl", "test.jsonl", ("segmentation:20ms", "clusters:k50")),
    )
    monkeypatch.setitem(acpc.SCALES, "cpu", replace(acpc.SCALES["cpu"], seeds=(0, 1), settings=TINY, few=few, tests=tests))
    monkeypatch.setitem(Probe.protocols, "converged", replace(CONVERGED, epochs=1))
    done = reproduce("acpc", tmp_path / "runs", scale="cpu", corpus=corpus)
    rows = [line.strip("| ").split(" | ") for line in done.text.splitlines() if line.startswith("| ") and "---" not in line][1:]
    titles = [question.title for question in QUESTIONS]
    assert [row[0] for row in rows] == [title for title in titles for _ in ("z", "c")] + [titles[-1]]
    assert [row[2] for row in rows] == ["z", "c"] * len(titles) + ["posterior"]
    assert [row[1] for row in rows] == ["corpus/test"] * 6 + ["corpus/valid"] * 5
    assert all(row[6] in {"0 of 2", "1 of 2", "2 of 2"} for row in rows)
    for name in ("cpc-seed0", "acpc-k8-seed1"):
        (accuracy,) = [r for r in rows_at_end(tmp_path / "runs" / name, "probe", "c") if r.metric == "accuracy"]
        assert accuracy.corpus == "corpus/test"
        assert accuracy.details["trained_on"] == "corpus/train"


def seed_pairs(parent: Path, errors: list[tuple[float, float]]) -> tuple[list[Path], list[Path]]:
    """Runs of two models, of which one number each is known."""
    sides: tuple[list[Path], list[Path]] = ([], [])
    for seed, pair in enumerate(errors):
        for side, name, error in zip(sides, "ab", pair, strict=True):
            side.append(parent / f"{name}{seed}")
            measured(side[-1], "abx", "error within speakers", "c", {4: error}, spread=0.001)
    return sides


@pytest.mark.parametrize(
    "errors, difference, votes, winner",
    [
        ([(0.10, 0.08), (0.11, 0.08), (0.12, 0.09), (0.10, 0.08), (0.11, 0.09)], "\N{MINUS SIGN}2.4", "5 of 5", "B"),
        ([(0.08, 0.10), (0.08, 0.11), (0.09, 0.12), (0.08, 0.10), (0.09, 0.11)], "+2.4", "0 of 5", "A"),
        ([(0.10, 0.14), (0.20, 0.15), (0.30, 0.28), (0.20, 0.18), (0.20, 0.20)], "\N{MINUS SIGN}1.0", "3 of 5", "no"),
    ],
)
def test_the_better_one_is_named_where_the_interval_leaves_out_zero(
    tmp_path: Path, errors: list[tuple[float, float]], difference: str, votes: str, winner: str
) -> None:
    a, b = seed_pairs(tmp_path, errors)
    (row,) = paired_table(a, b, ("A", "B")).splitlines()[2:]
    cells = row.strip("| ").split(" | ")
    assert cells[5].split(" [")[0] == difference
    assert cells[6:8] == [votes, winner]


def test_of_four_seeds_nothing_is_decided_and_no_interval_is_given(tmp_path: Path) -> None:
    a, b = seed_pairs(tmp_path, [(0.20, 0.08), (0.21, 0.08), (0.22, 0.09), (0.20, 0.08)])
    (row,) = paired_table(a, b, ("A", "B")).splitlines()[2:]
    assert row.strip("| ").split(" | ")[5:8] == ["\N{MINUS SIGN}12.5", "4 of 4", "no"]


def test_what_was_measured_of_some_seeds_only_is_not_paired(tmp_path: Path) -> None:
    a, b = seed_pairs(tmp_path, [(0.20, 0.08), (0.21, 0.08)])
    for run in (a[0], b[0], b[1]):
        measured(run, "abx", "error across speakers", "c", {4: 0.1}, spread=0.001)
    (row,) = paired_table(a, b, ("A", "B")).splitlines()[2:]
    assert row.startswith("| ABX error within speakers, % |")


def test_a_baseline_stands_beside_the_pair(tmp_path: Path) -> None:
    a, b = seed_pairs(tmp_path, [(0.10, 0.08), (0.11, 0.08)])
    (ours, *_) = read_results(a[0] / "results.jsonl")
    append_results(a[0] / "results.jsonl", [replace(ours, model="mfcc", layer="mfcc", step=None, value=0.055)])
    assert paired_table(a, b, ("A", "B")).endswith("| 5.5 |")


def test_the_tests_of_the_pair_are_asked_for_before_anything_is_trained(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "pretrain", None)
    with pytest.raises(UserError, match=r"lacks timit/manifest\.jsonl, timit/test\.jsonl, timit/train\.jsonl"):
        reproduce("acpc", tmp_path / "runs", scale="cpu", corpus=corpus)


@pytest.mark.parametrize("scale", acpc.SCALES)
def test_every_cell_is_a_valid_recipe(scale: str) -> None:
    for training in AlignedCPC().trainings(scale):
        assert read_recipe(training.recipe, training.overrides).model == "acpc"


@pytest.mark.parametrize(
    "paper, scale, lacks, message",
    [
        ("acpd", "demo", None, "acpc"),
        ("acpc", "demon", None, "demo"),
        ("acpc", "demo", "test.jsonl", r"lacks test\.jsonl"),
        ("acpc", "paper", None, r"dev-clean\.jsonl, dev-clean\.item, dev-other\.jsonl, dev-other\.item"),
    ],
)
def test_what_cannot_be_finished_is_not_begun(
    tmp_path: Path, corpus: Path, paper: str, scale: str, lacks: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "pretrain", None)
    if lacks:
        (corpus / lacks).unlink()
    with pytest.raises(UserError, match=message):
        reproduce(paper, tmp_path / "runs", scale=scale, corpus=corpus)


def test_a_larger_scale_needs_real_speech(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs a corpus of yours"):
        reproduce("acpc", tmp_path / "runs", scale="small")
