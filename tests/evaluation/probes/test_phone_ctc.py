"""The phones of a language whose answers are known come out in order; edits are counted as by plain recursion."""

from itertools import groupby
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora
from foresay.evaluation.probes.phone_ctc import CTCProtocol, PhoneCTC, Utterance, fit_ctc
from reference.levels import trained, write_corpus


def _bells(count: int, seed: int) -> list[Utterance]:
    """Four bells, each two frames long, with silence between them: which bell rings is plain, the labels do not say when."""
    random = torch.Generator().manual_seed(seed)
    utterances = []
    for _ in range(count):
        phones = torch.randint(1, 5, (int(torch.randint(3, 8, (), generator=random)),), generator=random)
        frames = F.one_hot(torch.stack([0 * phones, phones, phones, 0 * phones], dim=1).flatten(), 5).float()
        utterances.append(Utterance(frames + 0.05 * torch.randn(frames.shape, generator=random), phones))
    return utterances


def test_the_probe_learns_which_bells_ring() -> None:
    quick = CTCProtocol("converged", learning_rate=0.05, epochs=60)
    probe, epochs = fit_ctc(_bells(60, seed=1), 4, quick, seed=0, title="bells")
    assert 0 < epochs <= 60
    for one in _bells(10, seed=2):
        assert probe.decode(one.features) == one.phones.tolist()


def test_rows_say_what_was_measured(tmp_path: Path) -> None:
    corpora = Corpora(test=write_corpus(tmp_path / "test.jsonl", 6, seed=2), train=write_corpus(tmp_path / "train.jsonl", 8, seed=1))
    rows = PhoneCTC(CTCProtocol("converged", epochs=2))([Subject("levels", trained(), ("level", "nothing"))], corpora)
    assert [(r.layer, r.split) for r in rows] == [(layer, split) for layer in ("level", "nothing") for split in ("train", "test")]
    for row in rows:
        phones = sum(len([*groupby(p.label for p in item.phones or ())]) for item in getattr(corpora, row.split))
        assert row.details["phones"] == phones
        assert row.low is not None
        assert row.low <= row.value <= row.high  # type: ignore[operator]
    deaf = rows[-1]
    assert deaf.value > 0.6


def test_a_corpus_without_phones_is_explained(tmp_path: Path) -> None:
    train, test = (write_corpus(tmp_path / f"{name}.jsonl", 4, labelled=name == "train") for name in ("train", "test"))
    measure = PhoneCTC(CTCProtocol("converged"))
    with pytest.raises(UserError, match="test has no phones"):
        measure([], Corpora(test=test, train=train))
    with pytest.raises(UserError, match="--train-corpus"):
        measure([], Corpora(test=test))
