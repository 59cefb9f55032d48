"""The shared types: what flows between the parts of Foresay, and what a model promises. Read this first.

    batches.py    Batch                                             what a step is given
    losses.py     Term, Losses                                      what it returns
    frames.py     Frames, FeatureExtractor, ImageExtractor          the features of a model
    models.py     Trainable, SpeechModel                            all that the training loop knows of a model

One alphabet of shapes, everywhere:
B utterances, S samples, T frames, D features, K predictions, M future frames aligned to them, N negatives,
C classes or codes, G codebooks or levels, L layers, H heads, P image patches, U target symbols, V vocabulary.

Data travels one way: Manifest -> Batch -> model -> Frames -> Result.
"""

from foresay.contracts.batches import Audio, Batch, Modality, sent
from foresay.contracts.frames import Extractor, FeatureExtractor, FeatureStream, Frames, ImageExtractor
from foresay.contracts.losses import Losses, Term
from foresay.contracts.models import SpeechModel, Trainable

__all__ = [
    "Audio",
    "Batch",
    "Extractor",
    "FeatureExtractor",
    "FeatureStream",
    "Frames",
    "ImageExtractor",
    "Losses",
    "Modality",
    "SpeechModel",
    "Term",
    "Trainable",
    "sent",
]
