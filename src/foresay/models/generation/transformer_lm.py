"""Transformer LM: a causal, decoder-only Transformer over words, letters, phones or units, which predicts the next symbol.

Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), in the pre-norm form of Radford et al. (2019); input and output share their
embeddings (arXiv:1608.05859). As the language model of a recognizer: Synnaeve et al. (arXiv:1911.08460), wav2vec 2.0 (arXiv:2006.11477).

    <s>  the  cat  sat     --> embeddings + positions --> blocks, each place attends to those before it --> log p of the next symbol
    the  cat  sat  </s>    predicted                                                                        (B, U + 1, V + 2)

A state is a context. What was computed for one, its keys and values in every block and log p of what follows, is kept until a new search
begins: a beam that grows by a symbol costs the new symbols alone.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.errors import UserError
from foresay.layers.dropout import Dropout
from foresay.layers.transformer import Transformer, TransformerBlock
from foresay.models.generation._next_symbol import NextSymbol
from foresay.settings import require_positive, require_shares
from foresay.text.normalization import Normalizer, Outside
from foresay.text.vocabulary import BLANK, SUBWORDS, Unit, Vocabulary, split_text

KEPT = 2**29
"""Bytes of contexts that are kept from one search to the next."""
TOGETHER = 512
"""Contexts that are computed at once."""


@dataclass(frozen=True)
class TransformerLMSettings:
    """The base model of arXiv:1706.03762, Table 3."""

    symbols: tuple[str, ...] = ()
    """V: what is predicted. `TransformerLM.completed` takes it from texts."""
    unit: Unit = "words"
    """What a symbol is: whatever stands between spaces (words, phones, units), a letter, with | between words, or a subword."""
    subwords: int = SUBWORDS
    """How many of them are learnt from the texts, where they are the unit and no symbols are stated."""
    normalization: str | None = None
    """Profile by which texts are normalized first (`text/normalization.py`); None: they are taken as they stand."""
    outside: Outside = "refuse"
    """What becomes of digits, signs and letters that the profile has not."""
    least: int = 1
    """Symbols that come more rarely in the texts are unknown: the model then learns how probable an unknown symbol is."""
    size: int = 512
    """D."""
    layers: int = 6
    heads: int = 8
    inner: int = 2048
    """Width of the feed-forward networks."""
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require_positive(self, "least", "subwords", "size", "layers", "heads", "inner")
        require_shares(self, "dropout")
        if self.size % 2:
            msg = f"size = {self.size} must be even: half of a position is sines, half cosines"
            raise ValueError(msg)


class TransformerLM(NextSymbol):
    """Predicts each symbol from all before it. Symbol V is the unknown one, V + 1 begins and ends sentences."""

    def __init__(self, settings: TransformerLMSettings) -> None:
        super().__init__()
        if not settings.symbols:
            msg = "model.symbols is empty: name the symbols that are predicted, or take them from texts (`TransformerLM.completed`)"
            raise UserError(msg)
        s = self.settings = settings
        self._numbers = {symbol: number for number, symbol in enumerate(s.symbols)}
        self._subwords = Vocabulary((BLANK, *s.symbols), "bpe") if s.unit == "bpe" else None
        self.unknown, self.edge = len(s.symbols), len(s.symbols) + 1
        self.embedding = nn.Embedding(len(s.symbols) + 2, s.size)
        nn.init.normal_(self.embedding.weight, std=s.size**-0.5)
        self.dropout = Dropout(s.dropout)
        self.transformer = Transformer(s.size, s.layers, s.heads, s.inner, pre_norm=True, dropout=s.dropout, attention_dropout=s.dropout)
        self.bias = nn.Parameter(torch.zeros(len(s.symbols) + 2))
        self._contexts = _Contexts()

    @classmethod
    def completed(cls, settings: TransformerLMSettings, texts: Iterable[str]) -> TransformerLMSettings:
        """Take the symbols from texts, if none are stated."""
        if settings.symbols:
            return settings
        normalized = (_normalized(text, settings) for text in texts)
        if settings.unit == "bpe":
            return replace(settings, symbols=Vocabulary.of_texts("bpe", normalized, size=settings.subwords + 1).symbols[1:])
        counts = Counter(symbol for text in normalized for symbol in split_text(text, settings.unit))
        return replace(settings, symbols=tuple(sorted(symbol for symbol, count in counts.items() if count >= settings.least)))

    def numbers(self, text: str) -> list[int]:
        """Number the symbols of a text; those that it does not know are the unknown one."""
        return [self._numbers.get(symbol, self.unknown) for symbol in self.split(text)]

    def logits(self, given: Tensor) -> Tensor:
        """Score what follows each place: (B, U) numbers -> (B, U, V + 2); of what comes later nothing is used."""
        return self._scored(self.states(given)[-1])

    def states(self, given: Tensor) -> list[Tensor]:
        """Return what block 1 is given, what it gives, … what the last one gives, normalized: (B, U) numbers -> (B, U, D) each."""
        places = torch.arange(given.shape[1], device=given.device)
        later = torch.full((1, 1, len(places), len(places)), -torch.inf, device=given.device).triu(1)
        hidden: list[Tensor] = self.transformer(self._embedded(given, places), position_bias=lambda frames, _: later.to(frames.dtype))
        return hidden

    def split(self, text: str) -> list[str]:
        """Split a text into the symbols that are predicted."""
        text = _normalized(text, self.settings)
        return self._subwords.split(text) if self._subwords else split_text(text, self.settings.unit)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - PyTorch's
        """Turn dropout on or off; whatever was computed for contexts is forgotten."""
        self._contexts = _Contexts()
        return super().train(mode)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The V symbols."""
        return self.settings.symbols

    @property
    def normalization(self) -> str | None:
        """The profile of its texts."""
        return self.settings.normalization

    @property
    def start(self) -> int:
        """The state at the beginning of a sentence. A search asks for it first: states of earlier searches may be forgotten then."""
        if self._contexts.bytes > KEPT:
            self._contexts = _Contexts()
        return 0

    def advance(self, states: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
        """Score a symbol in each state: (N,), (N,) int64 -> log p (N,) and the states after it (N,). -1 stands for an unknown symbol."""
        symbols = torch.where(symbols < 0, self.unknown, symbols)
        places = self._computed(states)
        return self._contexts.log_probabilities.rows[places, symbols], 1 + places * self.edge + symbols

    def advance_all(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Score every symbol in each state: (N,) -> log p (N, V) and the states after it (N, V)."""
        places = self._computed(states)
        symbols = torch.arange(self.unknown, device=states.device)
        return self._contexts.log_probabilities.rows[places, : self.unknown], 1 + (places * self.edge)[:, None] + symbols

    def end(self, states: Tensor) -> Tensor:
        """Score the end of the sentence in each state: (N,) -> log p (N,)."""
        places = self._computed(states)
        return self._contexts.log_probabilities.rows[places, self.edge]

    def _computed(self, states: Tensor) -> Tensor:
        """Return where the contexts of states are kept (N,), and compute those that are not.

        State 0 is the beginning; any other is 1 + the place of its context without the last symbol x (V + 1) + that symbol.
        """
        different, which = states.unique(return_inverse=True)
        place_of = self._contexts.place_of
        fresh = [state for state in different.tolist() if state not in place_of]
        for begin in range(0, len(fresh), TOGETHER):
            some = fresh[begin : begin + TOGETHER]
            self._compute(torch.tensor(some, device=states.device))
            place_of.update(zip(some, range(len(place_of), len(place_of) + len(some)), strict=True))
        return torch.tensor([place_of[state] for state in different.tolist()], dtype=torch.int64, device=states.device)[which]

    @torch.no_grad()
    def _compute(self, states: Tensor) -> None:
        """Compute contexts (N,) whose beginnings are kept, and keep them."""
        kept = self._contexts
        parents = torch.where(states > 0, (states - 1) // self.edge, -1)
        symbols = torch.where(states > 0, (states - 1) % self.edge, self.edge)
        path = kept.path(parents)  # (N, T) the places of shorter contexts, -1: none
        depth = (path >= 0).sum(1)
        mask = F.pad(path >= 0, (1, 0), value=True)[:, None, None]
        hidden = self._embedded(symbols, depth)
        keys, values = [], []
        for number, block in enumerate(self.transformer.blocks):
            assert isinstance(block, TransformerBlock)  # noqa: S101 - for whoever checks types
            packed = block.attention.query_key_value(block.attention_norm(hidden)).unflatten(-1, (3, self.settings.heads, -1))
            query, key, value = packed.unbind(1)  # (N, H, D / H)
            all_keys, all_values = kept.keys.along(path, number, key), kept.values.along(path, number, value)
            attended = F.scaled_dot_product_attention(query[:, :, None], all_keys, all_values, attn_mask=mask)
            hidden = hidden + block.attention.output(attended[:, :, 0].flatten(1))
            hidden = hidden + block.feed_forward(block.feed_forward_norm(hidden))
            keys.append(key)
            values.append(value)
        kept.parents.add(parents)
        kept.keys.add(torch.stack(keys, dim=1))
        kept.values.add(torch.stack(values, dim=1))
        kept.log_probabilities.add(self._scored(self.transformer.norm(hidden)).float().log_softmax(-1))

    def _embedded(self, symbols: Tensor, places: Tensor) -> Tensor:
        """Embed symbols (…) at places (…): (…, D)."""
        rates = torch.exp(torch.arange(0, self.settings.size, 2, device=places.device) * (-math.log(10_000) / self.settings.size))
        angles = places[..., None] * rates
        positions = torch.cat([angles.sin(), angles.cos()], dim=-1)
        return self.dropout(self.embedding(symbols) * math.sqrt(self.settings.size) + positions)

    def _scored(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.embedding.weight, self.bias)


def _normalized(text: str, settings: TransformerLMSettings) -> str:
    return text if settings.normalization is None else Normalizer(settings.normalization, settings.outside)(text, repr(text[:60]))


class _Rows:
    """A tensor that grows by rows."""

    def __init__(self) -> None:
        self.rows, self.count = torch.zeros(0), 0

    def add(self, new: Tensor) -> None:
        """Add rows (n, …)."""
        needed = self.count + len(new)
        if needed > len(self.rows):
            grown = new.new_empty(2 * needed, *new.shape[1:])
            if self.count:
                grown[: self.count] = self.rows[: self.count]
            self.rows = grown
        self.rows[self.count : needed] = new
        self.count = needed

    def along(self, path: Tensor, block: int, own: Tensor) -> Tensor:
        """Put a block's rows of the contexts on a path (N, T) after their own (N, H, D / H): (N, H, 1 + T, D / H)."""
        rows = own[:, None]
        return (torch.cat([rows, self.rows[path.clamp(min=0), block]], dim=1) if path.shape[1] else rows).transpose(1, 2)


class _Contexts:
    """What was computed for contexts, in the order in which it was."""

    def __init__(self) -> None:
        self.place_of: dict[int, int] = {}
        self.parents, self.keys, self.values, self.log_probabilities = (_Rows() for _ in range(4))

    @property
    def bytes(self) -> int:
        """How much memory they take."""
        return sum(one.rows.numel() * one.rows.element_size() for one in (self.keys, self.values, self.log_probabilities))

    def path(self, parents: Tensor) -> Tensor:
        """Follow contexts to the beginning: (N,) -> (N, T), the longest first, -1 where there is none any more."""
        path = []
        while bool((parents >= 0).any()):
            path.append(parents)
            parents = torch.where(parents >= 0, self.parents.rows[parents.clamp(min=0)], -1)
        return torch.stack(path, dim=1) if path else parents.new_zeros(len(parents), 0)
