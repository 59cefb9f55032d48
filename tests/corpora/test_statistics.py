"""A corpus in numbers, counted by hand."""

from pathlib import Path

import pytest

from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.corpora.statistics import Spread, describe

PHONES = (Interval(0.0, 0.5, "a"), Interval(0.5, 0.6, "b"), Interval(0.6, 0.9, "a"))


def test_a_small_corpus(tmp_path: Path) -> None:
    items = [
        Item("1", audio=tmp_path / "1.wav", duration=30, sample_rate=16_000, speaker="eva", language="en", text="one", phones=PHONES),
        Item("2", audio=tmp_path / "2.wav", duration=60, sample_rate=16_000, speaker="eva", language="fr", label="x"),
        Item("3", audio=tmp_path / "3.wav", duration=150, sample_rate=8000, language="en", words=PHONES, turns=PHONES, label="x"),
    ]
    write_manifest(tmp_path / "train.jsonl", items, phone_set="mine")
    found = describe(Manifest.open(tmp_path / "train.jsonl"))
    assert found.name == f"{tmp_path.name}/train"
    assert found.items == 3
    assert found.hours == pytest.approx(240 / 3600)
    assert found.speakers == ("eva", "unknown")
    assert found.minutes_per_speaker == Spread(1.5, 2.0, 2.5)
    assert found.seconds_per_item == Spread(30, 60, 150)
    assert found.sample_rates == {8000: 1, 16_000: 2}
    assert found.languages == {"en": 2, "fr": 1}
    assert found.labels == {"x": 2}
    assert (found.transcribed, found.with_phones, found.with_words, found.with_turns) == (1, 1, 1, 1)
    assert found.phone_set == "mine"
    assert found.phones == {"a": 2, "b": 1}
    assert found.phone_seconds == pytest.approx({"a": 0.8, "b": 0.1})
    assert found.milliseconds_per_phone == pytest.approx(300)
