"""What the tasks share that write symbols for an utterance, in order, by CTC (Graves et al., ICML 2006): symbol 0 is the blank."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.superb._task import CountingTask
from foresay.evaluation.superb.features import FeatureBatch


class Transcription(CountingTask, ABC):
    """Writes symbols. The classes are these symbols, without the blank."""

    @abstractmethod
    def symbols(self, item: Item) -> tuple[str, ...]:
        """Return what is to be written for an item; nothing, where that is not known."""

    def classes(self, train: Manifest) -> tuple[str, ...]:
        """List the symbols of the manifest to learn from."""
        found = tuple(sorted({symbol for item in train for symbol in self.symbols(item)}))
        if not found:
            msg = f"{train.name} has nothing to write for {self.name}: {self.wanting}"
            raise UserError(msg)
        return found

    wanting: str = 'the key "text"'
    """What a manifest must have."""

    def answers(self, manifest: Manifest, classes: Sequence[str]) -> Mapping[int, tuple[int, ...]]:
        """Return the numbers of each recording's symbols, from 1; those that were not learnt are one more, which is never written."""
        numbers = {symbol: number for number, symbol in enumerate(classes, start=1)}
        spelled = {place: symbols for place, item in enumerate(manifest) if (symbols := self.symbols(item))}
        return {place: tuple(numbers.get(one, len(classes) + 1) for one in symbols) for place, symbols in spelled.items()}

    def loss(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[tuple[int, ...]], classes: Sequence[str]) -> Tensor:  # noqa: ARG002
        """CTC loss, a mean over symbols and then over utterances: (G, B, T, V) -> (G,). What has fewer frames than symbols counts 0."""
        heads, count, _, _ = outputs.shape
        labels, lengths = torch.tensor([one for answer in answers for one in answer]), torch.tensor(list(map(len, answers)))
        scores = outputs.log_softmax(-1).flatten(0, 1).transpose(0, 1)  # (T, G B, V)
        losses = F.ctc_loss(
            scores, labels.repeat(heads), given.lengths.repeat(heads), lengths.repeat(heads), reduction="none", zero_infinity=True
        )
        return (losses.view(heads, count) / lengths.to(losses.device)).mean(1)

    def written(self, outputs: Tensor, given: FeatureBatch) -> list[list[list[int]]]:
        """Read off the symbols of the best path: (G, B, T, V) -> for each head and utterance, without blanks and repetitions."""
        best, counts = outputs.argmax(-1).tolist(), given.lengths.tolist()
        return [[[one for one, _ in groupby(row[:count]) if one] for row, count in zip(rows, counts, strict=True)] for rows in best]
