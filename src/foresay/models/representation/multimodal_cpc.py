"""Multi-modal CPC: contrastive prediction for audio and images with one shared context.

"Contrastive Predictive Coding for Audio & Images", Garg and Chandra, IIT Bombay 2025 (slides), Algorithm 1. Each modality has an encoder of
its own; what comes next in the sequence of latents, frames of a sound or patches of a picture, is foreseen by the same network for both.

    waveform (B, S) --> mel spectrogram, CNN --> z (B, T, 64) --.                           .--> K heads --> audio loss, negatives:
                                                                +--> GRU --> c (B, T, 256) --+                in batch, queue, made up,
    picture (B, 3, H, W) --> ConvNet, by rows --> z (B, P, 64) --'                          '--> K heads --> image loss     other modality
                                                                                                 (the same)

    L = 1/2 (L_audio + L_image)

A pair is never a positive here: only the shared context brings sounds and pictures together. `cross_modal_positives`, which the slides do
not have, adds what does: which sound belongs to which picture.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from foresay.context import Context
from foresay.contracts import Batch, Frames, ImageExtractor, Losses, Modality, Term, on_host
from foresay.draws import LearningPurpose
from foresay.encoders.strided_convolutions import BatchNorm
from foresay.errors import UserError
from foresay.models.representation._encoder_and_context import EncoderAndContext
from foresay.objectives.hybrid_contrastive import DrawnContrasts, HybridContrast
from foresay.objectives.paired_contrastive import PairedContrast
from foresay.settings import find_class, options_of, require_at_most, require_not_negative, require_positive

WORDS: dict[Modality, str] = {"audio": "takes no audio", "image": "takes no images"}
BOTH: tuple[Modality, ...] = ("audio", "image")
PERTURBED: dict[Modality, LearningPurpose] = {"audio": "perturbed audio", "image": "perturbed images"}


@dataclass(frozen=True)
class MultimodalCPCSettings:
    """The network of the slides' pages 4 and 5. They give the sizes of latents and context, the queue and one step ahead; no more."""

    modalities: Literal["audio", "image", "both"] = "both"
    sample_rate: int = 16_000
    channels: int = 64
    """D of the latents."""
    audio_encoder: str = "mel-cnn"
    image_encoder: str = "image-grid"
    context: str = "gru"
    context_size: int = 256
    context_layers: int = 1
    norm: Literal["batch", "none"] = "batch"
    """Of the latents of each modality. The slides name none; without, all latents of an untrained encoder are nearly the same, and a queue
    of those it gave some updates ago, which move no more, keeps them so: the loss does not fall."""
    predictions: int = 1
    """K: steps ahead that are predicted."""
    negative_group: int = 16
    """Consecutive utterances that share negatives; on the slides, the batch."""
    audio_negatives: dict[str, Any] = field(default_factory=dict)
    """Options of the hybrid contrast (`objectives/hybrid_contrastive.py`): temperature, normalize, queue, sigma, perturbed, …"""
    image_negatives: dict[str, Any] = field(default_factory=dict)
    """The same for pictures, whose patches are closer to each other: what suits audio can be too harsh for them (slide 10)."""
    cross_modal: bool = True
    """Whether the latents of one modality are negatives of the other, where there are both."""
    cross_modal_positives: bool = False
    """Whether pairs are positives as well, by their mean contexts. Not on the slides."""
    positives_temperature: float = 0.1

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "sample_rate", "channels", "context_size", "context_layers", "predictions", "negative_group")
        require_positive(self, "positives_temperature")
        require_at_most(self, 1000, "context_layers")
        if self.cross_modal_positives and self.modalities != "both":
            msg = f'cross_modal_positives = true takes pairs, and modalities = "{self.modalities}" has none: set it to "both"'
            raise ValueError(msg)


