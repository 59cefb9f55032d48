"""Evaluating runs: what is measured, where it is written, and that nothing is measured twice."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foresay.building import build
from foresay.errors import UserError
from foresay.evaluation.probes.linear_probe import CONVERGED
from foresay.evaluation.probes.probe import GAIN, MAJORITY, Probe
from foresay.models.representation.multimodal_cpc import MultimodalCPC
from foresay.results import Result, load_artifact, read_results
from foresay.runs import Run
from foresay.settings import write_toml
from foresay.trust import trusting
from foresay.workflows.evaluate import evaluate
from reference.levels import write_corpus
from reference.pairs import write_pairs
from reference.tiny_run import write_run
from reference.toy_synthesizer import toy_synthesizer, write_synthesizer

MEASURES = ["probe:converged"]


@pytest.fixture(autouse=True)
def _few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Probe.protocols, "converged", replace(CONVERGED, epochs=2))


@pytest.fixture
def corpora(tmp_path: Path) -> tuple[Path, Path]:
    test, train = tmp_path / "corpus" / "test.jsonl", tmp_path / "corpus" / "train.jsonl"
    write_corpus(test, 4, seed=2)
    write_corpus(train, 6, seed=1)
    return test, train


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[str, ...]]]:
    """What the probe was asked to measure, one after the other."""
    seen: list[tuple[str, tuple[str, ...]]] = []
    measure = Probe.__call__

    def spy(self: Probe, subjects: Sequence, *rest: object, **named: object) -> list[Result]:
        seen.extend((subject.name, subject.layers) for subject in subjects)
        return measure(self, subjects, *rest, **named)

    monkeypatch.setattr(Probe, "__call__", spy)
    return seen


def rows(results: Sequence[Result], metric: str = "accuracy", split: str = "test") -> set[tuple[str, str, int | None]]:
    return {(r.model, r.layer, r.step) for r in results if r.metric == metric and r.split == split}


BESIDE = {(MAJORITY, "none", None), ("mfcc", "mfcc", None), ("logmel", "logmel", None)}


def test_a_run_stands_beside_its_untrained_copy_the_baselines_and_the_majority(tmp_path: Path, corpora: tuple[Path, Path]) -> None:
    write_run(tmp_path / "runs" / "mine", step=7)
    results = evaluate([tmp_path / "runs" / "mine"], *corpora, measures=MEASURES)
    both = {("mine", layer, 7) for layer in "zc"} | {("mine (untrained)", layer, None) for layer in "zc"}
    assert rows(results) == rows(results, split="train") == both | BESIDE
    assert rows(results, GAIN) == {("mine", "z", 7), ("mine", "c", 7)}
    assert all(r.measure == "probe" and r.protocol == "converged" and r.corpus in {"corpus/test", "corpus/train"} for r in results)
    assert read_results(tmp_path / "runs" / "mine" / "results.jsonl") == results
    example = load_artifact(tmp_path / "runs" / "mine", "example-1")
    assert example is not None
    assert {"features_z", "features_c", "waveform", "phone_labels"} <= example.keys()


def test_a_baseline_that_stands_beside_no_model_is_measured_where_it_is_asked_for(corpora: tuple[Path, Path]) -> None:
    assert rows(evaluate(["mfcc", "plp"], *corpora, measures=MEASURES)) == BESIDE | {("plp", "plp", None)}


def test_nothing_is_measured_twice(tmp_path: Path, corpora: tuple[Path, Path], calls: list) -> None:
    run = tmp_path / "mine"
    write_run(run)
    only_z = evaluate([run], *corpora, measures=MEASURES, layers=["z"])
    assert calls == [("mine", ("z",)), ("logmel", ("logmel",)), ("mfcc", ("mfcc",))]
    calls.clear()
    both = evaluate([run], *corpora, measures=MEASURES)
    assert calls == [("mine", ("c",))]
    calls.clear()
    assert set(map(str, only_z)) < set(map(str, both))
    assert evaluate([run], *corpora, measures=MEASURES, layers=["z"]) == only_z
    assert evaluate([run], *corpora, measures=MEASURES) == both
    assert not calls
    written = read_results(run / "results.jsonl")
    assert len(written) == len(both) == len(set(map(str, written)))


def test_again_measures_again(tmp_path: Path, corpora: tuple[Path, Path], calls: list) -> None:
    run = tmp_path / "mine"
    write_run(run)
    first = evaluate([run], *corpora, measures=MEASURES)
    asked = list(calls)
    second = evaluate([run], *corpora, measures=MEASURES, again=True)
    assert calls == 2 * asked
    assert [(r.model, r.layer, r.value, r.low) for r in first] == [(r.model, r.layer, r.value, r.low) for r in second]
    assert len(read_results(run / "results.jsonl")) == 2 * len(first)


@pytest.mark.parametrize("change", ["weights", "step", "labels", "seed"])
def test_what_changed_is_measured_anew(tmp_path: Path, corpora: tuple[Path, Path], calls: list, change: str) -> None:
    run = tmp_path / "mine"
    write_run(run)
    evaluate([run], *corpora, measures=MEASURES)
    calls.clear()
    baselines = [("logmel", ("logmel",)), ("mfcc", ("mfcc",))]
    expected = [("mine", ("z", "c"))]
    if change == "weights":
        write_run(run, seed=5)
    elif change == "step":
        write_run(run, step=8)
    else:
        expected += baselines
    if change == "labels":
        corpora[1].write_text(corpora[1].read_text().replace('"a"]', '"b"]', 1))
    evaluate([run], *corpora, measures=MEASURES, seed=1 if change == "seed" else 0)
    assert calls == expected


def test_two_runs_each_keep_their_own(tmp_path: Path, corpora: tuple[Path, Path], calls: list) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        write_run(tmp_path / name, seed=seed)
    results = evaluate([tmp_path / "one", tmp_path / "two"], *corpora, measures=MEASURES, layers=["c"])
    assert calls == [("one", ("c",)), ("two", ("c",)), ("logmel", ("logmel",)), ("mfcc", ("mfcc",))]
    for name, other in (("one", "two"), ("two", "one")):
        kept = read_results(tmp_path / name / "results.jsonl")
        assert kept == [r for r in results if not r.model.startswith(other)]
        assert rows(kept) == {(name, "c", 7), (f"{name} (untrained)", "c", None)} | BESIDE


def test_what_is_measured_outlives_a_kill(tmp_path: Path, corpora: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, calls: list) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        write_run(tmp_path / name, seed=seed)
    whole = Probe.__call__

    def killed(self: Probe, subjects: Sequence, *rest: object, **named: object) -> list[Result]:
        if subjects[0].name == "two":
            raise KeyboardInterrupt
        return whole(self, subjects, *rest, **named)

    monkeypatch.setattr(Probe, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate([tmp_path / "one", tmp_path / "two"], *corpora, measures=MEASURES, layers=["c"])
    assert ("one", "c", 7) in rows(read_results(tmp_path / "one" / "results.jsonl"))
    monkeypatch.setattr(Probe, "__call__", whole)
    calls.clear()
    evaluate([tmp_path / "one", tmp_path / "two"], *corpora, measures=MEASURES, layers=["c"])
    assert ("one", ("c",)) not in calls
    assert ("two", ("c",)) in calls


def test_runs_of_one_name_are_distinguished_by_their_folders(tmp_path: Path, corpora: tuple[Path, Path]) -> None:
    for parent, seed in (("first", 1), ("second", 2)):
        write_run(tmp_path / parent / "cpc", seed=seed)
    results = evaluate([tmp_path / "first" / "cpc", tmp_path / "second" / "cpc"], *corpora, measures=MEASURES, layers=["z"])
    assert {model for model, _, step in rows(results) if step} == {"first/cpc", "second/cpc"}


def test_a_run_at_a_step(tmp_path: Path, corpora: tuple[Path, Path]) -> None:
    run = tmp_path / "mine"
    write_run(run, step=3, seed=3)
    write_run(run, step=9, seed=9)
    results = evaluate([f"{run}@3", run, run], *corpora, measures=MEASURES, layers=["z"])
    assert rows(results, GAIN) == {("mine", "z", 3), ("mine", "z", 9)}
    values = {r.step: r.value for r in results if r.metric == "accuracy" and r.split == "test" and r.model == "mine"}
    assert values[3] != values[9]
    assert len([r for r in results if r.model == "mine (untrained)"]) == 2  # one copy, train and test


def test_out_takes_all_and_baselines_need_no_model(tmp_path: Path, corpora: tuple[Path, Path]) -> None:
    write_run(tmp_path / "mine")
    results = evaluate([tmp_path / "mine"], *corpora, measures=MEASURES, layers=["z"], out=tmp_path / "out")
    assert read_results(tmp_path / "out" / "results.jsonl") == results
    assert not (tmp_path / "mine" / "results.jsonl").exists()
    baselines = evaluate(["mfcc"], *corpora, measures=MEASURES, out=tmp_path / "out")
    assert rows(baselines) == BESIDE
    assert all(r in results for r in baselines)


def test_a_model_folder_keeps_nothing(tmp_path: Path, corpora: tuple[Path, Path]) -> None:
    write_run(tmp_path / "run", step=4)
    (tmp_path / "run" / "model").rename(tmp_path / "shared")
    before = sorted(path.name for path in (tmp_path / "shared").iterdir())
    results = evaluate([tmp_path / "shared"], *corpora, measures=MEASURES, layers=["z"])
    assert ("shared", "z", 4) in rows(results)
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == before


def test_baselines_are_measured_where_they_can_be(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    pairs = [write_pairs(tmp_path / "pairs" / f"{split}.jsonl", count).path for split, count in (("test", 6), ("train", 30))]
    pictures = [write_pairs(tmp_path / "pictures" / f"{split}.jsonl", 12, halves=("image",)).path for split in ("test", "train")]
    item_probe = {"measures": ["item_probe:mean"], "out": tmp_path / "out"}
    both = evaluate(["mfcc"], *pairs, **item_probe)
    audio, images = (rows(both, f"accuracy_{modality}") for modality in ("audio", "image"))
    assert audio == BESIDE
    assert images == {(MAJORITY, "none", None), ("pixels", "pixels", None)}
    assert evaluate(["mfcc"], *pairs, **item_probe) == both
    assert {r.model for r in evaluate(["mfcc"], *pictures, **item_probe)} == {MAJORITY, "pixels"}
    assert not evaluate(["mfcc"], *pairs, measures=["retrieval:mean"], out=tmp_path / "out")
    frames = evaluate(["mfcc"], pairs[0], measures=["geometry:frames"], out=tmp_path / "out")
    assert {r.model for r in frames} == {"mfcc", "logmel"}


def test_a_run_encodes_images_in_the_size_that_it_was_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PIL")
    pictures = [write_pairs(tmp_path / f"{split}.jsonl", 12, halves=("image",)).path for split in ("test", "train")]
    seen = set()
    whole = MultimodalCPC.image_features

    def spy(self: MultimodalCPC, images: torch.Tensor, *rest: object) -> object:
        seen.add(tuple(images.shape[2:]))
        return whole(self, images, *rest)

    monkeypatch.setattr(MultimodalCPC, "image_features", spy)
    monkeypatch.setattr("foresay.evaluation.items.item_probe.CONVERGED", replace(CONVERGED, epochs=3))
    torch.manual_seed(0)
    settings = {"name": "multimodal-cpc", "modalities": "image", "channels": 8, "context_size": 8}
    model = build(settings)
    run = Run(tmp_path / "eye")
    run.begin("[data]\nimage_side = 64\n")
    run.save(3, model.state_dict(), {}, write_toml({"step": 3, "version": "0", "model": settings}), keep=1)
    results = evaluate([tmp_path / "eye"], *pictures, measures=["item_probe:last"])
    assert seen == {(64, 64)}
    assert {("eye", layer, 3) for layer in "zc"} <= rows(results, "accuracy_image")
    assert {r.metric for r in results if "gain" in r.metric} == {"gain over untrained in accuracy_image"}
    with pytest.raises(UserError, match="eye takes images and no audio"):
        evaluate([tmp_path / "eye"], pictures[0], measures=["geometry:frames"])


ABX = {"measures": ["abx:phone"], "layers": ["z"], "options": ["abx.max_size_group=0", "abx.max_x_across=0"]}


def test_options_change_a_protocol(tmp_path: Path, corpora: tuple[Path, Path]) -> None:
    write_run(tmp_path / "mine")
    results = evaluate([tmp_path / "mine"], corpora[0], **ABX)
    assert {r.protocol for r in results} == {"phone(max_size_group=0, max_x_across=0)"}
    assert rows(results, "error across speakers") == {("mine", "z", 7), ("mine (untrained)", "z", None)} | BESIDE - {
        (MAJORITY, "none", None)
    }


def test_another_item_file_is_measured_anew(tmp_path: Path, corpora: tuple[Path, Path]) -> None:
    items = tmp_path / "test.item"
    lines = [f"test-{n % 4} {t:.2f} {t + 0.1:.2f} {'ab'[i]} x y s{n % 2}" for n in range(8) for i, t in enumerate((0.1, 0.3 + n / 10))]
    items.write_text("\n".join(["#", *lines]))
    typed = {**ABX, "options": [*ABX["options"], f"abx.items={items}"], "out": tmp_path / "out"}
    first = evaluate(["mfcc"], corpora[0], **typed)
    assert evaluate(["mfcc"], corpora[0], **typed) == first
    items.write_text("\n".join(["#", *lines[:-1]]))
    second = evaluate(["mfcc"], corpora[0], **typed)
    assert [r.details["tokens"] for r in (first[0], second[0])] == [16, 15]


@pytest.mark.parametrize("option", ["abx", "abx.items", "abx=3", "probe.epochs=3", "items=dev.item"])
def test_an_option_of_no_measure_is_reported(tmp_path: Path, corpora: tuple[Path, Path], option: str) -> None:
    with pytest.raises(UserError, match=r"--option takes MEASURE.FIELD=VALUE, of a measure that is asked for \(abx\)"):
        evaluate(["mfcc"], corpora[0], measures=["abx:phone"], options=[option], out=tmp_path)


def test_mistakes_are_named(tmp_path: Path, corpora: tuple[Path, Path]) -> None:
    write_run(tmp_path / "mine")
    for models, named, message in (
        ([tmp_path / "mine"], {"layers": ["x"]}, "mine has no layer 'x'.*Known: c, z"),
        ([tmp_path / "mine"], {"measures": ["probe:papr"]}, 'did you mean "probe:paper"'),
        ([tmp_path / "nobody"], {}, "nobody"),
        (["mfc"], {}, 'did you mean "mfcc"'),
        ([tmp_path / "mine"], {"device": "cuda:99"}, "cannot be used here"),
    ):
        with pytest.raises(UserError, match=message):
            evaluate(models, *corpora, **{"measures": ["probe:paper"], **named})
    with pytest.raises(UserError, match="--train-corpus"):
        evaluate([tmp_path / "mine"], corpora[0], measures=["probe:paper"])


def test_a_synthesizer_is_measured_by_measures_of_synthesis_only(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "test.jsonl", 6)
    run = write_synthesizer(tmp_path / "vocoder", toy_synthesizer(manifest))
    with trusting(), pytest.raises(UserError, match=r"vocoder is a synthesizer: it makes speech and no features.*vocoder#tokenizer"):
        evaluate([run], manifest.path, measures=["slowness:k50"])
