"""SUPERB speech recognition: which words are said? (LibriSpeech train-clean-100, dev-clean, test-clean)

Letters and spaces, learnt by CTC and read off the best path: no lexicon and no language model. The answer is the `text` of an item,
normalized as `plain`: letters in lower case and the apostrophe.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from foresay.corpora.item import Item
from foresay.evaluation.superb._spelling import PROFILE, SpelledTranscription, read_off, spelling
from foresay.evaluation.superb._task import SuperbProtocol
from foresay.evaluation.superb.features import FeatureBatch
from foresay.evaluation.superb.scores import Counted
from foresay.results import Metric
from foresay.statistics.edit_distance import edit_distance
from foresay.text.normalization import Normalizer

WORDS, LETTERS = "word error rate", "character error rate"


class SpeechRecognition(SpelledTranscription):
    """Edits by words, and by characters, of which a space is one."""

    name = "speech_recognition"
    folder = "asr"
    metrics: ClassVar[Mapping[str, Metric]] = {WORDS: Metric("lower", "%", headline=True), LETTERS: Metric("lower", "%", headline=True)}
    protocols: ClassVar[Mapping[str, SuperbProtocol]] = spelling(chosen_by=LETTERS)

    def symbols(self, item: Item) -> tuple[str, ...]:
        """Return the letters of an item's text, and the spaces between words.

        Raises:
            UserError: the text has digits or signs.
        """
        return tuple(Normalizer(PROFILE)(item.text or "", f"the text of {item.id}"))

    def count(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[tuple[int, ...]], classes: Sequence[str]) -> Counted:
        """Count edits: (G, B, T, V) -> (G, B)."""
        said = [read_off(answer, classes) for answer in answers]
        texts = self.texts(outputs, given, classes)
        counted = {}
        for metric, units in ((WORDS, str.split), (LETTERS, list)):
            edits = [[edit_distance(units(text), units(found)) for text, found in zip(said, row, strict=True)] for row in texts]
            totals = np.array([float(len(units(text))) for text in said])
            counted[metric] = np.array(edits, dtype=float), np.broadcast_to(totals, (len(texts), len(said)))
        return counted
