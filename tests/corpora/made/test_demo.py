"""The embedded corpus: its splits, its times, that it can be made again, and what stands in its way."""

import errno
import itertools
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from foresay.audio.voice import LABELS, PHONE_SET, SILENCE, speak
from foresay.corpora import generated
from foresay.corpora.generated import MadeCorpus
from foresay.corpora.made import demo
from foresay.corpora.made.demo import SHARES, VOICES, EmbeddedCorpus
from foresay.corpora.made.sentences import draw_sentences
from foresay.corpora.manifest import Item, Manifest
from foresay.errors import UserError


def make_small(folder: Path) -> MadeCorpus:
    return EmbeddedCorpus(seed=3, minutes=0.8, voices=4).make(folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> MadeCorpus:
    return make_small(tmp_path_factory.mktemp("corpora") / "demo")


@pytest.fixture(scope="module")
def splits(corpus: MadeCorpus) -> dict[str, list[Item]]:
    return {name: list(Manifest.open(path)) for name, path in corpus.manifests.items()}


def contents(corpus: MadeCorpus) -> dict[str, bytes]:
    folder = corpus.manifests["all"].parent
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_splits_have_their_share_and_make_the_whole(splits: dict[str, list[Item]]) -> None:
    for split, share in SHARES.items():
        voices = len({item.speaker for item in splits[split]})
        seconds = sum(item.duration for item in splits[split])
        assert 60 * 0.8 * share <= seconds <= 60 * 0.8 * share + 6 * voices
    assert splits["all"] == splits["train"] + splits["valid"] + splits["test"]


def test_test_voices_and_all_sentences_are_of_one_split(splits: dict[str, list[Item]]) -> None:
    voices = {name: {item.speaker for item in items} for name, items in splits.items()}
    assert voices["test"] == {"us-sam"}
    assert voices["train"] == {"us-leo", "gb-ada", "us-eve"}
    assert voices["valid"] <= voices["train"]
    sentences = Counter(item.text for item in splits["all"])
    assert max(sentences.values()) == 1


def test_phones_tile_each_recording(splits: dict[str, list[Item]]) -> None:
    for item in splits["all"]:
        assert 2 <= item.duration <= 6
        assert soundfile.info(item.audio).frames == round(item.duration * 16000)
        assert item.phones is not None
        assert (item.phones[0].start, item.phones[0].label) == (0, SILENCE)
        assert (item.phones[-1].end, item.phones[-1].label) == (item.duration, SILENCE)
        assert all(before.end == after.start for before, after in itertools.pairwise(item.phones))
        assert all(phone.start < phone.end for phone in item.phones)
        assert {phone.label for phone in item.phones} <= set(LABELS.values()) | {SILENCE}


def test_words_are_made_of_phones(splits: dict[str, list[Item]]) -> None:
    for item in splits["all"]:
        assert item.phones is not None
        assert item.words is not None
        for phone in item.phones:
            within = [word for word in item.words if word.start <= phone.start and phone.end <= word.end]
            assert len(within) == (phone.label != SILENCE)
        assert " ".join(word.label for word in item.words) == (item.text or "").lower().replace(",", "").rstrip(".")


def test_recordings_are_neither_clipped_nor_faint(splits: dict[str, list[Item]]) -> None:
    for item in splits["all"]:
        samples, rate = soundfile.read(item.audio)
        assert rate == 16000
        assert np.abs(samples).max() < 0.96
        assert -36 < 10 * np.log10(np.square(samples).mean()) < -21
        assert np.abs(samples[:800]).max() > 0  # noise from the first sample on


def test_each_phone_comes_often() -> None:
    """Spoken without room or files: sentences of an American and a British voice have every phone."""
    sentences = draw_sentences(120, np.random.default_rng(0))
    voices = itertools.cycle([VOICES["us-leo"], VOICES["gb-ada"]])
    counts = Counter(phone.label for text, voice in zip(sentences, voices, strict=False) for phone in speak(text, voice).phones)
    assert set(counts) == set(LABELS.values()) | {SILENCE}
    assert min(counts.values()) >= 5


def test_every_train_voice_fills_a_group_of_windows() -> None:
    parts = demo._plan(seed=0, minutes=6, voices=12)
    assert Counter(part.split for part in parts) == {"train": 9, "valid": 2, "test": 3}
    assert min(part.seconds for part in parts if part.split == "train") > 20
    assert min(part.seconds for part in parts if part.split == "valid") > 8 * 1.28 + 0.64


def test_made_again_it_is_the_same_with_any_number_of_threads(corpus: MadeCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    again = make_small(tmp_path / "again")
    assert contents(again) == contents(corpus)


def test_another_seed_says_something_else() -> None:
    first, second = (demo._plan(seed=seed, minutes=1, voices=4)[0].sentences for seed in (0, 1))
    assert not set(first) & set(second)


def test_a_complete_corpus_is_reused(corpus: MadeCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "speak", None)  # nothing is said
    assert not corpus.reused
    assert make_small(corpus.manifests["all"].parent) == MadeCorpus(corpus.manifests, reused=True)


def test_a_half_made_corpus_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(generated, "write_manifest", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            EmbeddedCorpus(minutes=0.1, voices=2).make(tmp_path)
    (tmp_path / "audio" / "left-over.flac").touch()
    made = EmbeddedCorpus(minutes=0.1, voices=2).make(tmp_path)
    assert not made.reused
    assert len(list(tmp_path.rglob("*.flac"))) == len(Manifest.open(made.manifests["all"]))


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_other_settings_replace_it(tmp_path: Path) -> None:
    EmbeddedCorpus(minutes=0.1, voices=2, seed=0).make(tmp_path)
    made = EmbeddedCorpus(minutes=0.1, voices=2, seed=1).make(tmp_path)
    assert not made.reused
    assert len(list(tmp_path.rglob("*.flac"))) == len(Manifest.open(made.manifests["all"]))


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="something else than the embedded corpus"):
        EmbeddedCorpus().make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path, __: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"cannot write the embedded corpus to .*No space left.*make room"):
        EmbeddedCorpus(minutes=0.1, voices=2).make(tmp_path / "demo")


@pytest.mark.parametrize("wrong", [{"minutes": 0}, {"minutes": math.inf}, {"voices": 1}, {"voices": 17}, {"seed": -1}])
def test_what_cannot_be_made_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="voices=.* from 2 to 16"):
        EmbeddedCorpus(**wrong).make(tmp_path / "demo")


def test_its_description_names_seed_phone_set_engine_and_license(corpus: MadeCorpus) -> None:
    text = (corpus.manifests["all"].parent / "corpus.toml").read_text()
    for line in ("seed = 3", f'phone_set = "{PHONE_SET}"', 'engine = "eSpeak NG 1.', "GPL", "complete = true"):
        assert line in text
    assert Manifest.open(corpus.manifests["test"]).phone_set == PHONE_SET
