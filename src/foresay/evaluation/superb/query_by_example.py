"""SUPERB query by example: which recordings hold a word that somebody else says? (QUESST 2014, English; nothing is learnt)

    queries, documents --> each layer, each of its features with mean 0 and variance 1 over all frames --> matching (`matching.py`)
    scores (Q, N), those of a query with mean 0 and variance 1 --> term weighted value: on valid of each layer, on test of the best one

`best layer` is the one of the largest MTWV on the validation queries, as in the reference code: the protocols do not differ. Features are
standardized over the queries of a split and all documents. Queries that no document holds do not count.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay.contracts import Extractor, FeatureExtractor
from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.evaluation.superb._task import BESIDE, Stores
from foresay.evaluation.superb.features import CorpusFeatures
from foresay.evaluation.superb.matching import Distance, FeatureMoments, match
from foresay.files import read_text
from foresay.results import Metric, Result
from foresay.settings import require_positive
from foresay.statistics.estimates import Estimate
from foresay.statistics.intervals import ConfidenceInterval
from foresay.statistics.term_detection import QUESST14_BETA, QUESST14_THRESHOLD, normalize_by_query, term_weighted_value

DOCUMENTS = "documents.jsonl"
"""Beside the queries."""
BEST = "best layer"
MAXIMUM, ACTUAL = "MTWV", "ATWV"
BLOCK = 64
"""Documents held at once."""


@dataclass(frozen=True)
class QueryProtocol:
    """How a query is matched, and what false alarms cost."""

    name: str
    distance: Distance = "cosine_exp"
    scaled: bool = True
    """Whether the distances of a frame of the query from those of a document run from 0 to 1."""
    beta: float = QUESST14_BETA
    """The price of false alarms."""
    threshold: float = QUESST14_THRESHOLD
    """Of ATWV, in standard deviations of a query's scores."""

    def __post_init__(self) -> None:
        require_positive(self, "beta")


