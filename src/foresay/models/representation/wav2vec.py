"""wav2vec: contrastive prediction of future latents with convolutions only and a binary cross-entropy; vq-wav2vec.

Schneider et al., "wav2vec: Unsupervised Pre-training for Speech Recognition" (arXiv:1904.05862), in the released "large" form, which
has a longer context (aggregator kernels 2 … 13), compresses latents and adds shortcuts.

    waveform (B, S) --> encoder --> z (B, T, D), a latent of 30 ms every 10 ms --------------- z_t' and N = 10 other frames of the utterance
                                    |                                                                       |
                                    +--> causal aggregator, 0.8 s --> c (B, T, D)                           v
                                            |                                                    sigmoid(<h_k(c_t), z>): is it the one?
                                            +--> K = 12 linear heads h_k(c_t), for t' = t + offset + k --> sum_k binary cross-entropy

vq-wav2vec (Baevski, Schneider and Auli, arXiv:1910.05453) puts a Gumbel quantizer after the encoder: z becomes q, one of V^G codes, which
the aggregator takes and the heads predict. It is a setting here, `codebooks`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Batch, Losses, Term, on_host, sent
from foresay.draws import LearningPurpose
from foresay.encoders.utterance_normed_convolutions import Activation, CausalAggregator, UtteranceNormedEncoder
from foresay.models.representation._encoder_and_context import EncoderAndContext
from foresay.negatives import DrawnNegatives, Negatives, build_sampler
from foresay.objectives.masked_contrastive import diversity_loss
from foresay.quantizers.gumbel import GumbelQuantizer, Quantized, code_use, falling_temperature
from foresay.settings import require_not_negative, require_positive

ACTIVATIONS: dict[str, Activation] = {"relu": F.relu, "gelu": F.gelu}
PUBLISHED_UPDATES = 400_000
"""Where nobody says how many are planned."""


@dataclass(frozen=True)
class Wav2vecSettings:
    """wav2vec large (released configuration; arXiv:1904.05862, section 3.3)."""

    sample_rate: int = 16_000
    channels: int = 512
    kernels: tuple[int, ...] = (10, 8, 4, 4, 4, 1, 1)
    strides: tuple[int, ...] = (5, 4, 2, 2, 2, 1, 1)
    norm_groups: int = 1
    """Groups of channels with statistics of their own in the encoder; as many as `channels` is wav2vec 2.0's norm."""
    activation: Literal["relu", "gelu"] = "relu"
    context_size: int = 512
    context_kernels: tuple[int, ...] = tuple(range(2, 14))
    predictions: int = 12
    """K: steps ahead that are predicted."""
    offset: int = 3
    """Frames from t to the first predicted one: the fewest that share no sample with z_t (465 / 160, rounded up)."""
    negatives: str = "same_utterance"
    negative_count: int = 10
    """Each counts as much as the positive: the paper's lambda is their number."""
    negative_group: int = 1
    negative_options: dict[str, float | str] = field(default_factory=dict)
    codebooks: int = 0
    """G: 0 is wav2vec, 2 is vq-wav2vec."""
    codes: int = 320
    """V: entries of a codebook."""
    shared_codebook: bool = True
    """Whether all G choose from one book (released configuration of vq-wav2vec)."""
    latent_norm: bool = False
    """Whether latents are layer-normed before they are quantized, as in wav2vec 2.0; vq-wav2vec does not."""
    temperature_start: float = 2.0
    temperature_floor: float = 0.5
    temperature_share: float = 0.693145
    """Share of all updates after which the Gumbel temperature reaches its floor: the released factor of 0.999995 in 400,000 updates."""
    diversity: float = 0.0
    """Weight of the share of codes that are not used, (G V - perplexity) / (G V). The released configuration gives it none."""

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "sample_rate", "channels", "kernels", "strides", "norm_groups", "context_size", "context_kernels")
        require_positive(self, "predictions", "offset", "negative_count", "negative_group", "codes")
        require_positive(self, "temperature_start", "temperature_floor", "temperature_share")


