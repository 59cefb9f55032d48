"""Verification of speakers: an oracle never errs, noise is at chance level, and lists of trials must fit."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora
from foresay.evaluation.superb._task import PUBLISHED, SuperbProtocol
from foresay.evaluation.superb.features import FeatureBatch
from foresay.evaluation.superb.scores import of_trials
from foresay.evaluation.superb.speaker_verification import STATISTICS, SpeakerVerification, read_trials
from foresay.results import Result
from foresay.statistics.verification import equal_error_rate, verification
from reference.paired_levels import subject, write_clips

SPEAKERS = {"train": "ABC", "valid": "DE", "test": "FGH"}
CLIPS = 4
TINY = SuperbProtocol("tiny", updates=4, batch=12, size=32, hidden=32, rates=(1e-2,), checks=1, heads=(PUBLISHED, STATISTICS))


def corpora(folder: Path, *, oracle: bool = True, clips: int = CLIPS) -> Corpora:
    """The level is the speaker's number, or noise."""
    random = np.random.default_rng(0)
    found = {}
    for split, speakers in SPEAKERS.items():
        who = {f"{speaker}{n}": speaker for speaker in speakers for n in range(clips)}
        levels = {name: random.integers(0, 8, (20, 2)) for name in who}
        if oracle:
            levels = {name: np.full((18 + n % 5, 2), "ABCDEFGH".index(one)) for n, (name, one) in enumerate(who.items())}
        found[split] = write_clips(folder / f"{split}.jsonl", levels, speaker=who)
        lines = [f"{int(who[one] == who[other])} {one} {other}\n" for one, other in combinations(who, 2)]
        if split != "train":
            (folder / f"{split}-trials.txt").write_text("".join(lines))
    return Corpora(found["test"], found["train"], found["valid"])


def rows(corpus: Corpora, protocol: SuperbProtocol = TINY) -> list[Result]:
    return SpeakerVerification(protocol)([subject()], corpus)


def test_an_oracle_never_errs(tmp_path: Path) -> None:
    found = rows(corpora(tmp_path))
    assert [(row.layer, row.metric) for row in found] == [
        (way, metric) for way in ("sum", "sum, statistics") for metric in ("EER", "minDCF(0.01)", "minDCF(0.05)")
    ]
    assert [row.value for row in found] == [0.0] * 6
    assert all(row.low is None for row in found)  # of three speakers


def test_noise_is_at_chance_level(tmp_path: Path) -> None:
    found = [row.value for row in rows(corpora(tmp_path, oracle=False, clips=8)) if row.metric == "EER"]
    assert all(0.35 < value < 0.65 for value in found)


def test_heads_learn_to_ignore_what_is_not_the_speaker(tmp_path: Path) -> None:
    """The first layer says the speaker, the second is noise; heads that learn give the first the greater share."""
    corpus = corpora(tmp_path)
    train = write_clips(
        tmp_path / "mixed.jsonl",
        {f"{n}": np.stack([np.full(20, n % 3), np.random.default_rng(n).integers(0, 8, 20)], 1) for n in range(12)},
        speaker={f"{n}": "ABC"[n % 3] for n in range(12)},
    )
    protocol = SuperbProtocol("tiny", updates=15, batch=12, size=8, hidden=8, rates=(0.1,), checks=15, heads=(STATISTICS,))
    task = SpeakerVerification(protocol)
    (row, *_) = task([subject()], Corpora(corpus.test, train, corpus.valid))
    assert row.details["layers"] == ["first", "second"]
    assert row.value == 0.0


def test_the_loss_is_softmax_with_a_margin() -> None:
    cosines, right = torch.rand(2, 3, 4) * 2 - 1, [0, 3, 1]
    given = FeatureBatch(torch.zeros(0), torch.zeros(0))
    found = SpeakerVerification(TINY).loss(cosines, given, right, ())
    for head in range(2):
        losses = []
        for row, speaker in enumerate(right):
            scores = [30 * (float(cosines[head, row, one]) - 0.4 * (one == speaker)) for one in range(4)]
            losses.append(np.log(np.exp(scores).sum()) - scores[speaker])
        assert found[head].item() == pytest.approx(np.mean(losses), rel=1e-5)


def test_weights_that_are_not_finite_are_at_chance_level(tmp_path: Path) -> None:
    corpus = corpora(tmp_path)
    task = SpeakerVerification(TINY)
    original = task.head

    def broken(*args: object, **options: object) -> torch.nn.Module:
        head = original(*args, **options)  # type: ignore[arg-type]
        torch.nn.init.constant_(head.embedding.weight, torch.nan)  # type: ignore[union-attr, arg-type]
        return head

    task.head = broken  # type: ignore[method-assign, assignment]
    assert {row.value for row in task([subject()], corpus) if row.metric == "EER"} == {0.5}


