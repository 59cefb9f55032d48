"""sSIMI: are words near each other that people find alike? (the semantic task of ZeroSpeech 2021, arXiv:2011.11588)

    semantic/dev/gold.csv     filename, type, word, voice          recordings of words: synthetic, or cut from LibriSpeech
    semantic/dev/pairs.csv    type, dataset, word_1, word_2, similarity, relatedness            what people say of two words

    recording --> layer (T, D) --> pooled over time (D,) --> distance of two words     100 x Spearman's rank correlation with -people's

Of synthetic words the distances are those within a voice, of LibriSpeech's those between all recordings of both, 10 at most of each; the
distance of two words is their mean. People's score is `relatedness` or, where a row of the data set has none, `similarity`. It is a
measure of layers, of any model; nothing is learnt. `official` has what the published scorer does by default: the mean over time, and the
Euclidean distance; `cosine` the mean and the cosine. An interval draws pairs again.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from foresay.contracts import Extractor, FeatureExtractor
from foresay.corpora.manifest import Manifest
from foresay.corpora.reader import table
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.generation._pairs import find_recordings, gold_rows
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.results import FEWEST, Metric, Result
from foresay.statistics.intervals import ConfidenceInterval, draw_utterances
from foresay.statistics.rank_correlation import rank_correlation

GOLD = "semantic/dev/gold.csv"
PAIRS = "pairs.csv"
"""Beside it."""
CORRELATION = "rank correlation"
SYNTHETIC, LIBRISPEECH = "synthetic", "librispeech"
MOST = 10
"""Recordings of a word of LibriSpeech."""

Floats: TypeAlias = NDArray[np.float64]
Pooling: TypeAlias = Literal["mean", "min", "max", "sum", "last"]
POOLED: Mapping[Pooling, Callable[[Floats], Floats]] = {
    "mean": lambda frames: frames.mean(axis=0),
    "min": lambda frames: frames.min(axis=0),
    "max": lambda frames: frames.max(axis=0),
    "sum": lambda frames: frames.sum(axis=0),
    "last": lambda frames: frames[-1],
}


@dataclass(frozen=True)
class WordSimilarityProtocol:
    """How words are compared."""

    name: str
    pooling: Pooling
    distance: Literal["euclidean", "cosine", "cityblock", "chebyshev"]
    gold: str = GOLD
    """Its path from the folder of the manifest."""


class SpokenWord(NamedTuple):
    """A recording of a word."""

    name: str
    voice: str


class WordPair(NamedTuple):
    """Two words and what people say of them."""

    words: tuple[str, str]
    score: float


Tokens: TypeAlias = Mapping[str, Mapping[str, Sequence[SpokenWord]]]
"""Type -> word -> its recordings."""
Pairs: TypeAlias = Mapping[tuple[str, str], Sequence[WordPair]]
"""Type and data set -> pairs."""


class SSimi(Measure[WordSimilarityProtocol]):
    """Rank correlation of distances with what people say."""

    name = "ssimi"
    beside = ("*/*/gold.csv", "*/*/pairs.csv")
    metrics: ClassVar[Mapping[str, Metric]] = {
        f"{CORRELATION}, {kind}": Metric("higher", headline=True) for kind in (SYNTHETIC, LIBRISPEECH)
    }
    protocols: ClassVar[Mapping[str, WordSimilarityProtocol]] = {
        "official": WordSimilarityProtocol("official", "mean", "euclidean"),
        "cosine": WordSimilarityProtocol("cosine", "mean", "cosine"),
    }

    def __init__(self, protocol: WordSimilarityProtocol) -> None:
        super().__init__(protocol)
        self.files = [Path(protocol.gold), Path(protocol.gold).with_name(PAIRS)] if Path(protocol.gold).is_absolute() else []

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it takes audio."""
        return isinstance(model, FeatureExtractor) and "audio" in model.modalities

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Compare the words of `corpora.test`, whose lists lie beside it.

        Raises:
            UserError: a list is not there, or there are no recordings of the words of a pair.
        """
        test = corpora.test
        tokens, pairs = read_words(test, self.protocol.gold)
        names = {token.name for own in tokens.values() for some in own.values() for token in some}
        places = find_recordings(test, names, self.protocol.gold)
        if lacking := sorted(names - places.keys()):
            msg = f"{test.name} lacks {len(lacking):,} recordings of {self.protocol.gold}, such as {lacking[0]!r}: complete the data set"
            raise UserError(msg)
        return [row for one in with_untrained(subjects) for row in self._rows(one, test, (tokens, pairs), places, seed, device)]

    def _rows(
        self, subject: Subject, test: Manifest, words: tuple[Tokens, Pairs], places: Mapping[str, int], seed: int, device: str
    ) -> Iterator[Result]:
        started = perf_counter()
        tokens, pairs = words
        pool = POOLED[self.protocol.pooling]
        pooled: dict[str, dict[int, Floats]] = {layer: {} for layer in subject.layers}
        for recording in encode_recordings(subject, test, device, set(places.values())):
            for layer, frames in recording.features.items():
                if len(frames):
                    pooled[layer][recording.index] = pool(frames.double().cpu().numpy())
        if short := [name for name, place in places.items() if place not in pooled[subject.layers[0]]]:
            msg = f"{test.name}: {len(short):,} recordings of words last less than a frame, such as {short[0]!r}: is the data set whole?"
            raise UserError(msg)
        for layer in subject.layers:
            vectors = {name: pooled[layer][place] for name, place in places.items()}
            for kind in (SYNTHETIC, LIBRISPEECH):
                parts = {name: own for (of, name), own in pairs.items() if of == kind}
                if not parts:
                    continue
                found = {name: self._compare(own, tokens[kind], vectors, kind) for name, own in parts.items()}
                drawn = [f"{name}/{'-'.join(pair.words)}" for name, own in parts.items() for pair in own]
                where = Where("test", test, seed, started, Population("pairs", drawn))
                values = {name: 100 * float(rank_correlation(*both)[0]) for name, both in found.items()}
                counts = {name: len(own) for name, own in parts.items()}
                yield self.row(
                    subject,
                    layer,
                    f"{CORRELATION}, {kind}",
                    float(np.mean(list(values.values()))),
                    _interval(list(found.values()), seed),
                    where,
                    data_sets=values,
                    pairs=counts,
                )

    def _compare(
        self, pairs: Sequence[WordPair], tokens: Mapping[str, Sequence[SpokenWord]], vectors: Mapping[str, Floats], kind: str
    ) -> tuple[Floats, Floats]:
        """Return how unlike people find the words of each pair, and their distance: (N,), (N,)."""
        both = [(tokens[pair.words[0]], tokens[pair.words[1]]) for pair in pairs]
        distances = [_distance(one, other, vectors, kind, self.protocol.distance) for one, other in both]
        return -np.array([pair.score for pair in pairs]), np.array(distances)


def read_words(manifest: Manifest, gold: str) -> tuple[Tokens, Pairs]:
    """Read the recordings of words, and what people say of pairs of them.

    Raises:
        UserError: a list is not there or lacks a column; a pair has no score, or a word of it no recording.
    """
    _, rows = gold_rows(manifest, gold, "type", "word", "voice")
    tokens: defaultdict[str, defaultdict[str, list[SpokenWord]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        tokens[row["type"]][row["word"]].append(SpokenWord(row["filename"], row["voice"]))
    path = manifest.path.parent / Path(gold).with_name(PAIRS)
    scored: defaultdict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for pair in table(path, "type", "dataset", "word_1", "word_2", "similarity", "relatedness"):
        if pair["type"] not in {SYNTHETIC, LIBRISPEECH}:
            msg = f"{path}: the type of {pair['word_1']} and {pair['word_2']} is {pair['type']!r}, and must be {SYNTHETIC} or {LIBRISPEECH}"
            raise UserError(msg)
        scored[pair["type"], pair["dataset"]].append(pair)
        if lacking := [pair[key] for key in ("word_1", "word_2") if pair[key] not in tokens[pair["type"]]]:
            msg = f"{path}: {lacking[0]!r} ({pair['type']}) has no recording in {Path(gold).name} beside it: are both of one data set?"
            raise UserError(msg)
        voices = [{token.voice for token in tokens[pair["type"]][pair[key]]} for key in ("word_1", "word_2")]
        if pair["type"] == SYNTHETIC and not voices[0] & voices[1]:
            msg = f"{path}: no voice says both {pair['word_1']!r} and {pair['word_2']!r}, whose distance is that within a voice"
            raise UserError(msg)
    return tokens, {of: [_scored(row, _column(own), path) for row in own] for of, own in scored.items()}


def _column(rows: Sequence[Mapping[str, str]]) -> str:
    """Name the column that people's scores stand in: `relatedness`, unless a row has none there."""
    return "relatedness" if all(row["relatedness"].strip() for row in rows) else "similarity"


