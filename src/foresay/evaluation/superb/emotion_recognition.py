"""SUPERB emotion recognition: neutral, happy, angry or sad? (IEMOCAP, five folds: each session is the test of one)

A linear layer, the mean over time, and another one. The answer is the `label` of an item. The published accuracy is the mean of the folds.
"""

from collections.abc import Mapping
from typing import ClassVar

from foresay.evaluation.superb._classification import Classification, classifying
from foresay.evaluation.superb._task import SuperbProtocol


class EmotionRecognition(Classification):
    """Accuracy of naming the emotion."""

    name = "emotion_recognition"
    folder = "er"
    protocols: ClassVar[Mapping[str, SuperbProtocol]] = classifying(updates=30_000)
