"""Phone boundaries, found and rated, on recordings whose boundaries are known."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foresay.building import build
from foresay.contracts import Batch, SpeechModel
from foresay.corpora.manifest import Interval, Manifest
from foresay.corpora.plans.windows import Segment, Window
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.example import examples
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.segmentation.boundaries import (
    F1,
    OVER,
    PRECISION,
    R_VALUE,
    RECALL,
    count_hits,
    scores,
    true_boundaries,
)
from foresay.evaluation.segmentation.boundary_cues import Peaks, add_at_frames, dissimilarity, peaks, taking_over
from foresay.evaluation.segmentation.posterior_curves import posterior_curves
from foresay.evaluation.segmentation.segmentation import PERIODIC, POSTERIOR, Segmentation, SegmentationProtocol
from foresay.loading import load
from foresay.results import Result
from reference.boundary_loops import change_probability, most_hits
from reference.levels import STEP, Levels, trained, write_corpus
from reference.similarity_loops import cosine
from reference.tiny_run import write_run

GOLDEN_HITS, GOLDEN_FOUND = 84, 84
"""Counted once, with this code."""
TIMES = st.lists(st.integers(0, 60), max_size=12, unique=True).map(lambda ticks: [tick / 100 for tick in sorted(ticks)])


def test_boundaries_are_where_the_label_changes() -> None:
    phones = [Interval(0.0, 0.2, "a"), Interval(0.2, 0.3, "b"), Interval(0.3, 0.5, "b"), Interval(0.5, 1.0, "a")]
    assert true_boundaries(phones, 1.0).tolist() == [0.2, 0.5]
    assert true_boundaries(phones[::-1], 1.5).tolist() == [0.2, 0.5, 1.0]  # after the last there is something else
    gap = [Interval(0.1, 0.2, "a"), Interval(0.204, 0.3, "b"), Interval(0.4, 0.5, "b")]
    assert true_boundaries(gap, 0.502).tolist() == [0.1, 0.204, 0.3, 0.4]
    assert true_boundaries([], 1.0).tolist() == []


@given(TIMES, TIMES)
def test_no_pairing_has_more_hits(found: list[float], true: list[float]) -> None:
    for tolerance in (0.01, 0.02):
        assert count_hits(found, true, tolerance) == most_hits(found, true, tolerance) == count_hits(true, found, tolerance)


def test_a_boundary_is_hit_once_and_the_tolerance_is_meant() -> None:
    assert count_hits([0.30, 0.31, 0.32], [0.31], 0.02) == 1
    assert count_hits([0.32], [0.3], 0.02) == 1  # though 0.32 - 0.3 is 0.020000000000000018
    assert count_hits([0.3201], [0.3], 0.02) == 0


def test_scores_are_those_of_the_definitions() -> None:
    perfect, nothing, all_over, some = ([100, 100, 100], [0, 0, 100], [100, 300, 100], [70, 80, 100])
    rated = scores([perfect, nothing, all_over, some])
    assert rated[R_VALUE].tolist() == pytest.approx([1.0, 1 - (2**0.5 + 0) / 2, 1 - (2 + 2**0.5) / 2, 1 - (0.13**0.5 + 0.02**0.5 / 2) / 2])
    assert rated[F1].tolist() == pytest.approx([1, 0, 0.5, 2 * 70 / 180])
    assert rated[PRECISION].tolist() == pytest.approx([1, 0, 1 / 3, 7 / 8])
    assert rated[RECALL].tolist() == pytest.approx([1, 0, 1, 0.7])
    assert rated[OVER].tolist() == pytest.approx([0, -1, 2, -0.2])


@pytest.mark.parametrize("span", [1, 2, 4])
def test_dissimilarity_is_that_of_means_before_and_after(span: int) -> None:
    features = np.random.default_rng(0).normal(size=(15, 4)) + 3
    centered = features - features.mean(axis=0)
    for t, value in enumerate(dissimilarity(torch.from_numpy(features), span), start=1):
        before, after = centered[max(0, t - span) : t].mean(axis=0), centered[t : t + span].mean(axis=0)
        assert value == pytest.approx(1 - cosine(before, after))
    assert len(dissimilarity(torch.from_numpy(features), span)) == 14
    assert dissimilarity(torch.ones(1, 4), span).tolist() == []


def test_peaks_have_prominences() -> None:
    found = peaks(np.array([0.0, 3.0, 1.0, 2.0, 2.0, 2.0, 0.0, 0.5]), np.arange(8) / 100)
    assert found.times.tolist() == [0.01, 0.04]
    assert found.prominences.tolist() == [3.0, 1.0]


def test_predictions_take_over_where_the_path_climbs() -> None:
    path = torch.tensor([0, 0, 1, 2, 2])
    posterior = torch.nn.functional.one_hot(path, 3).double()
    assert taking_over(posterior).tolist() == [0, 1, 1, 0]
    other = torch.nn.functional.one_hot(torch.tensor([0, 1, 1, 1, 2]), 3).double()
    assert taking_over(0.25 * posterior + 0.75 * other).tolist() == [0.75, 0.25, 0.25, 0.75]


@pytest.mark.parametrize("frames", [9, 12, 20])
def test_what_is_said_is_added_to_the_frames_it_is_said_of(frames: int) -> None:
    posterior = torch.randn(8, 4, 3).double().softmax(dim=-1).sort(dim=-2).values
    changes = (posterior @ torch.arange(3.0, dtype=torch.float64)).diff(dim=-1)
    sums, counts = np.zeros((2, frames - 1))
    add_at_frames(changes.numpy(), sums, counts)
    expected, number = change_probability(posterior.numpy(), frames)
    np.testing.assert_allclose(sums, expected, atol=1e-12)
    assert counts.tolist() == number.tolist()


Found: TypeAlias = tuple[int, np.ndarray, np.ndarray]


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[SpeechModel, Manifest, list[Found]]:
    """A model, two recordings, and the curves of the second."""
    model = write_run(tmp_path / "run", "acpc", predictions=3, matched=5)
    manifest = write_corpus(tmp_path / "test.jsonl", 2, seed=4)
    return model, manifest, list(posterior_curves(Subject("tiny", load(tmp_path / "run"), ("z",)), manifest, [1]))


def test_posterior_curves_are_those_of_the_windows(tiny: tuple[SpeechModel, Manifest, list[Found]]) -> None:
    """A recording of 2.5 windows: what is usual is taken off, and what several windows say is averaged."""
    model, manifest, ((item, curve, times),) = tiny
    samples = int(manifest.lengths(16000)[1])
    last = (samples - 20480) // 160 * 160
    starts = [*range(0, last, 10240), last]
    frames = samples // 160
    assert (item, len(curve), len(starts) > 1) == (1, frames - 1, True)
    np.testing.assert_allclose(times[:2], [(79 + 80) / 16000, (79 + 240) / 16000])
    sums, counts = np.zeros((2, frames - 1))
    for pair in (starts[i : i + 2] for i in range(0, len(starts), 2)):  # the model's groups are of two
        both = (pair * 2)[:2]
        waveforms = np.stack([manifest.read(1, 16000, start, start + 20480) for start in both])
        with torch.no_grad():
            batch = Batch(("", ""), torch.from_numpy(waveforms), torch.tensor([20480, 20480]), torch.arange(2))
            posterior = model.inspect(batch)["alignment_posterior"]
        usual = taking_over(posterior.double()).mean(dim=(0, 1)).numpy()
        for start, of_window in zip(pair, posterior.double().numpy(), strict=False):
            said, number = change_probability(of_window, 128)
            expected = np.zeros(127)
            for t in range(len(of_window)):
                expected[t + 1 : t + 5] += usual
            there = slice(start // 160, start // 160 + 127)
            sums[there] += (said - expected)[: len(sums[there])]
            counts[there] += number[: len(sums[there])]
    np.testing.assert_allclose(curve, sums / np.maximum(counts, 1), atol=1e-6)


def test_a_model_is_not_asked_what_it_would_learn_of_silence(tmp_path: Path) -> None:
    """This one trains on no window shorter than eight seconds; its boundaries are read off two seconds all the same."""
    settings = {"size": 16, "layers": 1, "heads": 2, "inner": 16, "mask_length": 800}
    model = build({"name": "best_rq", **settings}).eval()
    train, test = (write_corpus(tmp_path / f"{name}.jsonl", 2, seed=seed) for seed, name in enumerate(("train", "test")))
    rows = Segmentation(Segmentation.protocols["20ms"])([Subject("best-rq", model, ("L1",))], Corpora(test, train))
    assert {row.layer for row in rows} == {"L1", "none"}
    assert all("not_inspected" in arrays for arrays in examples(model, test))


class Foreseeing(Levels):
    """Levels that knows what comes: a prediction for each phone of the next six frames."""

    group = 2
    aligns = True

    def inspect(self, batch: Batch) -> dict[str, torch.Tensor]:
        assert batch.waveforms is not None
        levels = (batch.waveforms[:, self.first_center :: 160] / STEP).round()
        ahead = levels[:, 1:].unfold(1, 6, 1)  # (B, W, M)
        climbs = (ahead.diff(dim=-1) != 0).cumsum(dim=-1)
        path = torch.nn.functional.pad(climbs, (1, 0))
        return {"alignment_posterior": torch.nn.functional.one_hot(path, 6).float()}


def subject(model: Levels | None = None, layers: Sequence[str] = ("level",)) -> Subject:
    model = model or trained()
    copy = type(model)(model.settings).eval()
    return Subject("levels", model, tuple(layers), 500, Subject("levels (untrained)", copy, tuple(layers)))


@pytest.fixture
def corpora(tmp_path: Path) -> Corpora:
    return Corpora(test=write_corpus(tmp_path / "test.jsonl", 6, seed=2), train=write_corpus(tmp_path / "train.jsonl", 8, seed=1))


def find(results: Sequence[Result], metric: str, model: str = "levels", layer: str = "level") -> Result:
    (found,) = [r for r in results if (r.metric, r.model, r.layer) == (metric, model, layer)]
    return found


def test_boundaries_between_levels_are_found(corpora: Corpora) -> None:
    results = find_measure("segmentation:20ms")([subject()], corpora)
    assert [r.metric for r in results[:5]] == [R_VALUE, F1, PRECISION, RECALL, OVER]
    found = find(results, R_VALUE)
    assert found.value > 0.95  # the two ends of a phone of one frame are one peak
    assert found.low is not None
    assert found.low <= found.value <= found.high
    true = sum(a.label != b.label for item in corpora.test for a, b in zip(item.phones, item.phones[1:], strict=False))
    assert found.details["true"] == true
    assert found.details["trained_on"] == corpora.train.name
    assert (found.details["hits"], found.details["found"]) == (GOLDEN_HITS, GOLDEN_FOUND)
    assert (found.details["delay"], found.step, found.split) == (0.0, 500, "test")
    deaf = find(results, R_VALUE, "levels (untrained)")
    assert (deaf.details["found"], find(results, PRECISION, "levels (untrained)").value) == (0, 0.0)
    chance = find(results, R_VALUE, PERIODIC, "none")
    assert 0.0 < chance.value < 0.7
    assert chance.step is None
    assert [r.layer for r in results if r.model == "levels"] == ["level"] * 5  # which aligns no predictions


def test_a_finer_tolerance_is_harder_and_a_frame_is_fine_enough(corpora: Corpora) -> None:
    fine = find_measure("segmentation:10ms")([subject()], corpora)
    assert find(fine, R_VALUE).value > 0.95
    coarse = find_measure("segmentation:20ms")([subject()], corpora)
    assert find(fine, R_VALUE, PERIODIC, "none").value < find(coarse, R_VALUE, PERIODIC, "none").value


def test_a_models_own_alignment_finds_boundaries(corpora: Corpora) -> None:
    results = find_measure("segmentation:20ms")([subject(Foreseeing(trained().settings).eval())], corpora)
    own = find(results, R_VALUE, layer=POSTERIOR)
    assert own.value > 0.95
    assert own.details["delay"] == 0.0


def test_a_delay_is_found_out() -> None:
    measure = Segmentation(SegmentationProtocol("20ms", 0.02))
    truth = {0: np.arange(0.1, 3, 0.11), 1: np.arange(0.2, 2, 0.13)}
    late = {item: Peaks(times + 0.045, np.ones(len(times))) for item, times in truth.items()}
    both = {item: Peaks(np.sort(np.concatenate([p.times, p.times + 0.04])), np.tile([1.0, 0.2], len(p.times))) for item, p in late.items()}
    chosen = measure.tune({1: both}, truth)
    assert (chosen.delay, chosen.r_value) == (0.03, 1.0)
    assert 0.2 < chosen.threshold <= 1.0
    assert measure.tune({1: both, 2: late}, truth) == chosen  # of equally good ones the first


def test_nothing_of_the_test_is_tuned_on(corpora: Corpora, tmp_path: Path) -> None:
    measure = find_measure("segmentation:20ms")
    other = write_corpus(tmp_path / "other.jsonl", 5, seed=9)
    chosen = [find(measure([subject()], Corpora(test, corpora.train)), R_VALUE).details for test in (corpora.test, other)]
    keys = ("span", "threshold", "delay", "R-value in training")
    assert [chosen[0][key] for key in keys] == [chosen[1][key] for key in keys]


def test_it_needs_two_corpora_with_phones(corpora: Corpora, tmp_path: Path) -> None:
    measure = find_measure("segmentation:20ms")
    with pytest.raises(UserError, match="--train-corpus"):
        measure([subject()], Corpora(corpora.test))
    with pytest.raises(UserError, match="given for training and for testing"):
        measure([subject()], Corpora(corpora.test, Manifest.open(corpora.test.path)))
    bare = write_corpus(tmp_path / "bare.jsonl", 2, labelled=False)
    with pytest.raises(UserError, match="bare has no phone boundaries.*`similarity:cosine` and `geometry:frames` work"):
        measure([subject()], Corpora(bare, corpora.train))


def test_windows_of_short_and_long_recordings(tmp_path: Path) -> None:
    """A recording shorter than a window is encoded, with silence after it."""
    manifest = write_corpus(tmp_path / "test.jsonl", 1)
    text = manifest.path.read_text()
    duration = manifest[0].duration
    manifest.path.write_text(text.replace(f'"duration": {duration}', '"duration": 0.5'))
    short = Manifest.open(manifest.path)
    ((_, curve, _),) = posterior_curves(subject(Foreseeing(trained().settings).eval()), short, [0])
    assert len(curve) == 49
    assert Window(0, (Segment(0, 0, 8000),)).segments[0].stop == int(short.lengths(16000)[0])
