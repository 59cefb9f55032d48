"""Error rates: sums over sums, by the edits of a plain table; blocks of speakers; the errors that are most frequent."""

import dataclasses
import re
from collections import Counter
from pathlib import Path
from string import ascii_lowercase
from types import SimpleNamespace

import pytest
import torch

from foresay.corpora.item import Interval
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.recognition import _error_rate
from foresay.evaluation.recognition._error_rate import ErrorRate
from foresay.evaluation.recognition.kept import KeptErrors
from foresay.loading import load
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.statistics.word_errors import Compared
from reference.tones import write_tones


def recognizer(symbols: tuple[str, ...] = ("<blank>", "|", "a", "b", "c", "d")) -> CTC:
    torch.manual_seed(0)
    return CTC(CTCSettings(symbols), load("logmel")).eval()


def compare(model: CTC, manifest: Manifest) -> list[Compared]:
    measure = find_measure("wer:greedy")
    assert isinstance(measure, ErrorRate)
    return measure.compare(Decoder(model, SearchSettings()), manifest, "cpu")


def test_rates_are_sums_over_sums_and_the_interval_draws_speakers(tmp_path: Path) -> None:
    manifest = Manifest.open(write_tones(tmp_path / "test.jsonl", 12, speakers=6))
    model = recognizer()
    pairs = compare(model, manifest)
    rows = {row.metric: row for row in find_measure("wer:greedy")([Subject("mine", model, ("emissions",))], Corpora(manifest))}
    words = sum(len(pair.reference.split()) for pair in pairs)
    wrong = sum(plain_distance(pair.reference.split(), pair.hypothesis.split()) for pair in pairs)
    assert rows["word error rate"].value == pytest.approx(wrong / words)
    letters = sum(plain_distance(list(pair.reference), list(pair.hypothesis)) for pair in pairs)
    assert rows["character error rate"].value == pytest.approx(letters / sum(len(pair.reference) for pair in pairs))
    parts = [rows[f"{kind} error rate"].value for kind in ("substitution", "deletion", "insertion")]
    assert sum(parts) == pytest.approx(wrong / words)
    assert rows["word error rate"].details["words"] == words
    drawn = rows["word error rate"].draws
    assert drawn is not None
    assert (drawn.what, len(drawn.names)) == ("speakers", 6)


def test_what_has_no_text_or_recognizes_none_is_refused(tmp_path: Path) -> None:
    manifest = Manifest.open(write_tones(tmp_path / "test.jsonl", 6))
    with pytest.raises(UserError, match="recognizes no text"):
        find_measure("wer:greedy")([Subject("mfcc", load("mfcc"), ("mfcc",))], Corpora(manifest))
    path = tmp_path / "test.jsonl"
    path.write_text(path.read_text().replace('"text"', '"label"'))
    with pytest.raises(UserError, match="has no texts to compare with"):
        compare(recognizer(), Manifest.open(path))


def test_texts_without_a_word_are_refused(tmp_path: Path) -> None:
    path = write_tones(tmp_path / "test.jsonl", 6)
    path.write_text(re.sub(r'"text": "[^"]*"', '"text": "?!"', path.read_text()))
    with pytest.raises(UserError, match="hold no word"):
        compare(recognizer(), Manifest.open(path))


def test_a_text_that_cannot_be_normalized_is_named(tmp_path: Path) -> None:
    path = write_tones(tmp_path / "test.jsonl", 6)
    path.write_text(re.sub(r'("id": "test-3".*"text": )"[^"]*"', r'\1"a 7 b"', path.read_text()))
    with pytest.raises(UserError, match=r"the transcript of test-3 cannot be compared: .*'7' \(DIGIT SEVEN\)"):
        compare(recognizer(), Manifest.open(path))


def test_transcripts_are_kept_with_the_rate(tmp_path: Path) -> None:
    manifest = Manifest.open(write_tones(tmp_path / "test.jsonl", 6, speakers=3))
    model = recognizer()
    rows = find_measure("wer:greedy")([Subject("mine", model, ("emissions",))], Corpora(manifest, manifest))
    (row,) = [row for row in rows if row.arrays]
    kept = KeptErrors.of(row.arrays)
    assert kept is not None
    assert list(kept.pairs) == compare(model, manifest)
    assert [sum(group.words for group in groups) for groups in kept.groups.values()] == [60] * 3
    assert row.value == pytest.approx(sum(group.errors for group in kept.groups["speaker"]) / 60)
    said = Counter(word for pair in kept.pairs for word in pair.reference.split())
    word, spoken, _, seen = row.details["frequently_wrong"][0]
    assert spoken == seen == said[word]


