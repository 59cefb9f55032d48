"""The shared types: what flows between the parts of Foresay, and what a model promises. Read this first.

    batches.py          Batch                                             what a step is given
    losses.py           Term, Losses                                      what it returns
    frames.py           Frames, FeatureExtractor, ImageExtractor          the features of a model
    masks.py            Masks, MaskableExtractor, Packing                 what fine-tuning leaves out of them
    tokens.py           Tokens, Tokenizer                                 discrete symbols, and what makes them
    models.py           Model, Trainable, SpeechModel                     what recipes name, and train by gradients
    estimators.py       Estimator, FitData, Transcribed, Recorded         what they fit in passes over a corpus
    recognition.py      Recognizer, Emissions, Encoded, Hypothesis        from speech to text
    transduction.py     TransducingRecognizer, Joint                      such that write symbols frame by frame, each by those before
    spelling.py         SpellingRecognizer, Speller                       such that predict symbol by symbol
    states.py           StateRecognizer, Topology                         such that have hidden Markov models of symbols
    language_models.py  LanguageModel, Fusion                             what scores text
    generation.py       TokenModel, Sampling, CausalBody                  what models tokens, and is sampled from
    synthesis.py        Synthesizer, PitchEncoder, SpeakerEncoder, …      from tokens to speech

One alphabet of shapes, everywhere:
B utterances, S samples, T frames, D features, K predictions, M future frames aligned to them, N negatives,
C classes or codes, G codebooks or levels, L layers, H heads, P image patches, U target symbols, V vocabulary.

Data travels one way: Manifest -> Batch -> model -> Frames -> Result.
"""

from foresay.contracts.batches import Audio, Batch, Modality, Need, sent
from foresay.contracts.estimators import Estimator, FitData, Recorded, Transcribed
from foresay.contracts.frames import Extractor, FeatureExtractor, FeatureStream, Frames, ImageExtractor
from foresay.contracts.generation import CausalBody, Sampling, TokenModel
from foresay.contracts.language_models import Fusion, LanguageModel
from foresay.contracts.losses import Losses, Term
from foresay.contracts.masks import MaskableExtractor, Masks, Packing, real_frames
from foresay.contracts.models import Model, SpeechModel, Trainable, on_host
from foresay.contracts.recognition import (
    Emissions,
    EmittingRecognizer,
    Encoded,
    Hypothesis,
    Recognizer,
    SearchStream,
    StablePrefix,
)
from foresay.contracts.spelling import Speller, SpellingRecognizer, SpellingWeights
from foresay.contracts.states import SILENCES, StateRecognizer, Topology
from foresay.contracts.synthesis import Pitch, PitchEncoder, SpeakerEncoder, Synthesized, Synthesizer
from foresay.contracts.tokens import Tokenizer, Tokens
from foresay.contracts.transduction import Joint, TransducingRecognizer

__all__ = [
    "SILENCES",
    "Audio",
    "Batch",
    "CausalBody",
    "Emissions",
    "EmittingRecognizer",
    "Encoded",
    "Estimator",
    "Extractor",
    "FeatureExtractor",
    "FeatureStream",
    "FitData",
    "Frames",
    "Fusion",
    "Hypothesis",
    "ImageExtractor",
    "Joint",
    "LanguageModel",
    "Losses",
    "MaskableExtractor",
    "Masks",
    "Modality",
    "Model",
    "Need",
    "Packing",
    "Pitch",
    "PitchEncoder",
    "Recognizer",
    "Recorded",
    "Sampling",
    "SearchStream",
    "SpeakerEncoder",
    "SpeechModel",
    "Speller",
    "SpellingRecognizer",
    "SpellingWeights",
    "StablePrefix",
    "StateRecognizer",
    "Synthesized",
    "Synthesizer",
    "Term",
    "TokenModel",
    "Tokenizer",
    "Tokens",
    "Topology",
    "Trainable",
    "Transcribed",
    "TransducingRecognizer",
    "on_host",
    "real_frames",
    "sent",
]
