"""What the tasks share that spell what was said: letters, a space between words, and perhaps other symbols.

The published head has two LSTM layers in both directions, with dropout and SpecAugment; the other one is two linear layers over each frame.
"""

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from foresay.evaluation.superb._task import PUBLISHED, HeadStart, SuperbProtocol, protocols
from foresay.evaluation.superb._transcription import Transcription
from foresay.evaluation.superb.features import FeatureBatch
from foresay.evaluation.superb.heads import FrameHead, RecurrentHead
from foresay.evaluation.superb.layer_sum import LayerSum
from foresay.evaluation.superb.spec_augment import FeatureAugmentation

LINEAR = "linear"
HEADS = (PUBLISHED, LINEAR)
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""What stands in a reference for symbols that were not learnt."""
PROFILE = "plain"
"""Normalization of texts."""


def spelling(**tiny: Any) -> dict[str, SuperbProtocol]:  # noqa: ANN401 - of a protocol
    """Name the protocols.

    The tiny one is to take seconds, and hides nothing of the little there is: it has one LSTM layer over frames of 30 ms, few rates, one
    way to add layers, neither dropout nor SpecAugment.
    """
    published = SuperbProtocol("superb", 200_000, size=1024, hidden=1024, depth=2, dropout=0.2, augment=True, slots="superb", heads=HEADS)
    small = {"updates": 400, "batch": 8, "size": 64, "hidden": 32, "depth": 1, "frame": 0.03, "rates": (1e-2, 3e-3), "checks": 4}
    once = {"dropout": 0.0, "augment": False, "normed": False, "single": False}
    return protocols(published, tiny={**small, **once, **tiny})


class SpelledTranscription(Transcription, ABC):
    """Writes letters."""

    alone = frozenset({PUBLISHED})
    augment: ClassVar[FeatureAugmentation] = FeatureAugmentation()

    def head(self, kind: str, layers: int, size: int, classes: int, start: HeadStart, *, normed: bool) -> nn.Module:
        """Build a head with LSTM layers, or a linear one."""
        added, sizes = LayerSum(layers, start.only), (size, self.protocol.size, classes + 1)
        if kind == LINEAR:
            return FrameHead(added, sizes, normed=normed)
        augment = self.augment if self.protocol.augment else None
        return RecurrentHead(
            added, sizes, self.protocol.hidden, normed=normed, layers=self.protocol.depth, dropout=self.protocol.dropout, augment=augment
        )

    def texts(self, outputs: Tensor, given: FeatureBatch, classes: Sequence[str]) -> list[list[str]]:
        """Spell the best paths: (G, B, T, V) -> for each head and utterance a text."""
        return [[read_off(row, classes) for row in rows] for rows in self.written(outputs, given)]


def read_off(numbers: Sequence[int], classes: Sequence[str]) -> str:
    """Join symbols, numbered from 1, to a text with one space between words."""
    known: Mapping[int, str] = dict(enumerate(classes, start=1))
    return " ".join("".join(known.get(number, UNKNOWN) for number in numbers).split())
