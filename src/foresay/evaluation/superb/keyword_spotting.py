"""SUPERB keyword spotting: which of a few words is it? (Speech Commands v0.01, 12 classes)

A linear layer, the mean over time, and another one. Train, valid and test are those of the corpus; the answer is the `label` of an item.
"""

from collections.abc import Mapping
from typing import ClassVar

from foresay.evaluation.superb._classification import Classification, classifying
from foresay.evaluation.superb._task import SuperbProtocol


class KeywordSpotting(Classification):
    """Accuracy of naming the word."""

    name = "keyword_spotting"
    folder = "ks"
    protocols: ClassVar[Mapping[str, SuperbProtocol]] = classifying(updates=200_000)
