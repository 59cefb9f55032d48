"""Query by example on words that a layer knows exactly, and another one does not."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.evaluation.superb.matching import match
from foresay.evaluation.superb.query_by_example import QueryByExample, relevant
from foresay.results import Result
from foresay.statistics.term_detection import normalize_by_query, term_weighted_value
from reference.paired_levels import pairs_of, subject, write_clips

WORDS, HOLDERS, FRAMES = 6, 3, 8
KNOWN = {"valid": 0, "test": 0}
"""Which of a pair of levels is that of the word; the other one is drawn."""


def corpus(folder: Path, known: dict[str, int] = KNOWN, *, words: int = WORDS, seed: int = 0) -> Corpora:
    """Words of eight frames, other ones in valid and test, each in three documents between noise."""
    random = np.random.default_rng(seed)
    documents: dict[str, NDArray[np.int64]] = {}
    queries = {}
    for split, place in known.items():
        clips, lines = {}, []
        for number in range(words):
            word = random.integers(0, 8, FRAMES)
            clips[f"{split}-{number}"] = spoken(word, place, random)
            for holder in range(HOLDERS):
                name = f"{split}-document-{number}-{holder}"
                noise = random.integers(0, 8, (2, 5, 2))
                documents[name] = np.concatenate([noise[0], spoken(word, place, random), noise[1]])
                lines.append(f"{split}-{number} {name}\n")
        queries[split] = write_clips(folder / f"{split}-queries.jsonl", clips)
        (folder / f"{split}-relevant.txt").write_text("".join(lines))
    write_clips(folder / "documents.jsonl", documents)
    return Corpora(queries["test"], None, queries["valid"])


def spoken(word: NDArray[np.int64], place: int, random: np.random.Generator) -> NDArray[np.int64]:
    pairs = random.integers(0, 8, (len(word), 2))
    pairs[:, place] = word
    return pairs


def measured(corpora: Corpora, protocol: str = "tiny") -> dict[tuple[str, str], Result]:
    rows = find_measure(f"query_by_example:{protocol}")([subject()], corpora)
    return {(row.layer, row.metric): row for row in rows}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("qbe")


@pytest.fixture(scope="module")
def corpora(folder: Path) -> Corpora:
    return corpus(folder)


def test_a_layer_that_knows_the_words_finds_them_all_and_one_that_does_not_finds_none(corpora: Corpora) -> None:
    rows = measured(corpora)
    assert set(rows) == {(layer, metric) for layer in ("best layer", "first", "second") for metric in ("MTWV", "ATWV")}
    best = rows["best layer", "MTWV"]
    assert (best.value, best.low, best.high, best.headline, best.details["chosen"]) == (1.0, 1.0, 1.0, True, "first")
    assert rows["first", "MTWV"].value > 0.9
    assert rows["second", "MTWV"].value < 0.1
    assert best.details["grid"] == {layer: rows[layer, "MTWV"].details["valid"] for layer in ("first", "second")}
    assert best.details["grid"]["first"] == 1.0
    assert (best.details["layers"], best.details["queries"], best.details["documents"]) == (["first", "second"], WORDS, 2 * WORDS * HOLDERS)
    assert best.draws is not None
    assert (best.draws.what, best.draws.names) == ("queries", tuple(f"test-{number}" for number in range(WORDS)))


def test_the_layer_is_chosen_by_the_queries_of_valid(tmp_path: Path) -> None:
    rows = measured(corpus(tmp_path, {"valid": 1, "test": 0}))
    assert rows["best layer", "MTWV"].details["chosen"] == "second"
    assert rows["best layer", "MTWV"].value == rows["second", "MTWV"].value < 0.1
    assert rows["first", "MTWV"].value > 0.9


def test_equals_its_steps_one_by_one(folder: Path, corpora: Corpora) -> None:
    """False alarms cost little here, so that the values of both layers depend on all scores."""
    options = {"beta": 0.5, "threshold": 0.5, "distance": "cosine", "scaled": False}
    rows = {(row.layer, row.metric): row for row in find_measure("query_by_example:tiny", options)([subject()], corpora)}
    documents = Manifest.open(folder / "documents.jsonl")
    held = relevant(folder / "test-relevant.txt", corpora.test, documents)
    for place, layer in enumerate(("first", "second")):
        queries, searched = (
            [F.one_hot(pairs_of(manifest, n)[:, place], 8).float() for n in range(len(manifest))] for manifest in (corpora.test, documents)
        )
        frames = torch.cat([*queries, *searched])
        mean, deviation = frames.mean(0), frames.std(0)
        scaled = [[(clip - mean) / deviation for clip in clips] for clips in (queries, searched)]
        scores = normalize_by_query(match(*scaled, distance="cosine", scaled=False))
        expected = term_weighted_value(scores, held, 0.5, beta=0.5)
        for metric in ("MTWV", "ATWV"):
            assert rows[layer, metric].value == pytest.approx(expected[metric].value, abs=1e-9)
            assert 0.0 < rows[layer, metric].value <= 1.0


def test_the_interval_of_what_finds_nothing_holds_0(corpora: Corpora) -> None:
    row = measured(corpora)["second", "MTWV"]
    assert row.low is not None
    assert row.high is not None
    assert 0.0 <= row.low <= row.value <= row.high


def test_the_protocols_do_not_differ(corpora: Corpora) -> None:
    values = [{key: row.value for key, row in measured(corpora, protocol).items()} for protocol in ("superb", "clean", "tiny")]
    assert values[0] == values[1] == values[2]


def test_a_query_without_a_frame_finds_nothing(tmp_path: Path) -> None:
    whole = corpus(tmp_path)
    random = np.random.default_rng(1)
    clips = {name: random.integers(0, 8, (2, 2)) for name in ("test-0",)} | {f"late-{n}": random.integers(0, 8, (9, 2)) for n in range(2)}
    test = write_clips(tmp_path / "test-queries.jsonl", clips)
    lines = [f"{query} valid-document-0-0\n" for query in clips]
    (tmp_path / "test-relevant.txt").write_text("".join(lines))
    row = measured(Corpora(test, None, whole.valid))["first", "ATWV"]
    assert row.details["queries"] == 3
    assert row.value <= 2 / 3


def test_a_recording_that_was_left_out_may_stand_in_the_list(corpora: Corpora) -> None:
    without = Corpora(corpora.test.without([2]), None, corpora.valid)
    best = measured(without)["best layer", "MTWV"]
    assert best.value == 1.0
    assert best.draws is not None
    assert best.draws.names == ("test-0", "test-1", "test-3", "test-4", "test-5")


@pytest.mark.parametrize(
    "line, named",
    [
        ("test-99 test-document-0-0", "test-99"),
        ("test-0 nobody", "nobody"),
        ("valid-0 test-document-0-0", "test-queries.jsonl"),
        ("test-0 test-document-0-0 more", "QUERY_ID DOCUMENT_ID"),
        ("", "line 2"),
    ],
)
def test_what_a_list_names_must_be_there(tmp_path: Path, line: str, named: str) -> None:
    corpora = corpus(tmp_path, words=2)
    (tmp_path / "test-relevant.txt").write_text(f"test-0 test-document-0-0\n{line}\n")
    with pytest.raises(UserError, match="line 2") as error:
        measured(corpora)
    assert named in str(error.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    corpora = corpus(tmp_path, words=2)
    with pytest.raises(UserError, match="--valid-corpus"):
        measured(Corpora(corpora.test))
    with pytest.raises(UserError, match="--valid-corpus"):
        measured(Corpora(corpora.test, None, corpora.test))
    (tmp_path / "valid-relevant.txt").unlink()
    with pytest.raises(UserError, match=r"valid-relevant\.txt"):
        measured(corpora)
    (tmp_path / "documents.jsonl").unlink()
    with pytest.raises(UserError, match=r"documents\.jsonl"):
        measured(corpora)


def test_documents_in_blocks_are_the_same(corpora: Corpora, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {key: row.value for key, row in measured(corpora).items()}
    monkeypatch.setattr("foresay.evaluation.superb.query_by_example.BLOCK", 5)
    assert {key: row.value for key, row in measured(corpora).items()} == whole


def test_what_takes_no_audio_is_not_measured(corpora: Corpora) -> None:
    model = subject().model
    assert QueryByExample(QueryByExample.protocols["tiny"]).serves(model, corpora)
    model.modalities = ("image",)
    assert not QueryByExample(QueryByExample.protocols["tiny"]).serves(model, corpora)
