"""Contrastive Predictive Coding (CPC): contrastive prediction of future latents from a causal context.

van den Oord et al., "Representation Learning with Contrastive Predictive Coding" (arXiv:1807.03748), in the form of Rivière et al.
(arXiv:2002.02848: Transformer heads, channel norm) that ZeroSpeech 2021 and the ACPC paper (arXiv:2104.11946, section 4) use.

    waveform (B, S) --> encoder --> z (B, T, D), a latent every 10 ms ----------------------- targets z_{t+1} ... z_{t+K}
                                    |                                                          negatives, 128 a position
                                    +--> context (LSTM) --> c (B, T, D)                                  |
                                            |                                                            v
                                            +--> K heads --> p^k_t (B, K, W, D) --> scores <p^k_t, z> --> sum_k cross-entropy
"""

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from foresay.context import Context
from foresay.contracts import Batch, Losses
from foresay.encoders.strided_convolutions import StridedConvolutions
from foresay.models.representation._encoder_and_context import CausalModel
from foresay.negatives import DrawnNegatives, build_sampler
from foresay.objectives.contrastive import Similarity, contrastive_loss, contrastive_scores
from foresay.settings import find_class, require_at_most, require_not_negative, require_positive, require_shares


@dataclass(frozen=True)
class CPCSettings:
    """The network of the ACPC paper's CPC baseline (arXiv:2104.11946, section 4)."""

    sample_rate: int = 16_000
    channels: int = 256
    kernels: tuple[int, ...] = (10, 8, 4, 4, 4)
    strides: tuple[int, ...] = (5, 4, 2, 2, 2)
    paddings: tuple[int, ...] = (3, 2, 1, 1, 1)
    norm: Literal["channel", "batch", "none"] = "channel"
    context: str = "lstm"
    context_size: int = 256
    context_layers: int = 2
    predictor: str = "transformer"
    predictions: int = 12
    """K: frames ahead that are predicted."""
    dropout: float = 0.1
    """Inside the prediction heads."""
    output_dropout: float = 0.0
    """On the predictions; the authors' scripts used 0.5, which the paper does not mention."""
    negatives: str = "reference"
    negative_count: int = 128
    negative_group: int = 8
    """Utterances among which negatives are drawn; the paper's "8 groups" of a batch of 64."""
    negative_options: dict[str, float | str] = field(default_factory=dict)
    """Of the sampler itself, such as the length of a queue."""
    similarity: Similarity = "mean"

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "sample_rate", "channels", "kernels", "strides", "context_size", "context_layers")
        require_positive(self, "predictions", "negative_count", "negative_group")
        require_shares(self, "dropout", "output_dropout")
        require_at_most(self, 1000, "context_layers")


class CPC(CausalModel):
    """Contrastive Predictive Coding."""

    def __init__(self, settings: CPCSettings) -> None:
        s = settings
        super().__init__(
            StridedConvolutions(s.channels, s.kernels, s.strides, s.paddings, s.norm, s.negative_group),
            find_class("foresay.context", s.context, Context)(s.channels, s.context_size, s.context_layers),
            s.sample_rate,
        )
        self.settings = settings
        self.group = s.negative_group
        self.predictor: nn.Module = find_class("foresay.predictors", s.predictor, nn.Module)(
            s.context_size, s.channels, s.predictions, s.dropout
        )
        self.output_dropout = nn.Dropout(s.output_dropout)
        self.negatives = build_sampler(s.negatives, s.negative_count, s.negative_group, s.channels, s.negative_options)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of equally long windows: the sum over k of the cross-entropies of frame t + k among its negatives, a mean over positions."""
        waveforms, ahead = batch.audio.waveforms, self.settings.predictions
        frames, positions = self.counted(waveforms, ahead)
        drawn = self.negatives.drawn(frames, batch.keys, positions, ahead, device=waveforms.device)
        losses, targets = self.compute(waveforms, batch.targets, drawn)
        self.negatives.keep(targets, drawn)
        return losses

    def compute(self, waveforms: Tensor, others: Tensor | None, drawn: DrawnNegatives) -> tuple[Losses, Tensor]:
        """Compute the loss of (B, S) waveforms, and what is predicted: latents (B, T, D), of `others` if there are any."""
        latents = self.encoder(waveforms)  # (B, T, D)
        targets = latents if others is None else self.encoder(others)
        contexts, _ = self.context(latents)  # (B, T, D)
        predictions = self.output_dropout(self.predictor(contexts[:, : drawn.rows.shape[1]]))  # (B, K, W, D)
        negatives = self.negatives(targets, drawn)
        scores = contrastive_scores(predictions, targets, negatives, self.settings.predictions, self.settings.similarity)
        term, accuracy = contrastive_loss(scores)
        scalars = {"accuracy": accuracy, "latent_std": latents.detach().float().std(dim=(0, 1)).mean()}
        return Losses({"contrastive": term}, scalars), targets.detach()

    def after_step(self, step: int) -> dict[str, float]:
        """Let the encoder and the sampler remember what they were given."""
        self.encoder.after_step()
        self.negatives.after_step()
        return {}
