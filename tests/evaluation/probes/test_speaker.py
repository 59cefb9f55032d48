"""The speaker is found where features depend on the audio, and only there."""

from dataclasses import replace
from pathlib import Path

import pytest

from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora
from foresay.evaluation.probes.speaker import SpeakerProbe
from reference.levels import trained, write_corpus

BOTH = list(SpeakerProbe.protocols.values())


def _corpora(tmp_path: Path) -> Corpora:
    """Speaker 0 says a more often, speaker 1 says d: `write_corpus` with one phone each."""
    parts = []
    for split, seed in (("train", 1), ("test", 2)):
        lines = []
        for speaker, phones in enumerate(("aabb", "ccdd")):
            manifest = write_corpus(tmp_path / f"{split}-{speaker}.jsonl", 8, phones=tuple(phones), speakers=1, seed=seed)
            text = manifest.path.read_text().replace("speaker 0", f"speaker {speaker}")
            lines += [line for line in text.splitlines() if '"id"' in line]
        path = tmp_path / f"{split}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        parts.append(Manifest.open(path))
    return Corpora(test=parts[1], train=parts[0])


@pytest.mark.parametrize("protocol", BOTH, ids=lambda p: p.name)
def test_speakers_who_say_different_phones_are_distinguished(tmp_path: Path, protocol: object) -> None:
    corpora = _corpora(tmp_path)
    rows = SpeakerProbe(protocol)([Subject("levels", trained(), ("level", "nothing"))], corpora)  # type: ignore[arg-type]
    found, guessed = (next(r for r in rows if r.layer == layer and r.split == "test") for layer in ("level", "nothing"))
    assert found.value == 1.0
    assert 0.2 < guessed.value < 0.8
    assert found.details["speakers"] == 2


def test_unseen_speakers_and_lonely_ones_are_explained(tmp_path: Path) -> None:
    train = write_corpus(tmp_path / "train.jsonl", 4, speakers=1)
    test = write_corpus(tmp_path / "test.jsonl", 4, speakers=2)
    probe = SpeakerProbe(BOTH[0])
    with pytest.raises(UserError, match="1 of the 2 speakers"):
        probe([], Corpora(test=test, train=train))
    with pytest.raises(UserError, match="one speaker only"):
        probe([], Corpora(test=write_corpus(tmp_path / "other.jsonl", 4, speakers=1), train=train))
    with pytest.raises(UserError, match="--train-corpus"):
        probe([], Corpora(test=test))


def test_recordings_that_are_all_too_short_are_explained(tmp_path: Path) -> None:
    protocol = replace(BOTH[0], shortest=60.0)
    with pytest.raises(UserError, match=r"no recording of .*/train lasts 60.0 s"):
        SpeakerProbe(protocol)([Subject("levels", trained(), ("level",))], _corpora(tmp_path))
