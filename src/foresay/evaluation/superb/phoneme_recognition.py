"""SUPERB phoneme recognition: which phones are said, in order? (LibriSpeech train-clean-100, dev-clean, test-clean)

Two linear layers over each frame and CTC; the other head is an LSTM in both directions. Decoding is greedy, and the rate counts edits by
phones of the reference. The answer is the `phones` of an item, times or none, repetitions kept; silences are left out.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from foresay.audio.voice import SILENCE
from foresay.corpora.item import Item
from foresay.evaluation.superb._task import PUBLISHED, HeadStart, SuperbProtocol, protocols
from foresay.evaluation.superb._transcription import Transcription
from foresay.evaluation.superb.features import FeatureBatch
from foresay.evaluation.superb.heads import FrameHead, RecurrentHead
from foresay.evaluation.superb.layer_sum import LayerSum
from foresay.evaluation.superb.scores import Counted
from foresay.results import Metric
from foresay.statistics.edit_distance import edit_distance

RECURRENT = "lstm"
RATE = "phone error rate"
SILENCES = (SILENCE, "")


class PhonemeRecognition(Transcription):
    """Edits by phones."""

    name = "phoneme_recognition"
    folder = "pr"
    alone = frozenset({RECURRENT})
    wanting = 'the key "phones": align its texts (foresay corpus align), or import it with phones'
    metrics: ClassVar[Mapping[str, Metric]] = {RATE: Metric("lower", "%", headline=True)}
    protocols: ClassVar[Mapping[str, SuperbProtocol]] = protocols(
        SuperbProtocol("superb", updates=100_000, batch=32, hidden=256, heads=(PUBLISHED, RECURRENT)),
        tiny={"updates": 300, "batch": 8, "size": 64, "hidden": 32, "frame": 0.03, "checks": 4, "rates": (1e-2, 3e-3)},
    )

    def symbols(self, item: Item) -> tuple[str, ...]:
        """Return the phones of an item."""
        return tuple(phone.label for phone in item.phones or () if phone.label not in SILENCES)

    def head(self, kind: str, layers: int, size: int, classes: int, start: HeadStart, *, normed: bool) -> nn.Module:
        """Build a linear head, or one with an LSTM."""
        added, sizes = LayerSum(layers, start.only), (size, self.protocol.size, classes + 1)
        return (
            FrameHead(added, sizes, normed=normed)
            if kind == PUBLISHED
            else RecurrentHead(added, sizes, self.protocol.hidden, normed=normed, layers=self.protocol.depth)
        )

    def count(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[tuple[int, ...]], classes: Sequence[str]) -> Counted:  # noqa: ARG002
        """Count edits: (G, B, T, V) -> (G, B)."""
        edits = [[edit_distance(said, row) for said, row in zip(answers, rows, strict=True)] for rows in self.written(outputs, given)]
        totals = np.broadcast_to(np.array([float(len(said)) for said in answers]), (len(outputs), len(answers)))
        return {RATE: (np.array(edits, dtype=float), totals)}