def _scored(row: Mapping[str, str], column: str, path: Path) -> WordPair:
    try:
        score = float(row[column])
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        msg = f"{path}: the {column} of {row['word_1']} and {row['word_2']} ({row['dataset']}) is {row[column]!r}, and must be a number"
        raise UserError(msg)
    return WordPair((row["word_1"], row["word_2"]), score)


def _distance(one: Sequence[SpokenWord], other: Sequence[SpokenWord], vectors: Mapping[str, Floats], kind: str, metric: str) -> float:
    """Return the mean distance of recordings of two words: within each voice, or of all, ten at most of each."""
    if kind == LIBRISPEECH:
        both = [np.stack([vectors[token.name] for token in some[:MOST]]) for some in (one, other)]
        return float(cdist(both[0], both[1], metric).mean())
    pairs = [(vectors[a.name], vectors[b.name]) for a in one for b in other if a.voice == b.voice]
    return float(np.mean([cdist(a[None], b[None], metric)[0, 0] for a, b in pairs]))


def _interval(data_sets: Sequence[tuple[Floats, Floats]], seed: int) -> ConfidenceInterval:
    """Draw pairs again, those of each data set apart."""
    sizes = [len(one) for one, _ in data_sets]
    if min(sizes) < FEWEST:
        return ConfidenceInterval((), ())
    draws = [100 * rank_correlation(*both, draw_utterances(size, seed)) for both, size in zip(data_sets, sizes, strict=True)]
    return ConfidenceInterval(np.mean(draws, axis=0), np.arange(sum(sizes)))
