"""wav2vec 2.0: masked contrastive prediction of jointly learnt quantized targets.

Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations" (arXiv:2006.11477).

    waveform (B, S) --> convolutions --> z (B, T, C), one every 20 ms -- masked ones --> quantizer, G books of V codes --> q (B, M, D')
                                             |                                                                                |
                                   spans are masked (49 %)                               and 100 other masked frames of the utterance
                                             |                                                                                v
                                             +--> Transformer --> (B, T, D) -- masked ones --> c (B, M, D') -------> cosine(c, q) / 0.1
                                                                                                                              |
                       loss = cross-entropy + 0.1 x share of codes not used + 10 x mean square of the convolutions' output <--+

XLSR and XLS-R (arXiv:2006.13979, arXiv:2111.09296) are this model on many languages, larger: recipes.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from foresay.contracts import Batch, Losses, on_host, sent
from foresay.encoders.waveform_convolutions import WaveformConvolutions
from foresay.layers.dropout import Dropout
from foresay.masking import MaskedPositions, SpanLengths, SpanMask, masked_places, near_edges
from foresay.models.representation._masked_transformer import Clips, Latents, MaskedTransformer, MaskedTransformerSettings, scale_gradient
from foresay.objectives.masked_contrastive import MaskedContrastiveLoss, Pool, diversity_loss, draw_distractors, masked_contrastive_loss
from foresay.quantizers.gumbel import GumbelQuantizer, Quantized, code_use, falling_temperature
from foresay.settings import require_positive, require_shares

PUBLISHED_UPDATES = 400_000
"""Of BASE: where nobody says how many are planned."""


@dataclass(frozen=True)
class Wav2Vec2Settings(MaskedTransformerSettings):
    """wav2vec 2.0 BASE (section 4.2), and every ablation of its tables 5 and 13."""

    mask_probability: float = 0.065
    """Of a frame to begin a masked span (appendix A); the tables' baseline has 0.075."""
    mask_length: int = 10
    """Frames a span, or on average."""
    mask_spans: SpanLengths = "fixed"
    mask_spread: float = 0.0
    """How much spans differ: `uniform` from length - spread to length + spread; the standard deviation of `normal`."""
    mask_overlap: bool = True
    edge_steps: int | None = None
    """U: predict only so many masked frames from each edge of a masked span (Table 13); None: all."""
    target_dropout: float = 0.1
    """On the latents that become targets (released configuration)."""
    quantized_targets: bool = True
    """False: the latents themselves are the targets; there is no diversity loss then."""
    target_mlp: bool = False
    """Project targets by two layers instead of one (Table 13: "+ MLP on targets", of a size that the paper does not state)."""
    separate_encoders: bool = False
    """Targets come from convolutions of their own (Table 13)."""
    codebooks: int = 2
    codes: int = 320
    """V: entries of a codebook."""
    code_size: int = 256
    """Features of one entry of each codebook, side by side."""
    target_size: int = 256
    """D': features in which contexts and targets are compared."""
    gumbel_noise: bool = True
    quantizer_gradient: bool = True
    """Whether the quantizer trains the convolutions."""
    temperature_start: float = 2.0
    temperature_floor: float = 0.5
    temperature_share: float = 0.693145
    """Share of all updates after which the Gumbel temperature, falling exponentially, reaches its floor: what the paper's factor of
    0.999995 an update makes of the 400,000 of BASE. A factor would make another algorithm of a shorter training."""
    diversity: float = 0.1
    """Weight of the share of codes that are not used (alpha, section 3.2)."""
    feature_penalty: float = 10.0
    """Weight of the mean square of the convolutions' output (released configuration)."""
    similarity_temperature: float = 0.1
    """kappa (section 4.2)."""
    negative_count: int = 100
    """K: distractors from the same utterance."""
    batch_negative_count: int = 0
    """Distractors from any utterance of the group, in addition (Table 13)."""
    negatives: Literal["masked", "any"] = "masked"
    """Frames that distractors are drawn from."""
    group: int = 6
    """Utterances that share the mean of the diversity loss and stay on one device. The reference takes whatever one GPU holds, 5.6 crops
    of 15.6 s on average: then the loss depends on the number of GPUs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "edge_steps", "codebooks", "codes", "code_size", "target_size", "negative_count", "group")
        require_positive(self, "temperature_start", "temperature_floor", "temperature_share", "similarity_temperature")
        require_shares(self, "target_dropout")


class PreparedSpans(NamedTuple):
    """A batch, and what was drawn for it."""

    clips: Clips
    mask: Tensor
    """(B, T) bool."""
    contexts: MaskedPositions
    """The P frames of an utterance whose targets are asked for."""
    targets: MaskedPositions
    """The M frames of an utterance whose targets there are."""
    own: Tensor
    """(B, P) int64: which target of its group's pool is a context's own."""
    distractors: Tensor
    """(B, P, N) int64: which ones it is contrasted with."""
    noise: Tensor | None
    """(B, M, G, V) of the codes."""
    temperature: Tensor
    """() of the codes."""
    kept: Tensor | None
    """(L,) bool on the CPU: the blocks that are run; None: all."""


class Wav2Vec2(MaskedTransformer):
    """wav2vec 2.0."""

    def __init__(self, settings: Wav2Vec2Settings) -> None:
        super().__init__(settings)
        s = self.settings = settings
        self.group = s.group
        self.mask = SpanMask(s.mask_probability, s.mask_length, spans=s.mask_spans, spread=s.mask_spread, overlap=s.mask_overlap)
        self.target_encoder = _TargetEncoder(s) if s.separate_encoders else None
        self.target_dropout = Dropout(s.target_dropout)
        self.quantizer = None
        if s.quantized_targets:
            self.quantizer = GumbelQuantizer(s.channels, s.codebooks, s.codes, s.code_size, noise=s.gumbel_noise)
            self.codebooks = s.codebooks
        self.target_projection = _target_projection(s.code_size if s.quantized_targets else s.channels, s.target_size, mlp=s.target_mlp)
        self.context_projection = nn.Linear(s.size, s.target_size)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of one masked view of each utterance, a mean over masked frames."""
        return self.compute(self.prepare(batch, step))

    @on_host
    def prepare(self, batch: Batch, step: int) -> PreparedSpans:
        """Draw what is masked, distractors, the noise of codes and the blocks that are run."""
        s = self.settings
        clips, counts = self.clips(batch)
        device = clips.waveforms.device
        mask = self.mask(counts, batch.keys)
        asked = mask if s.edge_steps is None else near_edges(mask, counts, s.edge_steps)
        offered = mask if s.negatives == "masked" else torch.arange(mask.shape[1]) < torch.tensor(counts)[:, None]
        contexts, targets = masked_places(asked), masked_places(offered)
        own = (offered.cumsum(1) - 1).clamp(min=0).gather(1, contexts.frames)  # of its utterance's targets
        distractors = draw_distractors(
            own, targets.counts, batch.keys, same=s.negative_count, others=s.batch_negative_count, group=self._pooled
        )
        most = targets.frames.shape[1]
        first = torch.arange(len(own)) % self._pooled * most  # where an utterance's targets begin in its group's pool
        return PreparedSpans(
            clips,
            sent(mask, device),
            contexts.to(device),
            targets.to(device),
            sent(own + first[:, None], device),
            sent(distractors, device),
            None if self.quantizer is None else self.quantizer.draw(most, batch.keys),
            torch.full((), self.temperature(step), device=device),
            self.transformer.draw((self.seed, step)),
        )

    def compute(self, given: PreparedSpans) -> Losses:
        """Compute the loss."""
        s = self.settings
        latents = self.latents(given.clips)
        targets, quantized = self._targets(latents, given)
        states = self.encode(latents.values, given.mask, latents.lengths, kept=given.kept)
        term, accuracy = self._contrast(self.context_projection(given.contexts.of(states[-1])), targets, quantized, given)

        terms = {"contrastive": term}
        scalars = {"accuracy": accuracy, "latent_std": latents.values.detach().float().std(dim=(0, 1)).mean()}
        if s.feature_penalty:
            terms["feature_penalty"] = latents.penalty(s.feature_penalty)
        if quantized is not None:
            terms["diversity"] = diversity_loss(quantized.probabilities, given.targets.real, s.group, s.diversity)
            scalars |= {**code_use(quantized.codes, given.targets.real, s.codes), "temperature": given.temperature}
        return Losses(terms, scalars, {"accuracy": "contrastive"})

    @staticmethod
    def depends_on_length(settings: Wav2Vec2Settings) -> bool:
        """Whether there is a temperature, which falls over a share of all updates."""
        return settings.quantized_targets

    def temperature(self, step: int) -> float:
        """Say how soft the quantizer's choice is at an update: it falls exponentially from the start to the floor."""
        s = self.settings
        falling = s.temperature_share * (self.updates or PUBLISHED_UPDATES)
        return falling_temperature(step, falling, s.temperature_start, s.temperature_floor)

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        """`mask` (B, T); `codes` (B, T, G) and `code_probability` (B, T, G, V) of all frames, masked or not."""
        clips, counts = self.clips(batch)
        latents = self.latents(clips).values
        shown = {"mask": self.mask(counts, batch.keys)}
        if self.quantizer is not None:
            quantized = self.quantizer(latents, 1.0, self.quantizer.draw(latents.shape[1], batch.keys))
            shown |= {"codes": quantized.codes, "code_probability": quantized.probabilities}
        return shown

    def codes(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Quantize the latents of waveforms (B, S), of which `lengths` (B,) are real: codes (B, T, G)."""
        if self.quantizer is None:
            return super().codes(waveforms, lengths)
        longest = waveforms.shape[1] if self.settings.padding_in_norm else int(lengths.max())
        encoded = self.convolutions(self._prepared(waveforms[:, :longest], lengths), lengths)
        frames = int(self.convolutions.frame_count(lengths).max())
        return self.quantizer(self.latent_norm(encoded[:, :frames]), self.settings.temperature_floor).codes

    @property
    def _pooled(self) -> int:
        """How many utterances share a pool of targets: where distractors come from one's own alone, smaller products do."""
        return self.settings.group if self.settings.batch_negative_count else 1

    def _targets(self, latents: Latents, given: PreparedSpans) -> tuple[Tensor, Quantized | None]:
        """Make targets (B, M, D') of the latents at some places, quantized ones if so set."""
        values = latents.values
        if self.target_encoder is not None:
            waveforms, samples, _ = given.clips
            values = self.target_encoder(self._prepared(waveforms, samples), samples)
        values = self.target_dropout(given.targets.of(values))
        if self.quantizer is None:
            return self.target_projection(values), None
        if not self.settings.quantizer_gradient:
            values = values.detach()
        quantized = self.quantizer(values, given.temperature, given.noise)
        return self.target_projection(quantized.values), quantized

    def _contrast(self, contexts: Tensor, targets: Tensor, quantized: Quantized | None, given: PreparedSpans) -> MaskedContrastiveLoss:
        """Compare contexts (B, P, D') with targets (B, M, D')."""
        s, pooled = self.settings, self._pooled * targets.shape[1]
        identities = None if quantized is None else _identities(quantized.codes, s.codes).view(-1, pooled)
        pool = Pool(targets.reshape(-1, pooled, s.target_size), identities)
        return masked_contrastive_loss(contexts, pool, given.own, given.distractors, given.contexts.real, s.similarity_temperature)


class _TargetEncoder(nn.Module):
    """Convolutions of the targets alone."""

    def __init__(self, s: Wav2Vec2Settings) -> None:
        super().__init__()
        self.convolutions = WaveformConvolutions(
            s.channels, s.kernels, s.strides, s.norm, bias=s.convolution_bias, padded=s.padding_in_norm
        )
        self.norm = nn.LayerNorm(s.channels)
        self.gradient = s.feature_gradient

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """(B, S) -> (B, T, C)."""
        output = self.convolutions(waveforms, lengths)
        return self.norm(scale_gradient(output, self.gradient))


def _target_projection(size: int, target_size: int, *, mlp: bool) -> nn.Module:
    if mlp:
        return nn.Sequential(nn.Linear(size, target_size), nn.GELU(), nn.Linear(target_size, target_size))
    return nn.Linear(size, target_size)


def _identities(codes: Tensor, size: int) -> Tensor:
    """Give each of the V^G codes (…, G) a number: (…)."""
    return (codes * size ** torch.arange(codes.shape[-1], device=codes.device)).sum(-1)
