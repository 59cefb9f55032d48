"""Recordings that cannot be read do not end an evaluation: they are left out, counted and listed."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.errors import AudioError
from foresay.results import Result
from foresay.workflows.evaluate import evaluate
from foresay.workflows.readable import too_short, unreadable
from reference.levels import write_corpus

MEASURES = ["slowness:k50", "abx:phone"]
ALL = ["abx.max_size_group=0", "abx.max_x_across=0", "slowness.clusters=8"]


def numbers(results: list[Result]) -> dict[tuple[str, str, str, str], float]:
    return {(r.measure, r.model, r.layer, r.metric): r.value for r in results}


def test_a_manifest_without_some_items_is_that_of_the_others(tmp_path: Path) -> None:
    whole = write_corpus(tmp_path / "m.jsonl", 9, speakers=3)
    assert whole.digest
    items = list(whole)
    for places in ([2, 7], [0, 3, 6], []):  # the second are all of a speaker
        write_manifest(tmp_path / "fewer.jsonl", [item for place, item in enumerate(items) if place not in places])
        expected, found = Manifest.open(tmp_path / "fewer.jsonl"), whole.without(places)
        assert (found.ids, found.speakers, found.digest) == (expected.ids, expected.speakers, expected.digest)
        assert [item.id for item in found] == [found[place].id for place in range(len(found))] == expected.ids
        np.testing.assert_array_equal(found.lengths(8000), expected.lengths(8000))
        np.testing.assert_array_equal(found.speaker_codes, expected.speaker_codes)
    assert len(whole) == 9


def test_numbers_are_those_of_what_can_be_read(tmp_path: Path) -> None:
    test, train = write_corpus(tmp_path / "test.jsonl", 6), write_corpus(tmp_path / "train.jsonl", 5, seed=1)
    for manifest, places in ((test, {1, 4}), (train, {0})):
        write_manifest(tmp_path / f"good-{manifest.path.name}", [item for place, item in enumerate(manifest) if place not in places])
    good = [tmp_path / f"good-{name}.jsonl" for name in ("test", "train")]
    expected = evaluate(["mfcc"], *good, measures=MEASURES, options=ALL, out=tmp_path / "good")
    assert not (tmp_path / "good" / "left-out.txt").exists()
    test[1].audio.unlink()
    test[4].audio.write_bytes(test[4].audio.read_bytes()[:20_000])
    train[0].audio.write_text("no audio")
    found = evaluate(["mfcc"], test.path, train.path, measures=MEASURES, options=ALL, out=tmp_path / "out")
    assert numbers(found) == numbers(expected)
    listed = (tmp_path / "out" / "left-out.txt").read_text().splitlines()
    assert [line.split(": ")[1] for line in listed] == ["test-1", "test-4", "train-0"]
    assert {r.details["left_out"] for r in found} == {3}
    assert all("3 recordings that cannot be read are left out of all numbers, listed in" in r.details["note"] for r in found)
    again = evaluate(["mfcc"], test.path, train.path, measures=MEASURES, options=ALL, out=tmp_path / "out")
    assert [r.seconds for r in again] == [r.seconds for r in found]  # known


def test_what_cannot_be_mended_so_is_reported(tmp_path: Path) -> None:
    test = write_corpus(tmp_path / "test.jsonl", 3)
    noise = write_corpus(tmp_path / "noise.jsonl", 1)
    noise[0].audio.unlink()
    options = [f"robustness.noise={noise.path}"]
    with pytest.raises(AudioError, match="there is no file .*noise-0"):
        evaluate(["mfcc"], test.path, measures=["robustness:noise-5db"], options=options, out=tmp_path / "out")
    for item in test:
        item.audio.unlink()
    assert list(unreadable(test)) == [0, 1, 2]
    with pytest.raises(AudioError, match="there is no file .*test-0"):
        evaluate(["mfcc"], test.path, measures=["similarity:cosine"], out=tmp_path / "out")


def test_what_is_too_short_for_a_frame_is_counted_and_listed_and_changes_no_number(tmp_path: Path) -> None:
    whole = write_corpus(tmp_path / "test.jsonl", 6)
    expected = evaluate(["mfcc"], whole.path, measures=["slowness:k50"], options=ALL[-1:], out=tmp_path / "whole")
    short = tmp_path / "audio" / "short.wav"
    soundfile.write(short, np.zeros(399), 16000)
    item = Item("click", short, duration=399 / 16000, sample_rate=16000, speaker="speaker 0")
    write_manifest(tmp_path / "with.jsonl", [*whole, item])
    found = evaluate(["mfcc"], tmp_path / "with.jsonl", measures=["slowness:k50"], options=ALL[-1:], out=tmp_path / "out")
    assert numbers(found) == numbers(expected)
    assert (tmp_path / "out" / "left-out.txt").read_text() == f"{tmp_path / 'with.jsonl'}: click: it lasts 0.0249 s, and a frame 0.025 s\n"
    assert {r.details["left_out"] for r in found} == {1}
    note = "1 recordings that last less than 0.025 s, as a frame does, are left out of all numbers but ABX errors, listed in"
    assert all(r.details["note"].startswith(note) for r in found)
    assert not any("cannot be read" in r.details["note"] for r in found)
    assert too_short(whole) == []
    (tmp_path / "audio" / "test-1.wav").unlink()  # both faults at once
    both = evaluate(["mfcc"], tmp_path / "with.jsonl", measures=["slowness:k50"], options=ALL[-1:], out=tmp_path / "both")
    assert [line.split(": ")[1] for line in (tmp_path / "both" / "left-out.txt").read_text().splitlines()] == ["test-1", "click"]
    assert {r.details["left_out"] for r in both} == {2}
