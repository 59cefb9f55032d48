"""Spoken and written digits: pairs are of one class, and the test has voices and pictures of its own."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.corpora.generated import MadeCorpus
from foresay.corpora.made import digit_pairs
from foresay.corpora.made.digit_pairs import DIGITS, DigitPairs
from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.errors import UserError
from foresay.images.read import read_pixels
from foresay.workflows.corpus import import_corpus

pytest.importorskip("PIL")
datasets = pytest.importorskip("sklearn.datasets")

SPEAKERS = ("adam", "bea", "carl", "dora", "eve")


def write_spoken(folder: Path, speakers: tuple[str, ...] = SPEAKERS) -> Path:
    """Write clips named as in FSDD, and something that is none."""
    folder.mkdir()
    for speaker in speakers:
        for digit in range(10):
            for take in range(1 + digit // 4):
                path = folder / f"{digit}_{speaker}_{take}.wav"
                soundfile.write(path, np.random.default_rng(digit).uniform(-0.5, 0.5, 2000 + 100 * digit), 8000)
    (folder / "notes.wav").touch()
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> MadeCorpus:
    folder = tmp_path_factory.mktemp("pairs")
    return DigitPairs(write_spoken(folder / "spoken")).make(folder / "pairs")


@pytest.fixture(scope="module")
def splits(corpus: MadeCorpus) -> dict[str, list[Item]]:
    return {split: list(Manifest.open(corpus.manifests[split])) for split in ("train", "test")}


@pytest.fixture
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, labels = digit_pairs._written()
    monkeypatch.setattr(digit_pairs, "_written", lambda: (pixels[:100], labels[:100]))


def test_a_pair_is_of_one_digit(splits: dict[str, list[Item]]) -> None:
    written = datasets.load_digits()
    for split, items in splits.items():
        for item in items:
            assert item.audio is not None
            assert item.image is not None
            assert item.label == item.audio.name[0] == item.image.name[0]
            number = int(item.image.stem[2:])
            assert DIGITS[written.target[number]] == item.label
            np.testing.assert_allclose(read_pixels(item.image)[..., 1], written.images[number] * 255 / 16, atol=0.5)
            assert (item.duration, item.sample_rate) == ((2000 + 100 * int(item.label)) / 8000, 8000)
            assert item.image.parent.name == split


def test_voices_and_pictures_of_the_test_are_its_own(splits: dict[str, list[Item]]) -> None:
    assert {item.speaker for item in splits["test"]} == {"dora"}
    assert {item.speaker for item in splits["train"]} == set(SPEAKERS) - {"dora"}
    train, test = ({item.image for item in items} for items in splits.values())
    assert not train & test
    assert len(splits["train"]) + len(splits["test"]) == len(SPEAKERS) * (4 + 8 + 6)


def test_all_clips_are_there_once_and_pictures_about_as_often(splits: dict[str, list[Item]], corpus: MadeCorpus) -> None:
    everything = splits["train"] + splits["test"]
    assert max(Counter(item.audio for item in everything).values()) == 1
    assert max(Counter(item.image for item in splits["train"]).values()) == 1  # there are more of them than clips
    pictures = list((corpus.manifests["all"].parent / "images").rglob("*.png"))
    assert len(pictures) == 1797
    share = sum(path.parent.name == "test" for path in pictures) / len(pictures)
    assert share == pytest.approx(0.25, abs=0.01)


def test_where_there_are_fewer_pictures_than_clips_they_are_used_again() -> None:
    clips = [Item(f"c{n}", label="3") for n in range(5)]
    paired = digit_pairs._paired(clips, {digit: [Path(f"{digit}-a.png"), Path(f"{digit}-b.png")] for digit in DIGITS})
    assert [item.id for item in paired] == ["c0+3-a", "c1+3-b", "c2+3-a", "c3+3-b", "c4+3-a"]


@pytest.mark.usefixtures("few_pictures")
def test_other_seeds_give_other_pairs_and_a_manifest_serves_as_well(tmp_path: Path) -> None:
    spoken = write_spoken(tmp_path / "spoken")
    import_corpus("digits", spoken, tmp_path / "fsdd")
    first = DigitPairs(spoken).make(tmp_path / "first")
    same = DigitPairs(tmp_path / "fsdd" / "manifest.jsonl").make(tmp_path / "same")
    other = DigitPairs(spoken, seed=1).make(tmp_path / "other")
    ids = [sorted(Manifest.open(made.manifests["train"]).ids) for made in (first, same, other)]
    assert ids[0] == ids[1] != ids[2]
    assert DigitPairs(spoken, seed=1).make(tmp_path / "other").reused


def test_by_default_a_synthesizer_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader")
    voices = dict(list(digit_pairs.VOICES.items())[:2])
    monkeypatch.setattr(digit_pairs, "VOICES", voices)
    made = DigitPairs(takes=1).make(tmp_path / "pairs")
    items = {split: list(Manifest.open(made.manifests[split])) for split in ("train", "test")}
    assert {split: {item.speaker for item in found} for split, found in items.items()} == {"train": {"gb-ada"}, "test": {"us-leo"}}
    for found in items.values():
        assert [item.label for item in found] == list(DIGITS)
        assert all(0.1 < item.duration < 1.0 for item in found)
        assert all(soundfile.info(item.audio).frames == round(item.duration * 16_000) for item in found)


def test_what_cannot_be_paired_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="of one speaker"):
        DigitPairs(write_spoken(tmp_path / "one", ("adam",))).make(tmp_path / "pairs")
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="holds no spoken digits"):
        DigitPairs(tmp_path / "none").make(tmp_path / "pairs")
    with pytest.raises(UserError, match="takes=0 must be 1 or more"):
        DigitPairs(takes=0).make(tmp_path / "pairs")


@pytest.mark.usefixtures("few_pictures")
def test_other_clips_in_the_same_place_are_noticed(tmp_path: Path) -> None:
    spoken = write_spoken(tmp_path / "spoken")
    assert not DigitPairs(spoken).make(tmp_path / "pairs").reused
    assert DigitPairs(spoken).make(tmp_path / "pairs").reused
    next(spoken.rglob("*.wav")).unlink()
    assert not DigitPairs(spoken).make(tmp_path / "pairs").reused


def test_clips_of_nobody_are_refused(corpus: MadeCorpus, tmp_path: Path) -> None:
    items = [replace(item, speaker=None, image=None) for item in Manifest.open(corpus.manifests["all"])]
    write_manifest(tmp_path / "spoken.jsonl", items)
    with pytest.raises(UserError, match="have no speaker"):
        DigitPairs(tmp_path / "spoken.jsonl").make(tmp_path / "pairs")
