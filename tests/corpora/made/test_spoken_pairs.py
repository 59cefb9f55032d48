"""Pairs of words and sentences: as long, as likely by phones, of the same words, and in the published layout."""

import csv
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from foresay.audio import espeak
from foresay.corpora.generated import MadeCorpus
from foresay.corpora.made.pairs.non_words import MARKS, draw_non_words
from foresay.corpora.made.pairs.ungrammatical import SUBTYPES, draw_sentence_pairs
from foresay.corpora.made.sentences import draw_sentences, word_frequencies
from foresay.corpora.made.spoken_pairs import ACCENT, SpokenPairs
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.measure import find_measure

WORDS = {"lexical": ("id", "voice"), "syntactic": ("type", "subtype", "id", "voice")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeCorpus:
    return SpokenPairs(seed=3, words=6, sentences=6, voices=1).make(tmp_path_factory.mktemp("made") / "pairs")


@pytest.fixture(scope="module")
def lexicon() -> dict[str, tuple[str, ...]]:
    words = sorted(word_frequencies())
    return dict(zip(words, espeak.phonemes(words, ACCENT), strict=True))


@pytest.fixture(scope="module")
def words(lexicon: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Some of those that are long enough."""
    return {word: own for word, own in list(lexicon.items())[::2] if len(own) >= 4}


def plain(phonemes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(phoneme.lstrip(MARKS) for phoneme in phonemes)


def rows(made: MadeCorpus, part: str) -> list[dict[str, str]]:
    with (made.manifests["all"].parent / part / "dev/gold.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_frequencies_are_those_of_sentences() -> None:
    count = 1000
    texts = [text.lower().rstrip(".").replace(",", "") for text in draw_sentences(count, np.random.default_rng(0))]
    drawn = Counter(word for text in texts for word in text.split())
    expected = word_frequencies()
    for word in ("found", "slowly", "every", "could"):
        assert drawn[word] / count == pytest.approx(expected[word], abs=5 * np.sqrt(expected[word] / count))
    assert expected["should"] == pytest.approx(1 / 15)
    assert expected["could"] == pytest.approx(1 / 15)
    assert expected["measure"] == pytest.approx(1 / 15 + expected["book"])  # it is a verb and a noun


def test_the_engine_spells_words_and_speaks_what_is_spelled() -> None:
    assert espeak.phonemes(["picture", "boat"], "en-US") == [("p", "'I", "k", "tS", "3"), ("b", "'oU", "t")]
    voice = {"accent": "en-US", "timbre": "m1", "rate": 170, "pitch": 50, "melody": 50}
    by_phonemes, marks = espeak.synthesize(espeak.in_brackets(["p", "'I", "k", "tS", "3"]), **voice)
    by_text, expected = espeak.synthesize("picture", **voice)
    assert [mark.phone for mark in marks] == [mark.phone for mark in expected]
    assert np.array_equal(by_phonemes, by_text)
    assert [mark.phone for mark in espeak.synthesize(espeak.in_brackets(["t", "S", "'i:"]), **voice)[1]][:2] == ["t", "ʃ"]


def test_non_words_are_as_long_no_words_and_sound_as_words_do(
    lexicon: dict[str, tuple[str, ...]], words: dict[str, tuple[str, ...]]
) -> None:
    found = draw_non_words(words, lexicon, word_frequencies(), np.random.default_rng(0))
    assert found.keys() == words.keys()
    known = {plain(own) for own in lexicon.values()}
    assert not known & {plain(own) for own in found.values()}
    assert len({plain(own) for own in found.values()}) == len(found)
    pairs = {pair for own in lexicon.values() for pair in itertools.pairwise(("#", *plain(own), "#"))}
    lawless = 0
    for word, own in found.items():
        exchanged = [place for place, (a, b) in enumerate(zip(plain(own), plain(words[word]), strict=True)) if a != b]
        assert len(exchanged) == max(2, round(len(own) / 3))
        assert all((own[place][0] == "'") == (words[word][place][0] == "'") for place in range(len(own)))
        lawless += not set(itertools.pairwise(("#", *plain(own), "#"))) <= pairs
    assert lawless < 0.05 * len(found)


def test_what_counts_phonemes_cannot_find_the_words(lexicon: dict[str, tuple[str, ...]], words: dict[str, tuple[str, ...]]) -> None:
    """The counts are made anew here, of sentences: neither unigrams nor bigrams find the word in much more than half of the pairs."""
    found = draw_non_words(words, lexicon, word_frequencies(), np.random.default_rng(1))
    one, two, before = Counter[str](), Counter[tuple[str, str]](), Counter[str]()
    for word, share in word_frequencies().items():
        for a, b in itertools.pairwise(("#", *plain(lexicon[word]), "#")):
            two[a, b] += share
            before[a] += share
            one[b] += share
    wins = np.zeros(2)
    for word, own in found.items():
        scores = [
            (
                np.mean([np.log(one[phoneme] + 0.01) for phoneme in plain(member)]),
                np.mean([np.log((two[pair] + 0.01) / (before[pair[0]] + 0.4)) for pair in itertools.pairwise(("#", *plain(member), "#"))]),
            )
            for member in (words[word], own)
        ]
        wins += np.array(scores[0]) > np.array(scores[1])
    assert (np.abs(wins / len(found) - 0.5) < 0.15).all()


def test_ungrammatical_sentences_have_the_same_words() -> None:
    pairs = draw_sentence_pairs(60, np.random.default_rng(0))
    assert Counter(pair.subtype for pair in pairs) == dict.fromkeys(SUBTYPES, 10)
    assert len({pair.right for pair in pairs}) == 60
    for pair in pairs:
        assert pair.right != pair.wrong
        assert pair.type == SUBTYPES[pair.subtype][0]
        assert sorted(pair.right.lower().replace(".", "")) == sorted(pair.wrong.lower().replace(".", ""))
        words = [sorted(text.lower().rstrip(".").replace(",", "").split()) for text in (pair.right, pair.wrong)]
        assert words[0] == words[1] or pair.subtype == "number"


def test_what_is_made_is_in_the_published_layout(made: MadeCorpus) -> None:
    manifest = Manifest.open(made.manifests["all"])
    assert set(made.manifests) == {"lexical", "syntactic", "all"}
    for part, by in WORDS.items():
        table = rows(made, part)
        assert {f"{part}/dev/{row['filename']}" for row in table} == set(Manifest.open(made.manifests[part]).ids)
        pairs = Counter(tuple(row[column] for column in by) for row in table)
        assert set(pairs.values()) == {2}
        assert len(pairs) == 6
        assert {row["correct"] for row in table} == {"0", "1"}
    assert len(manifest) == 24
    assert all((manifest[0].audio or Path()).is_relative_to(made.manifests["all"].parent / "lexical/dev") for _ in range(1))


def test_the_measures_find_the_pairs(made: MadeCorpus) -> None:
    for name in ("swuggy", "sblimp"):
        for protocol in ("official", "repaired"):
            found = find_measure(f"{name}:{protocol}")._find(Manifest.open(made.manifests["all"]))
            assert (len(found.pairs), found.left_out) == (6, 0)
    strangers = [
        pair for pair in find_measure("swuggy:repaired").pairs(Manifest.open(made.manifests["all"])) if pair.kinds["frequency"] == "oov"
    ]
    assert len(strangers) == 1


def test_both_members_are_said_in_one_mood(made: MadeCorpus) -> None:
    items = {item.id.rpartition("/")[2]: item for item in Manifest.open(made.manifests["lexical"])}
    for first, second in itertools.pairwise(rows(made, "lexical")):
        if first["id"] == second["id"]:
            spoken = [items[row["filename"]] for row in (first, second)]
            assert [item.text is None for item in spoken] == [row["correct"] == "0" for row in (first, second)]
            assert [len(item.phones or ()) - 2 for item in spoken] == [int(first["length"])] * 2
            assert abs(spoken[0].duration - spoken[1].duration) < 0.3


def test_it_is_made_once(made: MadeCorpus) -> None:
    folder = made.manifests["all"].parent
    again = SpokenPairs(seed=3, words=6, sentences=6, voices=1).make(folder)
    assert again.reused


@pytest.mark.parametrize("options", [{"words": 5}, {"words": 10_000}, {"sentences": 1}, {"voices": 5}, {"voices": 0}, {"seed": -1}])
def test_options_that_make_no_sense_are_refused(options: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="words|fewer"):
        SpokenPairs(**options).make(tmp_path / "pairs")
