"""SUPERB speaker identification: which of the known speakers says it? (VoxCeleb1, 1,251 speakers)

A linear layer, the mean over time, and another one. All speakers are in train, valid and test. The reference takes 8 s of each recording
at random to learn from; here it is the whole one, whose mean is taken once.
"""

from collections.abc import Mapping
from typing import ClassVar

from foresay.corpora.item import Item
from foresay.evaluation.superb._classification import Classification, classifying
from foresay.evaluation.superb._task import SuperbProtocol


class SpeakerIdentification(Classification):
    """Accuracy of naming the speaker."""

    name = "speaker_identification"
    folder = "sid"
    protocols: ClassVar[Mapping[str, SuperbProtocol]] = classifying(updates=200_000)

    def answer(self, item: Item) -> str | None:
        """Return the speaker of an item."""
        return item.speaker