def test_intervals_are_over_speakers_and_the_mean_of_heads() -> None:
    random = np.random.default_rng(0)
    speakers = np.array([(one, other) for one in "abcdef" for other in "abcdef" for _ in range(2)])
    scores = random.normal(size=(3, len(speakers))) + (speakers[:, 0] == speakers[:, 1])
    found = of_trials(scores, speakers)["EER"]
    np.testing.assert_allclose(found.values, [equal_error_rate(row, speakers[:, 0] == speakers[:, 1]) for row in scores])
    assert found.over == ("speakers", tuple("abcdef"))
    one, other = (verification(scores[head], speakers, 4)["EER"] for head in (0, 2))
    assert found.interval([0], 4) == one.interval
    assert one.draws is not None
    assert other.draws is not None
    draws = (one.draws + other.draws) / 2
    np.testing.assert_allclose(found.interval([0, 2], 4).draws, draws - draws.mean() + (one.value + other.value) / 2)


def test_trials_are_read_in_order(tmp_path: Path) -> None:
    manifest = corpora(tmp_path).valid
    assert manifest is not None
    (tmp_path / "valid-trials.txt").write_text("1 D0 D2\n\n0 E1 D0\n")
    assert read_trials(manifest) == [(0, 2), (5, 0)]


@pytest.mark.parametrize(
    "lines, message",
    [
        ("1 F0 F1\n1 F0 F9\n0 X G0\n", "test-trials.txt names F9, X, which .*test lacks"),
        ("1 F0 F1\n2 F0 G0\n", "line 2: '2 F0 G0' is no trial"),
        ("1 F0\n", "line 1: '1 F0' is no trial"),
        ("1 F0 F1\n1 F0 G0\n", "line 2: 1 F0 G0 does not fit the speakers in .*test, F and G"),
        ("0 F0 F1\n", "line 1: 0 F0 F1 does not fit"),
        (None, "test-trials.txt is missing"),
    ],
)
def test_trials_that_do_not_fit_are_refused(tmp_path: Path, lines: str | None, message: str) -> None:
    corpus, path = corpora(tmp_path), tmp_path / "test-trials.txt"
    if lines is None:
        path.unlink()
    else:
        path.write_text(lines)
    with pytest.raises(UserError, match=message):
        rows(corpus)


def test_trials_of_one_kind_are_refused(tmp_path: Path) -> None:
    corpus = corpora(tmp_path)
    (tmp_path / "valid-trials.txt").write_text("1 D0 D1\n1 E0 E1\n")
    with pytest.raises(UserError, match="valid-trials.txt has 2 trials, all of one speaker"):
        rows(corpus)


def test_speakers_that_were_learnt_are_refused(tmp_path: Path) -> None:
    corpus = corpora(tmp_path)
    again = write_clips(tmp_path / "again.jsonl", {"z": np.zeros((20, 2), int)}, speaker={"z": "F"})
    with pytest.raises(UserError, match="F speak in .*test and in the corpus to learn from"):
        rows(Corpora(corpus.test, two_speakers(again, corpus, tmp_path), corpus.valid))


def two_speakers(one: Manifest, corpus: Corpora, folder: Path) -> Manifest:
    """Write a manifest of its speaker and another."""
    assert corpus.train is not None
    levels = {name: np.zeros((20, 2), int) for name in (*one.ids, *corpus.train.ids)}
    who = {name: "F" if name in one.ids else "A" for name in levels}
    return write_clips(folder / "both.jsonl", levels, speaker=who)


def test_clips_shorter_than_a_frame_are_refused(tmp_path: Path) -> None:
    corpus = corpora(tmp_path)
    task = SpeakerVerification(TINY)
    with pytest.raises(UserError, match="shorter than a frame"):
        task([subject("slow")], with_short(tmp_path, corpus))


def with_short(folder: Path, corpus: Corpora) -> Corpora:
    """Let a clip of the test have one frame of the first layer, and none of the slow one."""
    who = {"F0": "F", "F1": "F", "G0": "G"}
    clips = {name: np.zeros((1 if name == "F1" else 20, 2), int) for name in who}
    test = write_clips(folder / "test.jsonl", clips, speaker=who)
    (folder / "test-trials.txt").write_text("1 F0 F1\n0 F0 G0\n")
    return Corpora(test, corpus.train, corpus.valid)


def test_one_speaker_is_refused(tmp_path: Path) -> None:
    corpus = corpora(tmp_path)
    one = write_clips(tmp_path / "one.jsonl", {"a": np.zeros((20, 2), int)}, speaker={"a": "A"})
    with pytest.raises(UserError, match="has 1 speakers"):
        rows(Corpora(corpus.test, one, corpus.valid))


def test_protocols_choose_where_they_say() -> None:
    assert {name: one.chosen_on for name, one in SpeakerVerification.protocols.items()} == {
        "superb": "test",
        "clean": "valid",
        "tiny": "valid",
    }
