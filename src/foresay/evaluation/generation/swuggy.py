"""sWUGGY: does a model of speech find words likelier than non-words? (the lexical task of ZeroSpeech 2021, arXiv:2011.11588)

    lexical/dev/gold.csv    filename, id, voice, frequency, word, phones, length, correct     a word and its non-word have one (voice, id)

The accuracy is given of all pairs, of those whose word comes in the training data of the data set (frequency above 0: "in vocabulary"), by
bands of frequency, and by length. The published scorer labels its bands 1-5, 6-20, 21-100 and >100, and cuts them at [1, 5), [5, 20),
[20, 100) and from 100: a word that comes 5 times is in the second. `official` keeps that, `repaired` cuts as the labels say.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.generation._pairs import Pair, PairMeasure, PairProtocol, Row, gold_rows, paired
from foresay.results import Metric

GOLD = "lexical/dev/gold.csv"
OUTSIDE = "oov"
BANDS = (OUTSIDE, "1-5", "6-20", "21-100", ">100")
HIGHEST = (0, 5, 20, 100)
"""Of the bands but for the last, as their labels say."""
PUBLISHED_FIRST = (1, 5, 20, 100)
"""Where the published scorer begins the bands after the first."""
IN_VOCABULARY = "accuracy in vocabulary"


class SWuggy(PairMeasure):
    """Share of words that are found likelier than their non-words."""

    name = "swuggy"
    metrics: ClassVar[Mapping[str, Metric]] = {**PairMeasure.metrics, IN_VOCABULARY: Metric("higher", "%")}
    protocols: ClassVar[Mapping[str, PairProtocol]] = {
        "official": PairProtocol("official", GOLD, published=True),
        "repaired": PairProtocol("repaired", GOLD),
    }

    def pairs(self, manifest: Manifest) -> list[Pair]:
        """Put words and non-words of one voice and id together."""
        where, rows = gold_rows(manifest, self.protocol.gold, "id", "voice", "frequency", "length", "correct")
        return [self._pair(word, other, where) for word, other in paired(rows, ("id", "voice"), where)]

    def some(self, pairs: Sequence[Pair]) -> Mapping[str, Sequence[Pair]]:
        """Those in the vocabulary."""
        known = [pair for pair in pairs if pair.kinds["frequency"] != OUTSIDE]
        return {IN_VOCABULARY: known} if known else {}

    def _pair(self, word: Row, other: Row, where: Path) -> Pair:
        try:
            frequency = float(word["frequency"])
        except ValueError:
            frequency = math.nan
        if not 0 <= frequency < math.inf:
            msg = f"{where}: the frequency of {word['filename']} is {word['frequency']!r}, and must be how often the word comes: 0, 1, …"
            raise UserError(msg)
        kinds = {"frequency": band(frequency, published=self.protocol.published), "length": word["length"]}
        return Pair(word["id"], word["voice"], word["filename"], other["filename"], kinds)


def band(frequency: float, *, published: bool) -> str:
    """Name the band of a frequency.

    >>> band(5, published=False), band(5, published=True)
    ('1-5', '6-20')
    """
    return BANDS[bisect_right(PUBLISHED_FIRST, frequency) if published else bisect_left(HIGHEST, frequency)]
