"""Bidirectional ACPC: one context predicts the future, another the past, over the same latents.

Kawakami et al., "Learning Robust and Multilingual Speech Representations" (arXiv:2001.11128, section 2) train contrastive predictive
coding in both directions and use both contexts; here each direction is aligned as in ACPC (arXiv:2104.11946), and with M = K it is CPC.
Alone, the second direction is the `reverse` mode of the reference code. A context of both sides of a frame could copy what
it is to predict: so the two never meet in training, only in the feature c.

    waveform (B, S) --> encoder --> z (B, T, D) --> context over time ---------> heads --> the next M frames      (loss, forwards)
                                        |
                                        +--> turned around --> context --------> heads --> the M frames before   (loss, backwards)

    c (B, T, 2 D) = both contexts of a frame
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from foresay.context import Context
from foresay.contracts import Batch, Losses, Term
from foresay.encoders.strided_convolutions import StridedConvolutions
from foresay.models.representation._encoder_and_context import EncoderAndContext
from foresay.negatives import DrawnNegatives, build_sampler
from foresay.objectives.aligned_contrastive import Lattice, align, aligned_contrastive_loss
from foresay.objectives.contrastive import Scores, Similarity, contrastive_scores
from foresay.settings import find_class, require_at_most, require_not_negative, require_positive, require_shares


@dataclass(frozen=True)
class BidirectionalACPCSettings:
    """Those of ACPC; each direction has a context and heads of its own."""

    sample_rate: int = 16_000
    channels: int = 256
    kernels: tuple[int, ...] = (10, 8, 4, 4, 4)
    strides: tuple[int, ...] = (5, 4, 2, 2, 2)
    paddings: tuple[int, ...] = (3, 2, 1, 1, 1)
    norm: Literal["channel", "batch", "none"] = "channel"
    context: str = "lstm"
    context_size: int = 256
    """Of each direction; c is twice as large."""
    context_layers: int = 2
    predictor: str = "transformer"
    predictions: int = 8
    """K: predictions made at every position, in each direction."""
    matched: int = 12
    """M: frames that they are aligned to."""
    alignment: Literal["soft", "hard"] = "soft"
    dropout: float = 0.1
    """Inside the prediction heads."""
    negatives: str = "reference"
    negative_count: int = 128
    negative_group: int = 8
    """Utterances among which negatives are drawn."""
    negative_options: dict[str, float | str] = field(default_factory=dict)
    """Of the sampler itself, such as the length of a queue."""
    similarity: Similarity = "mean"

    def __post_init__(self) -> None:
        require_not_negative(self)
        require_positive(self, "sample_rate", "channels", "kernels", "strides", "context_size", "context_layers")
        require_positive(self, "predictions", "matched", "negative_count", "negative_group")
        require_shares(self, "dropout")
        require_at_most(self, 1000, "context_layers")


class DrawnBothWays(NamedTuple):
    """The negatives of each direction."""

    forwards: DrawnNegatives
    backwards: DrawnNegatives


class BidirectionalACPC(EncoderAndContext):
    """Aligned Contrastive Predictive Coding, forwards and backwards in time."""

    aligns = True

    def __init__(self, settings: BidirectionalACPCSettings) -> None:
        s = settings
        super().__init__(StridedConvolutions(s.channels, s.kernels, s.strides, s.paddings, s.norm, s.negative_group), s.sample_rate)
        self.settings = settings
        self.group = s.negative_group
        self.forwards, self.backwards = (_Direction(s) for _ in range(2))
        self.lattice = Lattice(s.alignment)

    def contexts(self, latents: Tensor, lengths: Tensor) -> Tensor:
        """Summarize (B, T, D) latents, of which `lengths` (B,) are real, in both directions. -> (B, T, 2 D)."""
        ahead, _ = self.forwards.context(latents)
        behind, _ = self.backwards.context(_turned(latents, lengths))
        return torch.cat([ahead, _turned(behind, lengths)], dim=-1)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Loss of equally long windows: the alignment's cost of both directions, each a mean over positions, halved."""
        drawn = self._draw(batch)
        losses, targets, turned = self.compute(batch.audio.waveforms, batch.targets, drawn)
        self.forwards.negatives.keep(targets, drawn.forwards)
        self.backwards.negatives.keep(turned, drawn.backwards)
        return losses

    def compute(self, waveforms: Tensor, others: Tensor | None, drawn: DrawnBothWays) -> tuple[Losses, Tensor, Tensor]:
        """Compute the loss of (B, S) waveforms, and what each direction predicts: latents (B, T, D), of `others` if there are any."""
        latents = self.encoder(waveforms)  # (B, T, D)
        targets = latents if others is None else self.encoder(others)
        ahead, _ = self.forwards.context(latents)
        scores = {"forwards": self.forwards(ahead, targets, drawn.forwards)}
        latents_turned, targets_turned = latents.flip(1), targets.flip(1)
        behind, _ = self.backwards.context(latents_turned)
        scores["backwards"] = self.backwards(behind, targets_turned, drawn.backwards)
        terms, accuracies = {}, []
        for name, found in scores.items():
            term, accuracy = aligned_contrastive_loss(found, self.lattice)
            terms[name] = Term(term.sum, term.count, weight=0.5)
            accuracies.append(accuracy)
        spread = latents.detach().float().std(dim=(0, 1)).mean()
        return Losses(terms, {"accuracy": torch.stack(accuracies).mean(), "latent_std": spread}), targets.detach(), targets_turned.detach()

    def after_step(self, step: int) -> dict[str, float]:
        """Let the encoder and the samplers remember what they were given."""
        self.encoder.after_step()
        for direction in (self.forwards, self.backwards):
            direction.negatives.after_step()
        return {}

    def inspect(self, batch: Batch) -> dict[str, Tensor]:
        """`alignment_posterior` (B, W, M, K) of the forward direction."""
        latents = self.encoder(batch.audio.waveforms)
        targets = latents if batch.targets is None else self.encoder(batch.targets)
        scores = self.forwards(self.forwards.context(latents)[0], targets, self._draw(batch).forwards)
        return {"alignment_posterior": align(scores, self.lattice).posterior}

    def _draw(self, batch: Batch) -> DrawnBothWays:
        waveforms, ahead = batch.audio.waveforms, self.settings.matched
        frames, positions = self.counted(waveforms, ahead)
        forwards, backwards = self.forwards.negatives, self.backwards.negatives
        return DrawnBothWays(
            forwards.drawn(frames, batch.keys, positions, ahead, device=waveforms.device),
            backwards.drawn(frames, batch.keys, positions, ahead, purpose="negatives, backwards", device=waveforms.device),
        )


