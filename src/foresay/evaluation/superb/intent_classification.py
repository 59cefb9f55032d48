"""SUPERB intent classification: what shall be done, with what, where? (Fluent Speech Commands, three slots)

A linear layer, the mean over time, and another one, with scores for the values of each slot. An utterance is right if all its slots are.
The answer is the `label` of an item, its slots between bars: `activate | lights | kitchen`.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.superb._classification import ACCURACY, Classification, classifying
from foresay.evaluation.superb._task import SuperbProtocol
from foresay.evaluation.superb.features import FeatureBatch
from foresay.evaluation.superb.scores import Counted

BAR = " | "


class IntentClassification(Classification):
    """Accuracy of naming all slots. The classes are `slot number | value`, slot by slot."""

    name = "intent_classification"
    folder = "ic"
    protocols: ClassVar[Mapping[str, SuperbProtocol]] = classifying(updates=200_000)

    def classes(self, train: Manifest) -> tuple[str, ...]:
        """List the values of all slots."""
        found = {_values(item) for item in train if item.label}
        if len(found) < 2:  # noqa: PLR2004 - one cannot be mistaken for another
            labels = ", ".join(BAR.join(values) for values in found)
            msg = f"{train.name} has {len(found)} labels ({labels}), and {self.name} chooses among several"
            raise UserError(msg)
        if len({len(values) for values in found}) != 1:
            msg = f"the labels of {train.name} have different numbers of slots: each is like `activate | lights | kitchen`"
            raise UserError(msg)
        return tuple(f"{slot}{BAR}{value}" for slot, values in enumerate(zip(*found, strict=True)) for value in sorted(set(values)))

    def answers(self, manifest: Manifest, classes: Sequence[str]) -> Mapping[int, tuple[int, ...]]:
        """Return the number of the value of each slot of each recording."""
        numbers = {name: number for number, name in enumerate(classes)}
        known = {
            place: [f"{slot}{BAR}{value}" for slot, value in enumerate(_values(item))] for place, item in enumerate(manifest) if item.label
        }
        if strange := sorted({name for names in known.values() for name in names} - numbers.keys()):
            msg = f"{manifest.name} has values that the corpus to learn from lacks: {', '.join(strange[:8])}. Are they of one corpus?"
            raise UserError(msg)
        slots = len(_slots(classes))
        if uneven := [place for place, names in known.items() if len(names) != slots]:
            msg = (
                f"{manifest[uneven[0]].label!r} of {manifest.ids[uneven[0]]} in {manifest.name} has not {slots} slots as the labels of the "
                f"corpus to learn from, and {len(uneven) - 1} others have not: are they of one corpus?"
            )
            raise UserError(msg)
        return {place: tuple(numbers[name] for name in names) for place, names in known.items()}

    def loss(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[tuple[int, ...]], classes: Sequence[str]) -> Tensor:  # noqa: ARG002
        """Cross-entropy, summed over slots: (G, B, C) -> (G,)."""
        heads, count, _ = outputs.shape
        right = torch.tensor(answers, device=outputs.device)
        total = outputs.new_zeros(heads)
        for slot, (first, end) in enumerate(_slots(classes)):
            expected = (right[:, slot] - first).expand(heads, count).flatten()
            losses = F.cross_entropy(outputs[..., first:end].flatten(0, 1), expected, reduction="none")
            total = total + losses.view(heads, count).mean(1)
        return total

    def count(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[tuple[int, ...]], classes: Sequence[str]) -> Counted:  # noqa: ARG002
        """Count the utterances of which all slots are right: (G, B, C) -> (G, B)."""
        named = torch.stack([outputs[..., first:end].argmax(-1) + first for first, end in _slots(classes)], -1)
        right = (named == torch.tensor(answers, device=outputs.device)).all(-1).cpu().double().numpy()
        return {ACCURACY: (right, right * 0 + 1)}


def _values(item: Item) -> tuple[str, ...]:
    return tuple((item.label or "").split(BAR))


def _slots(classes: Sequence[str]) -> list[tuple[int, int]]:
    """Say where the values of each slot begin and end among the classes."""
    slots = [int(name.partition(BAR)[0]) for name in classes]
    return [(slots.index(slot), slots.index(slot) + slots.count(slot)) for slot in sorted(set(slots))]
