"""SUPERB slot filling: which things does a request name, and of which type is each? (Audio SNIPS)

    target    play B-artist the beatles E-artist now
    symbols   p l a y _ [B-artist] t h e _ b e a t l e s [E-artist] _ n o w

Letters, spaces, and marks where a slot begins and ends, learnt by CTC and read off the best path. The answer is the `target` of an item,
its words normalized as `plain`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.superb._spelling import PROFILE, SpelledTranscription, read_off, spelling
from foresay.evaluation.superb._task import SuperbProtocol
from foresay.evaluation.superb.features import FeatureBatch
from foresay.evaluation.superb.scores import Counted
from foresay.evaluation.superb.spec_augment import FeatureAugmentation
from foresay.results import Metric
from foresay.statistics.slots import score_slots
from foresay.text.normalization import Normalizer

TYPES, VALUES = "slot-type F1", "slot-value CER"
BEGINS, ENDS = MARKS = "B-", "E-"


class SlotFilling(SpelledTranscription):
    """F1 of the types in an utterance, and character errors of what stands in the slots."""

    name = "slot_filling"
    folder = "sf"
    wanting = 'the key "target": the text with its slots, `play B-artist the beatles E-artist now`'
    augment = FeatureAugmentation(adaptive=0.04)
    metrics: ClassVar[Mapping[str, Metric]] = {
        TYPES: Metric("higher", "%", headline=True),
        VALUES: Metric("lower", "%", headline=True),
    }
    protocols: ClassVar[Mapping[str, SuperbProtocol]] = spelling(updates=500, batch=16, hidden=48, rates=(1e-2,))

    def symbols(self, item: Item) -> tuple[str, ...]:
        """Return letters, spaces and marks, each mark next to the word that it stands by.

        Raises:
            UserError: the text has digits or signs.
        """
        return tuple(_symbols(item.target or "", f"the slots of {item.id}"))

    def answers(self, manifest: Manifest, classes: Sequence[str]) -> Mapping[int, tuple[int, ...]]:
        """Return the numbers of each recording's symbols, as for every text.

        Raises:
            UserError: there is no slot.
        """
        if not any(symbol.startswith(MARKS) for item in manifest for symbol in self.symbols(item)):
            msg = f"{manifest.name} has nothing to fill: no `target` has slots, as in `play B-artist the beatles E-artist now`"
            raise UserError(msg)
        return super().answers(manifest, classes)

    def count(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[tuple[int, ...]], classes: Sequence[str]) -> Counted:
        """Add up F1 of utterances, and count edits of values and their characters: (G, B, T, V) -> (G, B)."""
        apart = [f" {symbol} " if symbol.startswith(MARKS) else symbol for symbol in classes]
        said = [read_off(answer, apart) for answer in answers]
        aligned, texts = self.protocol.slots, self.texts(outputs, given, apart)
        scores = np.array([[score_slots(text, found, aligned) for text, found in zip(said, row, strict=True)] for row in texts])
        return {TYPES: (scores[..., 0], np.ones_like(scores[..., 0])), VALUES: (scores[..., 1], scores[..., 2])}


def _symbols(target: str, where: str) -> Iterator[str]:
    """Spell a text with slots: a space between words, and marks next to those within."""
    normalize, spaced = Normalizer(PROFILE), False
    for word in target.split():
        begins, ends = word.startswith(BEGINS), word.startswith(ENDS)
        spelled = (word,) if begins or ends else tuple(normalize(word, where))
        if spelled and spaced and not ends:
            yield " "
        yield from spelled
        spaced = not begins if spelled else spaced
