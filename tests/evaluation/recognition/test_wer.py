"""Error rates: sums over sums, by the edits of a plain table; blocks of speakers; the errors that are most frequent."""

import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.recognition.kept import KeptErrors
from foresay.evaluation.recognition.wer import Compared, _blocks, compare
from foresay.loading import load
from foresay.models.recognition.ctc import CTC, CTCSettings
from reference.tones import write_tones


def recognizer(symbols: tuple[str, ...] = ("<blank>", "|", "a", "b", "c", "d")) -> CTC:
    torch.manual_seed(0)
    return CTC(CTCSettings(symbols), load("logmel")).eval()


def test_rates_are_sums_over_sums_and_the_interval_draws_speakers(tmp_path: Path) -> None:
    manifest = Manifest.open(write_tones(tmp_path / "test.jsonl", 12, speakers=6))
    model = recognizer()
    pairs = compare(model, manifest, "cpu")
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


def test_few_speakers_are_not_drawn() -> None:
    pairs = [Compared(str(number), f"speaker {number % 4}", "a", "b") for number in range(8)]
    assert _blocks(pairs, [1] * 8, [2] * 8) == ([str(number) for number in range(8)], [1] * 8, [2] * 8)
    pairs = [Compared(str(number), f"speaker {number % 5}", "a", "b") for number in range(10)]
    assert _blocks(pairs, list(range(10)), [2] * 10) == ([f"speaker {n}" for n in range(5)], [5, 7, 9, 11, 13], [4] * 5)


def test_what_has_no_text_or_recognizes_none_is_refused(tmp_path: Path) -> None:
    manifest = Manifest.open(write_tones(tmp_path / "test.jsonl", 6))
    with pytest.raises(UserError, match="recognizes no text"):
        find_measure("wer:greedy")([Subject("mfcc", load("mfcc"), ("mfcc",))], Corpora(manifest))
    path = tmp_path / "test.jsonl"
    path.write_text(path.read_text().replace('"text"', '"label"'))
    with pytest.raises(UserError, match="has no texts to compare with"):
        compare(recognizer(), Manifest.open(path), "cpu")


def test_texts_without_a_word_are_refused(tmp_path: Path) -> None:
    path = write_tones(tmp_path / "test.jsonl", 6)
    path.write_text(re.sub(r'"text": "[^"]*"', '"text": "?!"', path.read_text()))
    with pytest.raises(UserError, match="hold no word"):
        compare(recognizer(), Manifest.open(path), "cpu")


def test_transcripts_are_kept_with_the_rate(tmp_path: Path) -> None:
    manifest = Manifest.open(write_tones(tmp_path / "test.jsonl", 6, speakers=3))
    model = recognizer()
    rows = find_measure("wer:greedy")([Subject("mine", model, ("emissions",))], Corpora(manifest, manifest))
    (row,) = [row for row in rows if row.arrays]
    kept = KeptErrors.of(row.arrays)
    assert kept is not None
    assert list(kept.pairs) == compare(model, manifest, "cpu")
    assert [sum(group.words for group in groups) for groups in kept.groups.values()] == [60] * 3
    assert row.value == pytest.approx(sum(group.errors for group in kept.groups["speaker"]) / 60)
    said = Counter(word for pair in kept.pairs for word in pair.reference.split())
    word, spoken, _, seen = row.details["frequently_wrong"][0]
    assert spoken == seen == said[word]


def test_texts_of_another_alphabet_are_not_compared(tmp_path: Path) -> None:
    manifest = Manifest.open(write_tones(tmp_path / "test.jsonl", 6))
    with pytest.raises(UserError, match="writes another alphabet"):
        compare(recognizer(("<blank>", "|", "w", "x", "y", "z")), manifest, "cpu")


def plain_distance(reference: list[str], hypothesis: list[str]) -> int:
    table = [[i + j if 0 in {i, j} else 0 for j in range(len(hypothesis) + 1)] for i in range(len(reference) + 1)]
    for i in range(1, len(reference) + 1):
        for j in range(1, len(hypothesis) + 1):
            same = table[i - 1][j - 1] + (reference[i - 1] != hypothesis[j - 1])
            table[i][j] = min(same, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1]
