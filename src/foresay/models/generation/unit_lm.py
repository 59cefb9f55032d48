"""Unit LM: a causal Transformer over the units of speech, which predicts the next unit (textless NLP, GSLM).

Lakhotia et al., "On Generative Spoken Language Modeling from Raw Audio" (arXiv:2102.01192), section 3.2. No text is needed, and none is
learnt from: units come from speech alone.

    waveform (B, S) --> tokenizer --> units of frames   71 71 71 11 11 8     (B, 1, T)
                                      runs merged       71 11 8              (B, 1, U)
    <s> 71 11 --> embeddings + positions --> blocks, each place attends to those before it --> log p of the next unit
    71 11 8                                                                                    (B, U + 1, V + 2)

It is trained on units as texts, which are written once; what it computes of units makes features, on the clock of the tokenizer: each
unit's are repeated as long as it lasts. The Transformer is that of `transformer_lm.py`, and so are its states for sampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts import Batch, Frames, Losses, Sampling, Tokenizer, TokenModel, Tokens
from foresay.decoding.sampling import sample
from foresay.errors import UserError
from foresay.models.generation.transformer_lm import TransformerLM, TransformerLMSettings


@dataclass(frozen=True)
class UnitLMSettings:
    """The paper's model, `transformer_lm_big` of fairseq (section 4.3)."""

    merged: bool = True
    """Whether runs of equal units are merged into one (section 3.1)."""
    size: int = 1024
    """D."""
    layers: int = 12
    heads: int = 16
    inner: int = 4096
    """Width of the feed-forward networks."""
    dropout: float = 0.1


class UnitLM(TokenModel):
    """Predicts each unit from all before it. Layers `L0`, what block 1 is given, to `L12` are what it knows once it has read a unit."""

    needs = ("text",)

    def __init__(self, settings: UnitLMSettings, tokenizer: Tokenizer) -> None:
        """`tokenizer`: of one unit a frame; it is not trained.

        Raises:
            UserError: it gives several symbols to each frame.
        """
        super().__init__()
        if tokenizer.levels != 1:
            msg = f"a unit LM models one unit after the other, and this tokenizer gives {tokenizer.levels} symbols to each frame"
            raise UserError(msg)
        s = self.settings = settings
        self.tokenizer = tokenizer
        if isinstance(tokenizer, nn.Module):
            tokenizer.requires_grad_(requires_grad=False)
        units = tuple(map(str, range(tokenizer.vocabulary)))
        self.network = TransformerLM(
            TransformerLMSettings(units, size=s.size, layers=s.layers, heads=s.heads, inner=s.inner, dropout=s.dropout)
        )
        self.layer_names = tuple(f"L{number}" for number in range(s.layers + 1))
        encoder = tokenizer.encoder
        self.sample_rate, self.receptive_field, self.first_center = encoder.sample_rate, encoder.receptive_field, encoder.first_center

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """-log p of every unit and of every end, of units as texts."""
        losses: Losses = self.network(batch, step, phase)
        return losses

    def counts(self, batch: Batch, step: int, phase: str = "train") -> dict[str, float]:
        """Count the units, and the ends."""
        return self.network.counts(batch, step, phase)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - PyTorch's
        """Turn dropout on or off, but not in the tokenizer."""
        super().train(mode)
        if isinstance(self.tokenizer, nn.Module):
            self.tokenizer.eval()
        return self

    @property
    def language_model(self) -> TransformerLM:
        """The Transformer, whose symbols are the numbers of units as text."""
        return self.network

    def modelled(self, tokens: Tokens) -> Tokens:
        """Merge runs of equal units or, where units of frames are modelled, repeat each as long as it lasts."""
        if self.settings.merged:
            return tokens if tokens.frame_rate is None else tokens.merged()
        return tokens if tokens.durations is None else tokens.expanded(self.tokenizer.frame_rate)

    def log_probabilities(self, tokens: Tokens) -> Tensor:
        """Score each unit by those before it: tokens (B, 1, T or U) -> log p (B, U) in nats, 0 beyond an utterance's length."""
        units = self.prepared(tokens)
        ids = units.ids[:, 0].to(self._device)
        scores = self.network.logits(self._given(ids)[:, :-1]).float().log_softmax(-1)
        real = torch.arange(ids.shape[1], device=ids.device) < units.lengths.to(ids.device)[:, None]
        return scores.gather(2, ids[..., None])[..., 0].masked_fill(~real, 0.0)

    def generate(self, prompts: Tokens, sampling: Sampling, keys: Sequence[int]) -> Tokens:
        """Continue prompts (B, 1, T or U), each by its key: what was drawn alone, (B, 1, U), on the CPU."""
        units = self.prepared(prompts)
        rows = [row[:length] for row, length in zip(units.ids[:, 0].tolist(), units.lengths.tolist(), strict=True)]
        drawn = [torch.tensor(row, dtype=torch.int64) for row in sample(self.network, rows, sampling, keys, self._device)]
        rate = None if self.settings.merged else self.tokenizer.frame_rate
        lengths = torch.tensor([len(row) for row in drawn])
        return Tokens(pad_sequence(drawn, batch_first=True)[:, None], lengths, units.vocabulary, units.fingerprint, rate)

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        """Those of the tokenizer: (B,) -> (B,)."""
        return self.tokenizer.encoder.frame_count(lengths, self.tokenizer.layer)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Read the units of waveforms (B, S): layer -> (B, T, D), of each frame what is known once its unit is read."""
        chosen = self.chosen(layers)
        with torch.no_grad():
            tokens = self.tokenizer.encode(waveforms, lengths)
        states = self.network.states(self._given(self.modelled(tokens).ids[:, 0].to(self._device)))
        places = self._places(tokens).to(self._device)  # (B, T)
        values = {}
        for layer in chosen:
            state = states[self.layer_names.index(layer)]  # (B, 1 + U, D)
            values[layer] = state.gather(1, places[..., None].expand(-1, -1, state.shape[-1]))
        return Frames(values, dict.fromkeys(chosen, tokens.lengths), dict.fromkeys(chosen, self.tokenizer.frame_rate))

    def _places(self, tokens: Tokens) -> Tensor:
        """Say how many of the units that are modelled have been read at each frame: (B, T), from 1."""
        durations = self.modelled(tokens).durations
        frames = torch.arange(tokens.ids.shape[2]).expand(len(tokens.ids), -1).contiguous()
        if durations is None:
            return 1 + frames
        read = 1 + torch.searchsorted(durations.cumsum(1), frames, right=True)
        return read.clamp(max=durations.shape[1])  # frames beyond the longest utterance mean nothing

    def _given(self, ids: Tensor) -> Tensor:
        """Begin units (B, U) as what is given to the Transformer begins: (B, 1 + U)."""
        return F.pad(ids, (1, 0), value=self.network.edge)

    @property
    def _device(self) -> torch.device:
        return self.network.bias.device
