"""Transcribed utterances: each in every epoch, whole, with its own text, in batches that are as full as they can be."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from foresay.corpora.batches import BatchLoader, plan_batches, plan_groups
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.transcripts import TranscriptPlan, _cuts
from foresay.corpora.plans.windows import DataSettings
from foresay.errors import UserError

RATE = 1000


def settings(**changed: object) -> DataSettings:
    return DataSettings(**{"sample_rate": RATE, "sampler": "transcripts", "seconds": 2.0, "longest": 1.0, "shortest": 0.05, **changed})


def write(folder: Path, lengths: list[int], untranscribed: tuple[int, ...] = ()) -> Manifest:
    """Recording i holds the number i / 1000 alone and says the word of its number."""
    lines = []
    for number, length in enumerate(lengths):
        soundfile.write(folder / f"{number}.wav", np.full(length, number / 1000, np.float32), RATE, subtype="FLOAT")
        line = {"id": f"{number:03}", "audio": f"{number}.wav", "duration": length / RATE, "sample_rate": RATE, "speaker": "s"}
        lines.append(line if number in untranscribed else line | {"text": f"number {number}"})
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Manifest.open(path)


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=60), most=st.integers(30, 200))
def test_batches_are_as_full_as_they_can_be(lengths: list[int], most: int) -> None:
    """Equal to putting one after the other into a batch until the next would be too much."""
    expected: list[list[int]] = [[0, 0]]
    for place in range(len(lengths)):
        begin = expected[-1][0]
        if (place + 1 - begin) * max(lengths[begin : place + 1]) > most:
            expected.append([place, place])
        expected[-1][1] = place + 1
    begin = len(lengths) - 1
    while begin and (len(lengths) - begin + 1) * max(lengths[begin - 1 :]) <= most:
        begin -= 1
    expected[-1] = [begin, len(lengths)]
    assert _cuts(np.array(lengths, dtype=np.int64), most).tolist() == expected


def test_an_epoch_has_every_utterance_whole_and_with_its_own_text(tmp_path: Path) -> None:
    lengths = [100 + 37 * n % 900 for n in range(40)]
    manifest = write(tmp_path, lengths)
    plan = plan_batches(manifest, settings(), seed=3)
    counts = Counter[int]()
    with BatchLoader(manifest, plan, workers=0) as loader:
        for update in loader.one_epoch(2):
            (batch,) = update.batches
            waveforms, sizes = batch.audio
            assert len(batch.ids) >= plan.fewest
            assert waveforms.numel() <= 2 * RATE
            assert batch.text is not None
            for row, text in enumerate(batch.text):
                number = int(text.removeprefix("number "))
                counts[number] += 1
                assert int(sizes[row]) == lengths[number]
                torch.testing.assert_close(waveforms[row, : lengths[number]], torch.full((lengths[number],), number / 1000))
                assert not waveforms[row, lengths[number] :].any()
    assert counts.keys() == set(range(40))
    assert counts.total() < 40 + 2 * RATE / 100  # the last batch has some a second time


def test_the_order_of_the_manifest_does_not_matter_and_epochs_differ(tmp_path: Path) -> None:
    lengths = [100 + 37 * n % 900 for n in range(40)]
    manifest = write(tmp_path, lengths)
    plan = TranscriptPlan(manifest, settings(), seed=3)
    again = TranscriptPlan(manifest, settings(), seed=3)
    batches = [plan.batch(0, step, 0).windows for step in range(plan.steps(0))]
    assert batches == [again.batch(0, step, 0).windows for step in range(again.steps(0))]
    assert {frozenset(batch) for batch in batches} != {frozenset(plan.batch(1, step, 0).windows) for step in range(plan.steps(1))}
    lines = manifest.path.read_text().splitlines()
    manifest.path.write_text("\n".join(reversed(lines)) + "\n")
    turned = TranscriptPlan(Manifest.open(manifest.path), settings(), seed=3)
    for step, batch in enumerate(batches):
        assert [39 - w.segments[0].item for w in turned.batch(0, step, 0).windows] == [w.segments[0].item for w in batch]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    manifest = write(tmp_path, [10, 20, 500, 600, 1500, 700, 800], untranscribed=(2,))
    plan = TranscriptPlan(manifest, settings(), seed=0)
    assert plan.notes == (
        '1 of 7 recordings have no text (the key "text" of the manifest)',
        "2 of 7 recordings are shorter than data.shortest = 0.05 s",
        "1 of 7 recordings are longer than data.longest = 1.0 s, and a transcript cannot be cropped",
    )
    assert {w.segments[0].item for step in range(plan.steps(0)) for w in plan.batch(0, step, 0).windows} == {3, 5, 6}


def test_what_cannot_be_planned_is_explained_and_the_way_out_works(tmp_path: Path) -> None:
    manifest = write(tmp_path, [300, 900], untranscribed=(0,))
    with pytest.raises(UserError, match=r"do not hold the longest utterance, 0.90 s: --set data.seconds=2"):
        TranscriptPlan(manifest, settings(seconds=0.5), seed=0)
    assert TranscriptPlan(manifest, settings(seconds=2), seed=0).fewest == 1
    with pytest.raises(UserError, match="nothing to learn from: 1 of 2 recordings have no text"):
        TranscriptPlan(manifest, settings(seconds=0.5, longest=0.5), seed=0)
    with pytest.raises(UserError, match="groups of 8 utterances together"):
        plan_batches(manifest, settings(), seed=0, group=8)
    with pytest.raises(ValueError, match="speaker_exponent"):
        settings(speaker_exponent=0.5)


def test_validation_has_every_utterance_too(tmp_path: Path) -> None:
    manifest = write(tmp_path, [100 + 10 * n for n in range(20)])
    plan = plan_groups(manifest, settings(), seed=0)
    assert plan.texts
    assert {w.segments[0].item for step in range(plan.steps(0)) for w in plan.batch(0, step, 0).windows} == set(range(20))


def test_texts_alone_are_batches_of_characters(tmp_path: Path) -> None:
    texts = ["a" * (1 + 7 * n % 30) for n in range(50)]
    lines = [json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate([*texts, "b" * 200, ""])]
    (tmp_path / "texts.jsonl").write_text("".join(lines))
    manifest = Manifest.open(tmp_path / "texts.jsonl")
    plan = plan_batches(manifest, settings(sampler="texts", characters=60), seed=0, modalities=())
    assert plan.notes == (
        '1 of 52 items have no text (the key "text" of the manifest)',
        (
            "1 of 52 items are longer than an update, data.characters = 60, and left out: --set data.characters=200 holds the longest, or "
            "write a sentence a line (of units: cut recordings into sentences)"
        ),
    )
    found = Counter[str]()
    with BatchLoader(manifest, plan, workers=0) as loader:
        for update in loader.one_epoch():
            (batch,) = update.batches
            assert batch.text is not None
            assert batch.waveforms is batch.lengths is None
            assert batch.text == tuple(texts[int(name)] for name in batch.ids)
            assert len(batch.text) >= plan.fewest == 2
            assert len(batch.text) * max(map(len, batch.text)) <= 60
            found.update(batch.ids)
    assert found.keys() == {str(n) for n in range(50)}
    with pytest.raises(UserError, match=r"a batch of 60 characters has 2 groups.*data.characters=120"):
        BatchLoader(manifest, plan, accumulate=4)
    BatchLoader(manifest, plan_batches(manifest, settings(sampler="texts", characters=120), seed=0), accumulate=4).close()
    with pytest.raises(UserError, match="nothing to learn from: 52 of 52 items have no phones"):
        plan_batches(manifest, settings(sampler="texts", transcript="phones"), seed=0)