class MultimodalCPC(EncoderAndContext, ImageExtractor):
    """Multi-modal CPC with hybrid negatives."""

    def __init__(self, settings: MultimodalCPCSettings) -> None:
        s = settings
        modalities = BOTH if s.modalities == "both" else (s.modalities,)
        audio_encoder, image_encoder = (find_class("foresay.encoders", name, nn.Module) for name in (s.audio_encoder, s.image_encoder))
        super().__init__(
            audio_encoder(s.channels, sample_rate=s.sample_rate, norm=_norm(s)) if "audio" in modalities else Missing("audio"),
            s.sample_rate,
        )
        self.settings, self.modalities, self.needs, self.group = settings, modalities, modalities, s.negative_group
        self.image_encoder = image_encoder(s.channels, norm=_norm(s)) if "image" in modalities else Missing("image")
        self.context = find_class("foresay.context", s.context, Context)(s.channels, s.context_size, s.context_layers)
        self.heads = nn.Linear(s.context_size, s.predictions * s.channels)
        tables: dict[Modality, dict[str, Any]] = {"audio": s.audio_negatives, "image": s.image_negatives}
        options = {modality: options_of(HybridContrast, table, f"model.{modality}_negatives") for modality, table in tables.items()}
        self.contrasts = nn.ModuleDict({m: HybridContrast(s.channels, s.negative_group, **options[m]) for m in modalities})
        self.pairs = PairedContrast(s.negative_group, s.positives_temperature) if s.cross_modal_positives else None

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of equally long clips, of pictures, or of pairs of both: of each modality, a mean over positions, summed over k."""
        losses, candidates = self.compute(self.given(batch), batch.targets, self._draw(batch))
        for modality, own in candidates.items():
            self._contrast(modality).keep(own)
        return losses

    def compute(
        self, given: Mapping[Modality, Tensor], others: Tensor | None, drawn: Mapping[Modality, DrawnContrasts]
    ) -> tuple[Losses, dict[Modality, Tensor]]:
        """Compute the loss of what is given of each modality, for audio of the `others` as well; and the candidates (G, n, D) of each."""
        latents = self.latents(given)
        futures = latents if others is None else {**latents, "audio": self.encoder(others)}
        contexts = self._contexts(latents)
        candidates: dict[Modality, Tensor] = {}
        terms: dict[str, Term] = {}
        scalars: dict[str, Tensor] = {}
        for modality, z in latents.items():
            positions = self.positions(z.shape[1], self.settings.predictions)
            predictions = self.heads(contexts[modality][:, :positions]).unflatten(-1, (self.settings.predictions, -1)).transpose(1, 2)
            strangers = [futures[other] for other in latents if other != modality and self.settings.cross_modal]
            loss = self.contrasts[modality](predictions, futures[modality], drawn[modality], *strangers)
            terms[modality] = dataclasses.replace(loss.term, weight=1 / len(latents))
            candidates[modality] = loss.candidates
            scalars[f"{modality}_accuracy"] = loss.accuracy
            scalars[f"{modality}_latent_std"] = z.detach().float().std(dim=(0, 1)).mean()
            scalars |= {f"{modality}_share_{kind.replace(' ', '_')}": share for kind, share in loss.shares.items()}
        scalars["accuracy"] = torch.stack([scalars[f"{modality}_accuracy"] for modality in latents]).mean()
        scalars["latent_std"] = torch.stack([scalars[f"{modality}_latent_std"] for modality in latents]).min()
        if self.pairs is not None:
            paired = self.pairs(*(c.mean(dim=1) for c in contexts.values()))
            terms["pairs"], scalars["pairs_accuracy"] = paired.term, paired.accuracy
        return Losses(terms, scalars), candidates

    def given(self, batch: Batch) -> dict[Modality, Tensor]:
        """Take what a batch brings along of each modality: waveforms (B, S), pictures (B, 3, height, width).

        Raises:
            UserError: the batch lacks one.
        """
        brought: dict[Modality, Tensor | None] = {"audio": batch.waveforms, "image": batch.images}
        given: dict[Modality, Tensor] = {}
        for modality in self.modalities:
            if (values := brought[modality]) is None:
                msg = f'this batch has no {modality}, which model.modalities = "{self.settings.modalities}" learns from: load it with '
                raise UserError(msg + "data.sampler = items, which reads whatever the model asks for")
            given[modality] = values
        return given

    def latents(self, given: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        """Encode each modality: (B, T, D), of pictures (B, P, D)."""
        encoders = {"audio": self.encoder, "image": self.image_encoder}
        return {modality: encoders[modality](values) for modality, values in given.items()}

    @on_host
    def _draw(self, batch: Batch) -> dict[Modality, DrawnContrasts]:
        """Draw what the contrast of each modality draws for a batch.

        Raises:
            UserError: clips or pictures are too small.
        """
        drawn: dict[Modality, DrawnContrasts] = {}
        for modality, values in self.given(batch).items():
            if modality == "audio":
                frames, _ = self.counted(values, self.settings.predictions)
            elif (frames := cast("Any", self.image_encoder).patch_count(values)) <= self.settings.predictions:
                msg = f"no patch of a picture of {frames} has {self.settings.predictions} patches after it: set data.image_side=128"
                raise UserError(msg)
            drawn[modality] = self._contrast(modality).draw(frames, batch.keys, PERTURBED[modality], values.device)
        return drawn

    def contexts(self, latents: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Summarize (B, T, D) latents, causally. -> (B, T, D)."""
        contexts: Tensor = self.context(latents)[0]
        return contexts

    def _contrast(self, modality: Modality) -> HybridContrast:
        return cast("HybridContrast", self.contrasts[modality])  # ModuleDict forgets the type

    def _contexts(self, latents: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        return {modality: self.contexts(z) for modality, z in latents.items()}

    def image_features(self, images: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Look at (B, 3, height, width) pictures: z and c, both (B, P, D)."""
        wanted = self.chosen(layers)
        latents = self.image_encoder(images)
        patches = torch.full((len(images),), latents.shape[1], device=images.device)
        values = self.layer_values(latents, patches, wanted)
        return Frames({name: values[name] for name in wanted}, dict.fromkeys(wanted, patches), {})

    def after_step(self, step: int) -> dict[str, float]:
        """Let norms and queues take in what they were given."""
        for part in self.modules():
            if isinstance(part, BatchNorm | HybridContrast):
                part.after_step()
        return {}


def _norm(settings: MultimodalCPCSettings) -> BatchNorm | None:
    return BatchNorm(settings.channels, settings.negative_group) if settings.norm == "batch" else None


class Missing(nn.Module):
    """Stands where the encoder of a modality would be that the model does not have, and says so when it is asked."""

    channels, downsampling, receptive_field, first_sample = 0, 1, 0, 0

    def __init__(self, modality: Modality) -> None:
        super().__init__()
        self.modality = modality

    def frame_count(self, lengths: Tensor) -> Tensor:
        """Refuse to count frames (B,)."""
        return self.forward(lengths)

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Refuse to encode audio (B, S) or images (B, 3, height, width)."""
        other = "image" if self.modality == "audio" else "audio"
        msg = f'this model was trained with model.modalities = "{other}" and {WORDS[self.modality]}: use one trained with "both"'
        raise UserError(msg)

    def after_step(self) -> None:
        """Nothing moves."""
