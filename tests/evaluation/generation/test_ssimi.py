"""sSIMI of words whose vectors are known."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.generation.ssimi import CORRELATION, MOST, POOLED, SSimi, read_words
from foresay.evaluation.measure import Corpora, find_measure
from foresay.results import Result
from reference.toy_token_model import HOP, Levels
from reference.word_loops import correlation

WORDS = tuple("abcdefg")
PAIRS = [(a, b) for a in WORDS for b in WORDS if a < b]


def level(word: str, take: int) -> float:
    """What a recording of a word has in it; the eleventh is another word."""
    if take == MOST:
        return 1 - level(word, 0)
    return 0.05 + 0.12 * WORDS.index(word) ** 1.1 / 1.1 + 0.01 * take


def human(one: str, other: str) -> float:
    """What people say of two words: nearly how near they are."""
    return 10 - abs(WORDS.index(one) - WORDS.index(other)) + 3 * ((WORDS.index(one) * 7 + WORDS.index(other)) % 3)


@pytest.fixture
def words(tmp_path: Path) -> Manifest:
    """Every word by two voices (synthetic), and 11 times (LibriSpeech); one data set of similarity, one of relatedness."""
    items, rows = [], []
    for kind, count in (("synthetic", 2), ("librispeech", 11)):
        for word in WORDS:
            for take in range(count):
                name = f"{kind[:3]}{word}{take}"
                path = tmp_path / "semantic/dev" / kind / f"{name}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, np.full(4 * HOP, level(word, take)), 16_000, subtype="FLOAT")
                items.append(Item(f"semantic/dev/{kind}/{name}", path, duration=4 * HOP / 16_000, sample_rate=16_000))
                rows.append((name, kind, word, f"v{take}" if kind == "synthetic" else ""))
    scored = [
        (kind, name, a, b, human(a, b) if name == "sim" else "", human(b, a) if name == "rel" else "")
        for kind in ("synthetic", "librispeech")
        for name in ("sim", "rel")
        for a, b in PAIRS
    ]
    write(tmp_path / "semantic/dev/gold.csv", ("filename", "type", "word", "voice"), rows)
    write(tmp_path / "semantic/dev/pairs.csv", ("type", "dataset", "word_1", "word_2", "similarity", "relatedness"), scored)
    write_manifest(tmp_path / "manifest.jsonl", items)
    return Manifest.open(tmp_path / "manifest.jsonl")


def write(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def measured(words: Manifest, measure: SSimi | None = None) -> dict[str, Result]:
    subject = Subject("levels", Levels(), ("level",))
    return {row.metric: row for row in (measure or find_measure("ssimi:official"))([subject], Corpora(words))}


@pytest.mark.parametrize("kind", ["synthetic", "librispeech"])
def test_it_is_what_its_definition_says(words: Manifest, kind: str) -> None:
    takes = 2 if kind == "synthetic" else 11
    tokens = {word: [(f"v{take}", [level(word, take)]) for take in range(takes)] for word in WORDS}
    row = measured(words)[f"{CORRELATION}, {kind}"]
    expected = {
        name: correlation([(a, b, human(a, b) if name == "sim" else human(b, a)) for a, b in PAIRS], tokens, voices=kind == "synthetic")
        for name in ("sim", "rel")
    }
    assert row.details["data_sets"] == pytest.approx(expected, abs=1e-3)
    assert row.value == pytest.approx(np.mean(list(expected.values())), abs=1e-3)
    assert row.details["pairs"] == {"sim": len(PAIRS), "rel": len(PAIRS)}
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.value < row.high


def test_how_time_is_pooled() -> None:
    frames = np.array([[1.0, 5.0], [3.0, 4.0], [2.0, 9.0]])
    pooled = {name: pool(frames).tolist() for name, pool in POOLED.items()}
    assert pooled == {"mean": [2.0, 6.0], "min": [1.0, 4.0], "max": [3.0, 9.0], "sum": [6.0, 18.0], "last": [2.0, 9.0]}


def test_how_time_is_pooled_and_what_the_distance_is(words: Manifest) -> None:
    official = measured(words)
    for pooling in ("min", "max", "last", "sum"):  # a recording is one level, and all are as long
        measure = find_measure("ssimi:official", {"pooling": pooling})
        assert {metric: row.value for metric, row in measured(words, measure).items()} == {m: r.value for m, r in official.items()}
    assert all(row.value == 0.0 for row in measured(words, find_measure("ssimi:cosine")).values())  # positive numbers have one direction


@pytest.mark.parametrize(
    "file, old, new, message",
    [
        ("pairs.csv", "synthetic,sim,a,b", "synthetic,sim,a,zebra", "'zebra' .synthetic. has no recording in gold.csv"),
        ("pairs.csv", "sim,a,b,12,", "sim,a,b,near,", "similarity of a and b .sim. is 'near'"),
        ("pairs.csv", "sim,a,b,12,", "sim,a,b,nan,", "similarity of a and b .sim. is 'nan'"),
        ("pairs.csv", "synthetic,sim,a,b", "Synthetic,sim,a,b", "the type of a and b is 'Synthetic', and must be synthetic or librispeech"),
        ("gold.csv", "filename,type", "file,type", "has no column filename"),
        (
            "gold.csv",
            "syna0,synthetic,a,v0\r\nsyna1,synthetic,a,v1",
            "syna0,synthetic,a,x\r\nsyna1,synthetic,a,y",
            "no voice says both 'a' and 'b'",
        ),
        ("gold.csv", "syna0,", "lost,", "lacks 1 recordings of semantic/dev/gold.csv, such as 'lost'"),
    ],
)
def test_lists_that_do_not_fit_are_refused(words: Manifest, file: str, old: str, new: str, message: str) -> None:
    path = words.path.parent / "semantic/dev" / file
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new).encode())
    with pytest.raises(UserError, match=message):
        measured(words)


def test_relatedness_counts_unless_a_row_has_none(words: Manifest) -> None:
    path = words.path.parent / "semantic/dev/pairs.csv"
    path.write_text(path.read_text().replace("synthetic,sim,a,b,12,", "synthetic,sim,a,b,12,1"))
    _, pairs = read_words(words, "semantic/dev/gold.csv")
    assert [pair.score for pair in pairs["synthetic", "sim"]][:2] == [human("a", "b"), human("a", "c")]
    assert [pair.score for pair in pairs["synthetic", "rel"]][:2] == [human("b", "a"), human("c", "a")]
