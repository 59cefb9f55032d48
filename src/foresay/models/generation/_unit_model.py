"""Models of the units of speech around a network that predicts the next symbol: what units they are given, and on which clock.

    waveform (B, S) --> tokenizer --> units of frames   71 71 71 11 11 8     (B, 1, T)
                                      runs merged       71 11 8              (B, 1, U)
    <s> 71 11 --> network --> log p of the next unit

The network is trained on units as texts, which are written once; what it computes of units makes features, on the clock of the tokenizer:
each unit's are repeated as long as it lasts. A recording of more units than any text that it was trained on, or than it has places for, is
read in windows (`decoding/context_windows.py`): attention costs the square of what is read at once.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts import Batch, Frames, Losses, Sampling, Tokenizer, TokenModel, Tokens
from foresay.decoding.context_windows import SHORTEST, ContextWindow, context_windows
from foresay.decoding.sampling import sample
from foresay.errors import UserError
from foresay.models.generation._next_symbol import NextSymbol

UNKNOWN = 3072
"""Symbols that are read at once where no text was trained on, or a run of before does not say how long they were: GSLM's blocks."""


class UnitModel(TokenModel):
    """Predicts each unit from all before it. Layers `L0`, what block 1 is given, `L1`, … are what it knows once it has read a unit."""

    needs = ("text",)
    longest: Tensor
    """() int64: symbols of the longest text that it was trained on, the begin counted; 0: of none."""

    @abstractmethod
    def __init__(self, tokenizer: Tokenizer, network: NextSymbol, blocks: int, *, merged: bool, places: int | None = None) -> None:
        """`tokenizer`: of one unit a frame; it is not trained. `network`: of its units, with so many blocks, and so many places at most.

        Raises:
            UserError: the tokenizer gives several symbols to each frame.
        """
        super().__init__()
        if tokenizer.levels != 1:
            msg = f"a unit LM models one unit after the other, and this tokenizer gives {tokenizer.levels} symbols to each frame"
            raise UserError(msg)
        self.tokenizer, self.merged, self.places = tokenizer, merged, places
        if isinstance(tokenizer, nn.Module):
            tokenizer.requires_grad_(requires_grad=False)
        self.network = network
        self.layer_names = tuple(f"L{number}" for number in range(blocks + 1))
        encoder = tokenizer.encoder
        self.sample_rate, self.receptive_field, self.first_center = encoder.sample_rate, encoder.receptive_field, encoder.first_center
        self.register_buffer("longest", torch.tensor(0))
        self.register_load_state_dict_pre_hook(_say_unknown)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """-log p of every unit and of every end, of units as texts."""
        if self.training:
            self.longest.clamp_(min=1 + max(len(self.network.split(text)) for text in batch.text or ("",)))
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

    def after_step(self, step: int) -> dict[str, float]:
        """Know the longest text of all devices."""
        if dist.is_initialized():
            dist.all_reduce(self.longest, dist.ReduceOp.MAX)
        return {}

    @property
    def window(self) -> int:
        """As many symbols as the longest text that it was trained on has, but no more than the network has places for."""
        known = int(self.longest) or UNKNOWN
        return max(known if self.places is None else min(known, self.places), SHORTEST)

    @property
    def language_model(self) -> NextSymbol:
        """The network, whose symbols are the numbers of units as text."""
        return self.network

    def modelled(self, tokens: Tokens) -> Tokens:
        """Merge runs of equal units or, where units of frames are modelled, repeat each as long as it lasts."""
        if self.merged:
            return tokens if tokens.frame_rate is None else tokens.merged()
        return tokens if tokens.durations is None else tokens.expanded(self.tokenizer.frame_rate)

    def log_probabilities(self, tokens: Tokens) -> Tensor:
        """Score each unit by those before it: tokens (B, 1, T or U) -> log p (B, U) in nats, 0 beyond an utterance's length."""
        units = self.prepared(tokens)
        ids = units.ids[:, 0].to(self.network.device)
        scores = []
        for own, some in self._windows(self._given(ids)[:, :-1]):
            found = self.network.logits(own)[:, some.first - some.begin :].float().log_softmax(-1)
            scores.append(found.gather(2, ids[:, some.first : some.stop, None])[..., 0])
        real = torch.arange(ids.shape[1], device=ids.device) < units.lengths.to(ids.device)[:, None]
        return torch.cat(scores, dim=1).masked_fill(~real, 0.0)

    def generate(self, prompts: Tokens, sampling: Sampling, keys: Sequence[int]) -> Tokens:
        """Continue prompts (B, 1, T or U), each by its key: what was drawn alone, (B, 1, U), on the CPU."""
        units = self.prepared(prompts)
        rows = [row[:length] for row, length in zip(units.ids[:, 0].tolist(), units.lengths.tolist(), strict=True)]
        found = sample(self.network, rows, sampling, keys, self.network.device, self.window)
        drawn = [torch.tensor(row, dtype=torch.int64) for row in found]
        rate = None if self.merged else self.tokenizer.frame_rate
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
        given = self._given(self.modelled(tokens).ids[:, 0].to(self.network.device))
        places = self._places(tokens).to(self.network.device)  # (B, T)
        parts: dict[str, list[Tensor]] = {layer: [] for layer in chosen}
        for own, some in self._windows(given):
            states = self.network.states(own)
            for layer, known in parts.items():
                known.append(states[self.layer_names.index(layer)][:, some.first - some.begin :])
        values = {}
        for layer, known in parts.items():
            state = torch.cat(known, dim=1)  # (B, 1 + U, D)
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

    def _windows(self, given: Tensor) -> Iterator[tuple[Tensor, ContextWindow]]:
        """Cut what is given (B, U) into windows, each of which begins as an utterance does: (B, W), and which places these are."""
        for some in context_windows(given.shape[1], self.window):
            own = given[:, some.begin : some.stop].clone()
            own[:, :1] = self.network.edge
            yield own, some

    def _given(self, ids: Tensor) -> Tensor:
        """Begin units (B, U) as what is given to the network begins: (B, 1 + U)."""
        return F.pad(ids, (1, 0), value=self.network.edge)


def _say_unknown(_: nn.Module, state: dict[str, Any], prefix: str, *__: object) -> None:
    """Load a run of before the longest text was kept."""
    state.setdefault(f"{prefix}longest", torch.tensor(0))
