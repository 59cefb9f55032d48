"""What the tasks share that name a class for a whole utterance."""

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.superb._task import PUBLISHED, CountingTask, HeadStart, SuperbProtocol, protocols
from foresay.evaluation.superb.features import FeatureBatch
from foresay.evaluation.superb.heads import PooledHead
from foresay.evaluation.superb.layer_sum import LayerSum
from foresay.evaluation.superb.scores import Counted
from foresay.results import Metric

STATISTICS = "statistics"
"""The other head: mean and deviation over time, and a hidden layer."""
ACCURACY = "accuracy"


def classifying(*, updates: int, batch: int = 32, **tiny: Any) -> dict[str, SuperbProtocol]:  # noqa: ANN401 - of a protocol
    """Name the protocols of a classification, of so many updates as published."""
    published = SuperbProtocol("superb", updates, batch, heads=(PUBLISHED, STATISTICS))
    return protocols(published, tiny={"updates": 400, "size": 64, "checks": 10, "seeds": 3, **tiny})


class Classification(CountingTask, ABC):
    """Names one class for each utterance, or one for each of several slots, all of which must be right."""

    pools = True
    metrics: ClassVar[Mapping[str, Metric]] = {ACCURACY: Metric("higher", "%", headline=True)}

    def answer(self, item: Item) -> str | None:
        """Return the class of an item."""
        return item.label

    def classes(self, train: Manifest) -> tuple[str, ...]:
        """List the classes of the manifest to learn from."""
        found = tuple(sorted({answer for item in train if (answer := self.answer(item))}))
        if len(found) < 2:  # noqa: PLR2004 - one cannot be mistaken for another
            msg = f"{train.name} has {len(found)} classes ({', '.join(found)}), and {self.name} chooses among several"
            raise UserError(msg)
        return found

    def answers(self, manifest: Manifest, classes: Sequence[str]) -> Mapping[int, Any]:
        """Return the number of each recording's class."""
        known = {place: answer for place, item in enumerate(manifest) if (answer := self.answer(item))}
        if strange := sorted(set(known.values()) - set(classes)):
            msg = (
                f"{len(strange)} classes of {manifest.name} are not in the corpus to learn from, so that nobody could name them: "
                f"{', '.join(strange[:8])}. It knows {', '.join(classes[:8])}: are they of one corpus?"
            )
            raise UserError(msg)
        numbers = {name: number for number, name in enumerate(classes)}
        return {place: numbers[answer] for place, answer in known.items()}

    def head(self, kind: str, layers: int, size: int, classes: int, start: HeadStart, *, normed: bool) -> nn.Module:
        """Build a linear head, or the one with a deviation."""
        return PooledHead(LayerSum(layers, start.only), (size, self.protocol.size, classes), normed=normed, deviation=kind == STATISTICS)

    def loss(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[Any], classes: Sequence[str]) -> Tensor:  # noqa: ARG002
        """Cross-entropy: (G, B, C) -> (G,)."""
        heads, count, _ = outputs.shape
        right = torch.tensor(answers, device=outputs.device).expand(heads, count)
        return F.cross_entropy(outputs.flatten(0, 1), right.flatten(), reduction="none").view(heads, count).mean(1)

    def count(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[Any], classes: Sequence[str]) -> Counted:  # noqa: ARG002
        """Count the right ones: (G, B, C) -> (G, B)."""
        right = (outputs.argmax(-1) == torch.tensor(answers, device=outputs.device)).cpu().double().numpy()
        return {ACCURACY: (right, right * 0 + 1)}
