"""wav2vec: convolutions only, and for each of the next steps the question whether a sound is the one that comes.

Schneider et al., "wav2vec: Unsupervised Pre-training for Speech Recognition" (arXiv:1904.05862), in the released "large" form, which
sees farther (aggregator kernels 2 … 13), compresses latents and adds shortcuts.

    waveform (B, S) --> encoder --> z (B, T, D), a latent of 30 ms every 10 ms --------------- z_t' and N = 10 other frames of the utterance
                                    |                                                                       |
                                    +--> causal aggregator, 0.8 s --> c (B, T, D)                           v
                                            |                                                    sigmoid(<h_k(c_t), z>): is it the one?
                                            +--> K = 12 linear heads h_k(c_t), for t' = t + offset + k --> sum_k binary cross-entropy
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Batch, Losses, Term
from foresay.encoders.utterance_normed_convolutions import CausalAggregator, UtteranceNormedEncoder
from foresay.models._encoder_and_context import EncoderAndContext
from foresay.negatives import Negatives, build_sampler


@dataclass(frozen=True)
class Wav2vecSettings:
    """wav2vec large (released configuration; arXiv:1904.05862, section 3.3)."""

    sample_rate: int = 16_000
    channels: int = 512
    kernels: tuple[int, ...] = (10, 8, 4, 4, 4, 1, 1)
    strides: tuple[int, ...] = (5, 4, 2, 2, 2, 1, 1)
    context_size: int = 512
    context_kernels: tuple[int, ...] = tuple(range(2, 14))
    predictions: int = 12
    """K: steps ahead that are predicted."""
    offset: int = 3
    """Frames from t to the first predicted one: the fewest that share no sample with what z_t sees (465 / 160, rounded up)."""
    negatives: str = "same_utterance"
    negative_count: int = 10
    """Each counts as much as the positive: the paper's lambda is their number."""
    negative_group: int = 1
    negative_options: dict[str, float | str] = field(default_factory=dict)


class Wav2vec(EncoderAndContext):
    """wav2vec."""

    def __init__(self, settings: Wav2vecSettings) -> None:
        s = settings
        super().__init__(UtteranceNormedEncoder(s.channels, s.kernels, s.strides), s.sample_rate)
        self.settings = settings
        self.group = s.negative_group
        self.context = CausalAggregator(s.channels, s.context_size, s.context_kernels)
        self.heads = nn.Linear(s.context_size, s.predictions * s.channels)
        self.negatives = build_sampler(s.negatives, s.negative_count, s.negative_group, s.channels, s.negative_options)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of equally long windows: of each prediction, the binary cross-entropies of what comes and of its negatives, summed."""
        latents = self.encoder(batch.waveforms)  # (B, T, D)
        first, steps = self.settings.offset, self.settings.predictions
        self.positions(latents, first + steps - 1)
        contexts = self.contexts(latents)[:, : latents.shape[1] - first]
        predictions = self.heads(contexts).unflatten(-1, (steps, -1))  # (B, T - offset, K, D)
        targets = latents if batch.targets is None else self.encoder(batch.targets)
        negatives = self.negatives(targets, batch.keys, latents.shape[1] - 1, 1)  # of z_1, z_2, …
        logits = _aimed_logits(predictions, targets[:, first:], Negatives(negatives.pool, negatives.rows[:, first - 1 :]))
        aimed = torch.arange(logits.shape[1], device=logits.device)[:, None] >= torch.arange(steps, device=logits.device)  # (T - offset, K)
        losses = F.softplus(torch.cat([-logits[..., :1], logits[..., 1:]], dim=-1)).sum(dim=-1)  # (B, T - offset, K)
        won = (logits[..., 0] > logits[..., 1:].max(dim=-1).values) & aimed
        count = logits.shape[0] * int(aimed.sum())
        spread = latents.detach().float().std(dim=(0, 1)).mean()
        return Losses({"contrastive": Term((losses * aimed).sum(), count)}, {"accuracy": won.sum() / count, "latent_std": spread})

    def contexts(self, latents: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Hear (B, T, D) latents, of which `lengths` (B,) frames are real. -> (B, T, D)."""
        heard: Tensor = self.context(latents, lengths)
        return heard

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