def test_texts_of_another_alphabet_are_not_compared(tmp_path: Path) -> None:
    manifest = Manifest.open(write_tones(tmp_path / "test.jsonl", 6))
    with pytest.raises(UserError, match="writes another alphabet"):
        compare(recognizer(("<blank>", "|", "w", "x", "y", "z")), manifest)


def plain_distance(reference: list[str], hypothesis: list[str]) -> int:
    table = [[i + j if 0 in {i, j} else 0 for j in range(len(hypothesis) + 1)] for i in range(len(reference) + 1)]
    for i in range(1, len(reference) + 1):
        for j in range(1, len(hypothesis) + 1):
            same = table[i - 1][j - 1] + (reference[i - 1] != hypothesis[j - 1])
            table[i][j] = min(same, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1]


def test_phones_are_compared_with_phones(tmp_path: Path) -> None:
    items = list(Manifest.open(write_tones(tmp_path / "test.jsonl", 6)))
    phones = [(0.1 * n, 0.1 * n + 0.1, letter) for n, letter in enumerate("dcba")]
    items[0] = dataclasses.replace(items[0], phones=tuple(Interval(*phone) for phone in phones))
    write_manifest(tmp_path / "phones.jsonl", items)
    manifest = Manifest.open(tmp_path / "phones.jsonl")
    torch.manual_seed(0)
    model = CTC(CTCSettings(("<blank>", "a", "b", "c", "d"), units="phones"), load("logmel")).eval()
    measure = find_measure("per:greedy")
    rows = {row.metric: row for row in measure([Subject("mine", model, ("emissions",))], Corpora(manifest))}
    pairs = measure.compare(Decoder(model, SearchSettings()), manifest, "cpu")  # type: ignore[attr-defined]
    assert pairs[0].reference == "d c b a"
    assert pairs[1].reference == items[1].text
    wrong = sum(plain_distance(pair.reference.split(), pair.hypothesis.split()) for pair in pairs)
    assert rows["phone error rate"].value == pytest.approx(wrong / (4 + 5 * 10))
    assert "character error rate" not in rows
    with pytest.raises(UserError, match="the recognizer writes letters.*per:espeak"):
        measure([Subject("letters", recognizer(), ("emissions",))], Corpora(manifest))


def test_texts_are_pronounced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the night", "their loch", "a cat"]
    tones = Manifest.open(write_tones(tmp_path / "tones.jsonl", 3))
    items = [dataclasses.replace(item, text=text.capitalize()) for item, text in zip(tones, texts, strict=True)]
    write_manifest(tmp_path / "test.jsonl", items)
    manifest = Manifest.open(tmp_path / "test.jsonl")
    written = [SimpleNamespace(id=item.id, text=text) for item, text in zip(items, ["the knight", "there lock", ""], strict=True)]
    monkeypatch.setattr(_error_rate, "transcribed", lambda *_: written)
    model, measure = recognizer(("<blank>", "|", *ascii_lowercase)), find_measure("per:espeak")
    rows = {row.metric: row for row in measure([Subject("mine", model, ("emissions",))], Corpora(manifest, manifest))}
    pairs = measure.compare(Decoder(model, SearchSettings()), manifest, "cpu")  # type: ignore[attr-defined]
    assert pairs[0].reference == pairs[0].hypothesis == "dh ax n ay t"
    assert pairs[2].hypothesis == ""
    counts = [len(pair.reference.split()) for pair in pairs]
    assert rows["phone error rate"].value == pytest.approx((1 + counts[2]) / sum(counts))  # loch and lock differ in a phone
    assert rows["deletion error rate"].value == pytest.approx(counts[2] / sum(counts))
    assert "frequency" not in KeptErrors.of(rows["phone error rate"].arrays).groups  # of phones nobody counted how often they were learnt
    phones = CTC(CTCSettings(("<blank>", "dh", "ax"), units="phones"), load("logmel")).eval()
    with pytest.raises(UserError, match="the recognizer writes phones, and per:espeak is of another kind: measure per:greedy"):
        measure([Subject("phones", phones, ("emissions",))], Corpora(manifest))