class QueryByExample(Measure[QueryProtocol]):
    """Term weighted value of the best layer, and of each."""

    name = "query_by_example"
    by_layer = False
    joint = True
    beside = BESIDE
    metrics: ClassVar = {MAXIMUM: Metric("higher", headline=True), ACTUAL: Metric("higher")}
    protocols: ClassVar = {name: QueryProtocol(name) for name in ("superb", "clean", "tiny")}
    store: Stores | None = None
    """Where features are kept, for several tasks; None: this one alone."""

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it takes audio."""
        return isinstance(model, FeatureExtractor) and "audio" in model.modalities

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Choose a layer by the queries `corpora.valid`, test by `corpora.test`; documents and what is relevant lie beside the latter.

        Raises:
            UserError: there are no queries for validation, a list is missing or names what there is not.
        """
        if corpora.valid is None or corpora.valid.path == corpora.test.path:
            msg = (
                f"{self.name} chooses a layer by other queries than {corpora.test.name}: give --valid-corpus, usually the "
                "valid-queries.jsonl beside them"
            )
            raise UserError(msg)
        folder = corpora.test.path.parent
        documents = Manifest.open(folder / DOCUMENTS)
        splits = [
            (queries, relevant(folder / f"{split}-relevant.txt", queries, documents))
            for split, queries in (("valid", corpora.valid), ("test", corpora.test))
        ]
        return [row for subject in with_untrained(subjects) for row in self._measure(subject, splits, documents, seed, device)]

    def _measure(
        self, subject: Subject, splits: Sequence[tuple[Manifest, NDArray[np.bool_]]], documents: Manifest, seed: int, device: str
    ) -> Iterator[Result]:
        started = perf_counter()
        features = (self.store or Stores()).of(subject, device)
        searched = features.frames(documents)
        moments = FeatureMoments.of(frames for clips in _clips(searched) for frames in clips)
        valid, test = (
            self._values(features.frames(queries), searched, moments, held[:, list(searched.places)], seed) for queries, held in splits
        )
        layers, queries = features.stack.names, splits[1][0]
        chosen = max(range(len(layers)), key=lambda layer: valid[layer][MAXIMUM].value)
        where = Where("test", queries, seed, started, Population("queries", queries.ids))
        about = {**features.about, "documents": len(searched.places), "queries": len(queries)}
        grid = {layer: value[MAXIMUM].value for layer, value in zip(layers, valid, strict=True)}
        for name, layer in ((BEST, chosen), *((name, layer) for layer, name in enumerate(layers))):
            details: dict[str, Any] = {"chosen": layers[layer], "grid": grid} if name == BEST else {"valid": grid[name]}
            for metric, estimate in test[layer].items():
                yield self.row(subject, name, metric, estimate.value, _interval(estimate), where, **about, **details)

    def _values(
        self, queries: CorpusFeatures, documents: CorpusFeatures, moments: FeatureMoments, held: NDArray[np.bool_], seed: int
    ) -> list[dict[str, Estimate]]:
        """Estimate the term weighted values of each layer. A query without a frame detects nothing: its scores are all alike."""
        protocol = self.protocol
        scores = self._scores(queries, documents, moments)
        of_all = np.zeros((len(scores), *held.shape))
        of_all[:, list(queries.places)] = scores
        return [term_weighted_value(normalize_by_query(layer), held, protocol.threshold, beta=protocol.beta, seed=seed) for layer in of_all]

    def _scores(self, queries: CorpusFeatures, documents: CorpusFeatures, moments: FeatureMoments) -> NDArray[np.float32]:
        """Match all queries in all documents, whose `moments` these are: (L, Q, N)."""
        asked = [frames for clips in _clips(queries) for frames in clips]
        moments = moments.plus(FeatureMoments.of(asked))
        asked = [moments.standardized(frames) for frames in asked]
        blocks = []
        for clips in _clips(documents):
            given = [moments.standardized(frames) for frames in clips]
            layers = [[[frames[:, layer] for frames in some] for some in (asked, given)] for layer in range(given[0].shape[1])]
            blocks.append(torch.stack([match(*both, distance=self.protocol.distance, scaled=self.protocol.scaled) for both in layers]))
        return torch.cat(blocks, 2).numpy()


def relevant(path: Path, queries: Manifest, documents: Manifest) -> NDArray[np.bool_]:
    """Read which documents hold which query, `QUERY_ID DOCUMENT_ID` a line: (Q, N) bool.

    Raises:
        UserError: there is no such file, or it names a query or a document that there is not.
    """
    held = np.zeros((len(queries), len(documents)), dtype=np.bool_)
    rows, columns = ({name: place for place, name in enumerate(manifest.ids)} for manifest in (queries, documents))
    whole = set(Manifest.open(queries.path).ids)  # `queries` may be without recordings that cannot be read
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        query, _, document = line.strip().partition(" ")
        if query not in whole or document not in columns:
            msg = (
                f"{path}, line {number}, is {line!r}, not QUERY_ID DOCUMENT_ID of a query of {queries.path.name} and a document of "
                f"{documents.path.name}: is it the list of another split?"
            )
            raise UserError(msg)
        if query in rows:
            held[rows[query], columns[document]] = True
    return held


def _interval(estimate: Estimate) -> ConfidenceInterval | None:
    """Take the draws as they are: MTWV is never below 0, and often 0, so that moved ones would not hold it."""
    if estimate.draws is None or estimate.places is None:
        return None
    return ConfidenceInterval(estimate.draws, estimate.places)


def _clips(features: CorpusFeatures) -> Iterator[list[Tensor]]:
    """Yield the frames of all recordings, (T, L, D) each, block by block."""
    for first in range(0, len(features.places), BLOCK):
        given = features.batch(features.places[first : first + BLOCK])
        yield [frames[:count] for frames, count in zip(given.features, given.lengths.tolist(), strict=True)]