class PreparedSteps(NamedTuple):
    """A batch, and what was drawn for it."""

    waveforms: Tensor
    """(B, S)."""
    others: Tensor | None
    """(B, S): another version of them, which is predicted."""
    negatives: DrawnNegatives
    """Of z_offset, z_offset + 1, …"""
    aimed: Tensor
    """(T - offset, K) bool: whether prediction k of a position aims at a frame."""
    predicted: int
    """How many predictions of the batch do."""
    temperature: Tensor
    """()."""
    noise: tuple[Tensor | None, Tensor | None]
    """(B, T, G, V) of the codes, and of those of the other version."""


class Wav2vec(EncoderAndContext):
    """wav2vec."""

    def __init__(self, settings: Wav2vecSettings) -> None:
        s = settings
        activation = ACTIVATIONS[s.activation]
        encoder = UtteranceNormedEncoder(s.channels, s.kernels, s.strides, groups=s.norm_groups, activation=activation)
        super().__init__(encoder, s.sample_rate)
        self.settings = settings
        self.group = s.negative_group
        self.latent_norm = nn.LayerNorm(s.channels) if s.latent_norm else nn.Identity()
        self.quantizer = None
        if s.codebooks:
            self.layer_names, self.codebooks = ("z", "q", "c"), s.codebooks
            self.quantizer = GumbelQuantizer(s.channels, s.codebooks, s.codes, s.channels, shared=s.shared_codebook, hidden=2 * s.channels)
            nn.init.normal_(self.quantizer.entries)  # they are the aggregator's input: positive ones would be nearly alike to it
        self.context = CausalAggregator(s.channels, s.context_size, s.context_kernels, activation=activation)
        self.heads = nn.Linear(s.context_size, s.predictions * s.channels)
        self.negatives = build_sampler(s.negatives, s.negative_count, s.negative_group, s.channels, s.negative_options)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of equally long windows: of each prediction, the binary cross-entropies of what comes and of its negatives, summed."""
        given = self.prepare(batch, step)
        losses, targets = self.compute(given)
        self.negatives.keep(targets, given.negatives)
        return losses

    @on_host
    def prepare(self, batch: Batch, step: int) -> PreparedSteps:
        """Draw negatives and the noise of codes."""
        waveforms, first, steps = batch.audio.waveforms, self.settings.offset, self.settings.predictions
        frames, _ = self.counted(waveforms, first + steps - 1)
        drawn = self.negatives.drawn(frames, batch.keys, frames - 1, 1, device=waveforms.device)  # of z_1, z_2, …
        aimed = torch.arange(frames - first)[:, None] >= torch.arange(steps)
        return PreparedSteps(
            waveforms,
            batch.targets,
            drawn._replace(rows=drawn.rows[:, first - 1 :]),
            sent(aimed, waveforms.device),
            len(waveforms) * int(aimed.sum()),
            torch.full((), self.temperature(step), device=waveforms.device),
            (self._noise(frames, batch.keys), None if batch.targets is None else self._noise(frames, batch.keys, "codes of targets")),
        )

    def compute(self, given: PreparedSteps) -> tuple[Losses, Tensor]:
        """Compute the loss, and what is predicted: latents (B, T, D), or what they are quantized to."""
        first, steps, aimed, count = self.settings.offset, self.settings.predictions, given.aimed, given.predicted
        latents, quantized = self._encode(given.waveforms, given.temperature, given.noise[0])  # (B, T, D)
        targets = latents if given.others is None else self._encode(given.others, given.temperature, given.noise[1])[0]
        contexts = self.context(latents)[:, : latents.shape[1] - first]
        predictions = self.heads(contexts).unflatten(-1, (steps, -1))  # (B, T - offset, K, D)
        logits = _aimed_logits(predictions, targets[:, first:], self.negatives(targets, given.negatives))
        losses = F.softplus(torch.cat([-logits[..., :1], logits[..., 1:]], dim=-1)).sum(dim=-1)  # (B, T - offset, K)
        won = (logits[..., 0] > logits[..., 1:].max(dim=-1).values) & aimed
        terms = {"contrastive": Term((losses * aimed).sum(), count)}
        scalars = {"accuracy": won.sum() / count, "latent_std": latents.detach().float().std(dim=(0, 1)).mean()}
        if quantized is not None:
            real = torch.ones(quantized.codes.shape[:2], dtype=torch.bool, device=latents.device)
            scalars |= {
                **code_use(quantized.codes, real, self.settings.codes),
                "temperature": given.temperature,
            }
            if self.settings.diversity:
                terms["diversity"] = diversity_loss(quantized.probabilities, real, self.group, self.settings.diversity)
        return Losses(terms, scalars), targets.detach()

    @staticmethod
    def depends_on_length(settings: Wav2vecSettings) -> bool:
        """Whether there is a temperature, which falls over a share of all updates."""
        return settings.codebooks > 0

    def temperature(self, step: int) -> float:
        """Say how soft the quantizer's choice is at an update."""
        s = self.settings
        falling = s.temperature_share * (self.updates or PUBLISHED_UPDATES)
        return falling_temperature(step, falling, s.temperature_start, s.temperature_floor)

    def contexts(self, latents: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Summarize (B, T, D) latents, or what they are quantized to, of which `lengths` (B,) frames are real. -> (B, T, D)."""
        output: Tensor = self.context(latents, lengths)
        return output

    def layer_values(self, latents: Tensor, lengths: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        """Compute z, c, and of vq-wav2vec q (B, T, D): the chosen entries of the codebooks, which c is made of."""
        if self.quantizer is None:
            return super().layer_values(latents, lengths, wanted)
        values = self.quantizer(self.latent_norm(latents), self.settings.temperature_floor).values
        return {**super().layer_values(values, lengths, wanted), "z": latents, "q": values}

    def codes(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Quantize the latents of waveforms (B, S), of which `lengths` (B,) are real: codes (B, T, G)."""
        if self.quantizer is None:
            return super().codes(waveforms, lengths)
        latents = self.features(waveforms, lengths, ("z",)).values["z"]
        return self.quantizer(self.latent_norm(latents), self.settings.temperature_floor).codes

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        """Of vq-wav2vec `codes` (B, T, G), and `code_probability` (B, T, G, V)."""
        given = self.prepare(batch, 0)
        quantized = self._encode(given.waveforms, given.temperature, given.noise[0])[1]
        return {} if quantized is None else {"codes": quantized.codes, "code_probability": quantized.probabilities}

    def _noise(self, frames: int, keys: Tensor | None, purpose: LearningPurpose = "codes") -> Tensor | None:
        return None if self.quantizer is None else self.quantizer.draw(frames, keys, purpose)

    def _encode(self, waveforms: Tensor, temperature: Tensor, noise: Tensor | None) -> tuple[Tensor, Quantized | None]:
        """Encode (B, S) waveforms, and quantize, with `noise` (B, T, G, V): (B, T, D)."""
        latents: Tensor = self.encoder(waveforms)
        if self.quantizer is None:
            return latents, None
        quantized = self.quantizer(self.latent_norm(latents), temperature, noise)
        return quantized.values, quantized

    def after_step(self, step: int) -> dict[str, float]:
        """Let the encoder and the sampler remember what they were given."""
        self.encoder.after_step()
        self.negatives.after_step()
        return {}


def _aimed_logits(predictions: Tensor, targets: Tensor, negatives: Negatives) -> Tensor:
    """Score each target frame and its negatives by all predictions that aim at it.

    Prediction k of position t aims at target t + k: (B, T, K, D), (B, T, D) and N negatives each -> (B, T, K, 1 + N), of which those
    with t < k mean nothing. The candidates of a frame are fetched once, and meet all K predictions in one product.
    """
    aimed = torch.stack([F.pad(predictions[:, : predictions.shape[1] - k, k], (0, 0, k, 0)) for k in range(predictions.shape[2])], dim=2)
    pool, group = negatives.pool, len(targets) // len(negatives.pool)
    begins = torch.arange(len(pool), device=pool.device).repeat_interleave(group) * pool.shape[1]
    others = F.embedding(negatives.rows + begins[:, None, None], pool.flatten(0, 1))  # (B, T, N, D)
    candidates = torch.cat([targets[:, :, None], others], dim=2)
    logits = aimed @ candidates.transpose(-1, -2)
    return logits if logits.dtype == torch.float64 else logits.float()
