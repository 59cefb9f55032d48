"""Diarization: an oracle never errs, noise does no better than a constant, and targets equal a loop over turns."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.corpora.item import Interval
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora
from foresay.evaluation.superb._task import SuperbProtocol
from foresay.evaluation.superb.diarization import (
    DECISIONS,
    LINEAR,
    RATE,
    Decision,
    Diarization,
    ForwardHead,
    TimedTurns,
    frames_of,
)
from foresay.evaluation.superb.features import FeatureBatch, FeatureStore
from foresay.evaluation.superb.layer_sum import LayerSum
from foresay.objectives.permutation_invariant import permutation_invariant_loss
from foresay.results import Result
from reference.paired_levels import subject, write_clips

FRAME = 0.01
SHIFT = -1 / 16000
"""Where frame 0 of the model begins."""
TINY = SuperbProtocol("tiny", updates=60, batch=4, size=8, hidden=8, rates=(0.1,), checks=3, heads=(LINEAR,), decided_on="valid")


def turns_of(levels: list[int]) -> list[Interval]:
    """Level 0 is silence, 1 one speaker, 2 the other, 3 both: who speaks, frame by frame."""
    return [
        Interval(n * FRAME + SHIFT, (n + 1) * FRAME + SHIFT, name)
        for name, bit in (("Ann", 1), ("Bob", 2))
        for n, level in enumerate(levels)
        if level & bit
    ]


def corpora(folder: Path, *, oracle: bool = True) -> Corpora:
    random = np.random.default_rng(0)
    found = {}
    for split, count in (("train", 6), ("valid", 3), ("test", 6)):
        spoken = {f"{split}-{n}": np.repeat(random.integers(0, 4, 10), 4) for n in range(count)}
        shown = {name: levels if oracle else random.integers(0, 8, 40) for name, levels in spoken.items()}
        clips = {name: np.stack([levels, levels], 1) for name, levels in shown.items()}
        turns = {name: turns_of(levels.tolist()) for name, levels in spoken.items()}
        found[split] = write_clips(folder / f"{split}.jsonl", clips, turns=turns)
    return Corpora(found["test"], found["train"], found["valid"])


def rows(corpus: Corpora, protocol: SuperbProtocol = TINY) -> dict[tuple[str, str], Result]:
    return {(row.layer, row.metric): row for row in Diarization(protocol)([subject()], corpus)}


def test_an_oracle_never_errs(tmp_path: Path) -> None:
    found = rows(corpora(tmp_path))
    assert len(found) == 4
    assert found["sum, linear", RATE].value == pytest.approx(0.0, abs=1e-6)
    assert Decision(**found["sum, linear", RATE].details["decided"][0]) in DECISIONS
    assert found["sum, linear", RATE].details["classes"] == 2


def test_errors_add_up_and_noise_does_as_badly_as_a_constant(tmp_path: Path) -> None:
    corpus = corpora(tmp_path, oracle=False)
    found = {metric: row.value for (_, metric), row in rows(corpus).items()}
    total = found.pop(RATE)
    assert total == pytest.approx(sum(found.values()))
    constants = [
        sum(TimedTurns(item.turns or (), SHIFT, FRAME).errors(np.tile(speaking, (40, 1)), Decision(0.5, 1))[0] for item in corpus.test)
        for speaking in ([0.0, 0.0], [1.0, 0.0], [1.0, 1.0])
    ]
    speech = sum(turn.end - turn.start for item in corpus.test for turn in item.turns or ())
    assert total > 0.9 * min(constants) / speech


def test_an_lstm_learns_who_speaks(tmp_path: Path) -> None:
    protocol = SuperbProtocol("tiny", updates=25, batch=6, hidden=8, rates=(0.1,), checks=2)
    assert rows(corpora(tmp_path), protocol)["sum", RATE].value < 0.1


def test_an_lstm_reads_no_padding() -> None:
    head, frames = ForwardHead(LayerSum(2), (4, 5, 2), normed=False), torch.randn(1, 9, 2, 4)
    padded = torch.cat([frames, torch.ones(1, 3, 2, 4)], 1)
    torch.testing.assert_close(head(padded, torch.tensor([9]))[:, :9], head(frames, torch.tensor([9])))


def test_targets_equal_a_loop_over_turns() -> None:
    random = np.random.default_rng(1)
    starts = random.uniform(0, 0.8, 7)
    turns = [Interval(start, start + 0.15, name) for start, name in zip(starts, "BABABAA", strict=True)]
    centers = np.arange(0.005, 1.0, 0.01)
    found = frames_of(turns, centers, 3)
    expected = [[float(any(s <= center < e and who == name for s, e, who in turns)) for name in "AB"] + [0.0] for center in centers]
    assert found.tolist() == expected


def test_a_frame_lies_around_its_center(tmp_path: Path) -> None:
    manifest = corpora(tmp_path).test
    features = FeatureStore(subject()).frames(manifest)
    assert (features.start, features.seconds) == pytest.approx((SHIFT, FRAME))
    several = FeatureStore(subject()).frames(manifest, 3)
    assert (several.start, several.seconds) == pytest.approx((SHIFT, 3 * FRAME))


def test_errors_by_hand() -> None:
    """Frames of 0.5 s that begin at 0.25 s; one speaks from 0.25 to 1.25, the other from 1 to 1.75."""
    conversation = TimedTurns((Interval(0.25, 1.25, "x"), Interval(1.0, 1.75, "y")), 0.25, 0.5)
    posteriors = np.array([[0.1, 0.9], [0.1, 0.6], [0.9, 0.1], [0.55, 0.1]])
    # output 2 speaks 0.25-1.25, output 1 1.25-2.25: missed 1-1.25 of y, made up 1.75-2.25
    assert conversation.errors(posteriors, Decision(0.5, 1)) == pytest.approx((0.75, 0.25, 0.5, 0.0, 1.75))
    # without the last frame, and without the second
    assert conversation.errors(posteriors, Decision(0.7, 1)) == pytest.approx((0.75, 0.75, 0.0, 0.0, 1.75))


def test_the_loss_is_that_of_all_frames_of_a_batch() -> None:
    outputs, lengths = torch.randn(3, 2, 6, 2), torch.tensor([6, 4])
    targets = [torch.randint(0, 2, (length, 2)).float() for length in (6, 4)]
    found = Diarization(TINY).loss(outputs, FeatureBatch(torch.zeros(0), lengths), targets, ("1", "2"))
    padded = torch.stack([targets[0], torch.cat([targets[1], torch.full((2, 2), 7.0)])])
    for head in range(3):
        assert found[head].item() == pytest.approx(permutation_invariant_loss(outputs[head], padded, lengths).sums.sum().item() / 10)


@pytest.mark.parametrize("part", ["valid", "test"])
def test_what_decides_is_what_the_protocol_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    corpus = corpora(tmp_path)
    asked: list[str] = []
    decide = Diarization.decide
    monkeypatch.setattr(
        Diarization, "decide", lambda task, group, on, classes: (asked.append(on.manifest.name), decide(task, group, on, classes))
    )
    protocol = SuperbProtocol("tiny", updates=1, batch=4, size=8, rates=(0.1,), heads=(LINEAR,), decided_on=part)  # type: ignore[arg-type]
    rows(corpus, protocol)
    assert [name.rpartition("/")[2] for name in asked] == [part]


def test_the_best_decision_counts() -> None:
    assert len(DECISIONS) == 10
    assert {name: one.decided_on for name, one in Diarization.protocols.items()} == {"superb": "test", "clean": "valid", "tiny": "valid"}


def without_turns(corpus: Corpora, folder: Path, turns: Mapping[str, list[Interval]]) -> Corpora:
    train = write_clips(folder / "other.jsonl", dict.fromkeys(("a", "b"), np.zeros((9, 2), int)), turns={"b": None, **turns})  # type: ignore[dict-item]
    return Corpora(corpus.test, train, corpus.valid)


def test_missing_turns_are_refused(tmp_path: Path) -> None:
    corpus = corpora(tmp_path)
    with pytest.raises(UserError, match=r'1 of 2 items of .*/other lack the key "turns", b the first'):
        rows(without_turns(corpus, tmp_path, {"a": []}))
    with pytest.raises(UserError, match=r"nobody speaks in the turns of .*/other"):
        rows(without_turns(corpus, tmp_path, {"a": [], "b": []}))
