"""An extractor at work: a model in `eval()` mode on its device, under a name, and the layers that are asked of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from foresay.contracts import Batch, Extractor, FeatureExtractor, Frames, ImageExtractor, Synthesizer
from foresay.encoding.kept import KeptFeatures
from foresay.errors import UserError, nearest


@dataclass(frozen=True, eq=False)
class Subject:
    """An extractor under measurement, in `eval()` mode on its device."""

    name: str
    model: Extractor
    layers: tuple[str, ...]
    """Those asked for."""
    step: int | None = None
    """Updates it was trained for."""
    untrained: "Subject | None" = None
    """Its untrained copy: what is gained over it was learnt."""
    image_side: int = 128
    """Pixels in height and width of the pictures that it is shown."""
    trained_on: frozenset[str] = frozenset()
    """Digests of the manifests that it was trained on, as far as its run says."""
    labels: Path | None = None
    """Folder of the labels that its run keeps of what it was trained on, a folder for each manifest."""
    kept: KeptFeatures = field(default_factory=lambda: KeptFeatures(0))
    """What was encoded before, of all subjects of an evaluation; nothing, where each measure is asked for by itself."""

    def __post_init__(self) -> None:
        for layer in self.layers:
            if layer not in self.model.layer_names:
                msg = f"{self.name} has no layer {layer!r}: {nearest(layer, self.model.layer_names)}"
                raise UserError(msg)

    @property
    def extractor(self) -> FeatureExtractor:
        """The extractor of audio features.

        Raises:
            UserError: it takes images only, or makes speech and no features.
        """
        if isinstance(self.model, FeatureExtractor) and "audio" in self.model.modalities:
            return self.model
        if isinstance(self.model, Synthesizer):
            msg = (
                f"{self.name} is a synthesizer: it makes speech and no features. It is evaluated by the measures of synthesis, such as "
                f"intelligibility:greedy, and the encoder of its units by itself (its part: {self.name}#tokenizer)"
            )
            raise UserError(msg)
        msg = f"{self.name} takes images and no audio. Image models are evaluated by the measures of whole items, such as item_probe:mean"
        raise UserError(msg)

    @property
    def image_extractor(self) -> ImageExtractor:
        """The extractor of image features.

        Raises:
            UserError: it takes audio only.
        """
        if isinstance(self.model, ImageExtractor) and "image" in self.model.modalities:
            return self.model
        msg = f"{self.name} takes audio and no images: give a corpus of audio, or a model that was trained on images"
        raise UserError(msg)

    @property
    def synthesizer(self) -> Synthesizer:
        """The synthesizer of speech.

        Raises:
            UserError: it is none.
        """
        if isinstance(self.model, Synthesizer):
            return self.model
        msg = f"{self.name} synthesizes no speech: this measure is one of synthesizers (foresay train unit-vocoder-tiny --units RUN …)"
        raise UserError(msg)

    def encode(self, batch: Batch) -> Frames:
        """Return the layers asked for of a batch of audio, where its waveforms are, without a gradient."""
        waveforms, lengths = batch.audio
        with torch.no_grad():
            return self.extractor.features(waveforms, lengths.to(waveforms.device), self.layers)


def with_untrained(subjects: Sequence[Subject]) -> list[Subject]:
    """List the subjects, each with its untrained copy after it; a copy that several share comes once."""
    return list(dict.fromkeys(s for subject in subjects for s in (subject, subject.untrained) if s is not None))
