"""Word error rate, with that of characters beside it: by the best path, with an n-gram, and with a second language model.

wer:greedy        the best path
wer:ngram         a beam with a language model, or a lexicon          foresay evaluate … --search FILE
wer:transformer   and its n-best lists ranked anew by another model   foresay evaluate … --search FILE
"""

from collections.abc import Mapping
from typing import ClassVar

from foresay.evaluation.recognition._error_rate import ErrorRate, SearchProtocol, metrics_of


class WordErrorRate(ErrorRate):
    """Error rates of a recognizer on transcribed utterances."""

    name = "wer"
    protocols: ClassVar[Mapping[str, SearchProtocol]] = {name: SearchProtocol(name, name) for name in ("greedy", "ngram", "transformer")}
    metrics = metrics_of("word", characters=True)