class _Direction(nn.Module):
    """Context, heads and negatives of one direction; to it, what it goes towards is the future."""

    def __init__(self, settings: BidirectionalACPCSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.context: Context = find_class("foresay.context", s.context, Context)(s.channels, s.context_size, s.context_layers)
        self.predictor: nn.Module = find_class("foresay.predictors", s.predictor, nn.Module)(
            s.context_size, s.channels, s.predictions, s.dropout
        )
        self.negatives = build_sampler(s.negatives, s.negative_count, s.negative_group, s.channels, s.negative_options)

    def forward(self, contexts: Tensor, targets: Tensor, drawn: DrawnNegatives) -> Scores:
        """Score the predictions made from contexts (B, T, D) against targets (B, T, D)."""
        predictions = self.predictor(contexts[:, : drawn.rows.shape[1]])  # (B, K, W, D)
        negatives = self.negatives(targets, drawn)
        return contrastive_scores(predictions, targets, negatives, self.settings.matched, self.settings.similarity)


def _turned(frames: Tensor, lengths: Tensor) -> Tensor:
    """Turn each utterance (B, T, D) around within its length (B,); what lies beyond stays where it is."""
    times = torch.arange(frames.shape[1], device=frames.device)
    ends = lengths.to(frames.device)[:, None]
    order = torch.where(times < ends, ends - 1 - times, times)  # (B, T)
    return frames.gather(1, order[..., None].expand_as(frames))
