"""Groups of utterances and words add up; what is kept is read back."""

import numpy as np
import pytest

from foresay.corpora.manifest import Manifest
from foresay.evaluation.recognition.errors import LONGEST, SOUNDS, find_errors
from foresay.evaluation.recognition.kept import Group, KeptErrors
from foresay.statistics.word_errors import Compared
from reference.tones import RATE, write_tones


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return Manifest.open(write_tones(tmp_path_factory.mktemp("tones") / "test.jsonl", 20))


def kept_of(manifest: Manifest, texts: list[tuple[str, str]], speakers: int = 2, training: dict[str, int] | None = None) -> KeptErrors:
    pairs = [Compared(manifest.ids[number], f"s{number % speakers}", *both) for number, both in enumerate(texts)]
    kept = KeptErrors.of(find_errors(pairs, manifest, training, sample_rate=RATE).arrays)
    assert kept is not None
    assert list(kept.pairs) == pairs
    return kept


def test_utterances_are_grouped_by_length_and_by_speaker(manifest: Manifest) -> None:
    texts = [(" ".join("a" * length), " ".join("a" * (length - length // 3))) for length in (3, 3, 3, 3, 6, 6, 6, 6, 9, 9, 9, 9)]
    kept = kept_of(manifest, texts)
    (three, six, nine) = kept.groups["length"]
    assert (three[:3], six[:3], nine[:3]) == (("3", 12, 4), ("4 to 6", 24, 8), ("7 to 9", 36, 12))
    assert nine.rate == pytest.approx(1 / 3)
    assert (nine.low, nine.high) == (None, None)  # of four
    one, other = kept.groups["speaker"]
    assert {one[:3], other[:3]} == {("s0", 36, 12), ("s1", 36, 12)}
    assert one.low == one.high == pytest.approx(1 / 3)
    assert "frequency" not in kept.groups
    worst = kept_of(manifest, [("a a", "a a"), ("a a", "b b"), ("a a", "a b")], speakers=2).groups["speaker"]
    assert [group[:3] for group in worst] == [("s1", 2, 2), ("s0", 4, 1)]


def test_groups_of_length_are_about_equal(manifest: Manifest) -> None:
    texts = [(" ".join("a" * length), "a") for length in range(1, 21)]
    assert [group.label for group in kept_of(manifest, texts).groups["length"]] == [
        "1 to 4",
        "5 to 8",
        "9 to 12",
        "13 to 16",
        "17 to 20",
    ]
    assert [group.label for group in kept_of(manifest, [("a b", "a b")] * 6).groups["length"]] == ["2"]


def test_words_are_grouped_by_how_often_training_has_them(manifest: Manifest) -> None:
    texts = [("new rare rare common", "ne w rare rear common")] * 6
    kept = kept_of(manifest, texts, training={"rare": 9, "common": 10})
    assert [group[:3] for group in kept.groups["frequency"]] == [("0", 6, 6), ("1 to 9", 12, 6), ("10 to 99", 6, 0)]
    assert kept.groups["frequency"][1].low == pytest.approx(0.5)
    often = kept_of(manifest, [("the new", "the knew")], training={"the": 5000}).groups["frequency"]
    assert often == [Group("0", 1, 1, None, None), Group("1,000 and more", 1, 0, None, None)]


def test_speakers_are_no_groups_where_nobody_knows_them(manifest: Manifest) -> None:
    assert "speaker" not in kept_of(manifest, [("a", "a")] * 4, speakers=4).groups
    (speaker,) = kept_of(manifest, [("a", "a")] * 4, speakers=1).groups["speaker"]
    assert speaker[:3] == ("s0", 4, 0)


def test_one_utterance_and_empty_references(manifest: Manifest) -> None:
    kept = kept_of(manifest, [("a b", "")])
    assert kept.groups["length"] == [Group("2", 2, 2, None, None)]
    assert len(kept.sounds) == 1
    kept = kept_of(manifest, [("", "a"), ("b", "b")])
    assert kept.groups["length"] == [Group("1", 1, 0, None, None)]
    assert list(kept.sounds) == [manifest.ids[1]]


def test_the_sound_of_utterances_over_all_rates_is_kept(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [("a " * 20, "a " * number) for number in range(20)]
    kept = kept_of(manifest, texts)
    assert len(kept.sounds) == SOUNDS
    places = [manifest.ids.index(name) for name in kept.sounds]
    assert places == sorted(places, reverse=True)  # the lowest rate first
    waveform = manifest.read(places[3], RATE)
    np.testing.assert_allclose(kept.sounds[manifest.ids[places[3]]] / 32767, waveform, atol=1 / 32767)
    assert kept.sample_rate == RATE
    assert manifest.durations.max() < LONGEST
    shortest = np.sort(manifest.durations)[4]
    monkeypatch.setattr("foresay.evaluation.recognition.errors.LONGEST", shortest)
    assert len(kept_of(manifest, texts).sounds) == 5
    monkeypatch.setattr("foresay.evaluation.recognition.errors.LONGEST", 0.0)
    assert kept_of(manifest, texts).sounds == {}


def test_what_has_no_transcripts_keeps_nothing() -> None:
    assert KeptErrors.of(None) is None
    assert KeptErrors.of({"other": np.zeros(3)}) is None
