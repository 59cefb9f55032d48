"""A language model of units around the body of another one: new embeddings, the body, a new output layer.

    <s> 71 11 --> embeddings --> [ body ] --> output layer --> log p of the next unit, or the end
    71 11 8       new                         new                                      (B, U + 1, V + 1)

A state is a context: 0 the beginning, any other 1 + the place of the context without its last unit x V + that unit. Keys and values are
kept of the contexts that were computed last: sequences that grow by a unit each, side by side, cost the new units alone.
"""

from dataclasses import dataclass, field
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import CausalBody
from foresay.errors import UserError
from foresay.models.generation._next_symbol import NextSymbol

SPREAD = 0.02
"""Standard deviation of what is new: that of Llama, Qwen, OPT and GPT-2."""


class BodyLM(NextSymbol):
    """Predicts each of V units from all before it. Unit V begins and ends utterances."""

    def __init__(self, units: int, body: CausalBody) -> None:
        """`units`: V."""
        super().__init__()
        self._numbers = {str(unit): unit for unit in range(units)}
        self.edge = units
        self.embedding = nn.Embedding(units + 1, body.size)
        self.body = body
        self.output = None if body.tied else nn.Linear(body.size, units + 1, bias=False)
        for new in (self.embedding, self.output):
            if new is not None:
                nn.init.normal_(new.weight, std=SPREAD)
        self._contexts = _Contexts()

    def states(self, given: Tensor) -> list[Tensor]:
        """Return what block 1 is given, … what the last one gives, normalized: (B, U) numbers -> (B, U, D) each."""
        return self.body.states(self.embedding(given))

    def logits(self, given: Tensor) -> Tensor:
        """Score what follows each place: (B, U) numbers -> (B, U, V + 1)."""
        return self._scored(self.states(given)[-1])

    def numbers(self, text: str) -> list[int]:
        """Number the units of a text.

        Raises:
            UserError: there is something else in it.
        """
        try:
            return [self._numbers[symbol] for symbol in self.split(text)]
        except KeyError as error:
            msg = f"{error} is none of the {self.edge} units of this model's tokenizer: it learns from units, not from transcripts"
            raise UserError(msg) from error

    def split(self, text: str) -> list[str]:
        """Split a text into units."""
        return text.split()

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - PyTorch's
        """Turn dropout on or off; whatever was computed for contexts is forgotten."""
        self._contexts = _Contexts()
        return super().train(mode)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The V units."""
        return tuple(self._numbers)

    @property
    def start(self) -> int:
        """The state at the beginning of an utterance. A search asks for it first: states of earlier searches are forgotten then."""
        self._contexts = _Contexts()
        return 0

    def advance(self, states: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
        """Score a unit in each state: (N,), (N,) int64 -> log p (N,) and the states after it (N,). -1, no unit, cannot come."""
        places, scores = self._computed(states)
        known = symbols.clamp(min=0)
        found = scores.gather(1, known[:, None])[:, 0].masked_fill(symbols < 0, -torch.inf)
        return found, torch.where(symbols < 0, states, 1 + places * self.edge + known)

    def advance_all(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Score every unit in each state: (N,) -> log p (N, V) and the states after it (N, V)."""
        places, scores = self._computed(states)
        return scores[:, : self.edge], 1 + (places * self.edge)[:, None] + torch.arange(self.edge, device=states.device)

    def end(self, states: Tensor) -> Tensor:
        """Score the end of the utterance in each state: (N,) -> log p (N,)."""
        return self._computed(states)[1][:, self.edge]

    def _computed(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the contexts of states are kept (N,), and log p of what follows them (N, V + 1)."""
        different, which = states.unique(return_inverse=True)
        place_of = self._contexts.place_of
        if fresh := [state for state in different.tolist() if state not in place_of]:
            self._compute(fresh)
        places = [place_of[state] for state in different.tolist()]
        scores = torch.stack([self._contexts.log_probabilities[place] for place in places])
        return torch.tensor(places, device=states.device)[which], scores[which]

    @torch.no_grad()
    def _compute(self, fresh: list[int]) -> None:
        """Compute contexts: a unit more than those that were computed last or, where they are not that, from their beginnings."""
        kept = self._contexts
        rows = [kept.row_of.get((state - 1) // self.edge, -1) for state in fresh]
        kept.row_of = {}  # a past is used up
        if min(rows) >= 0:
            chosen = torch.tensor(rows, device=self.device)
            past, real = self.body.rows_of(kept.past, chosen), F.pad(kept.real[chosen], (0, 1), value=True)
            given = [[(state - 1) % self.edge] for state in fresh]
        else:
            contexts = [self._context(state) for state in fresh]
            longest = max(map(len, contexts))
            past = None
            given = [[self.edge] * (longest - len(context)) + context for context in contexts]
            real = torch.tensor([[place >= longest - len(context) for place in range(longest)] for context in contexts], device=self.device)
        hidden, kept.past = self.body.read(self.embedding(torch.tensor(given, device=self.device)), real, past)
        kept.real = real
        for row, state in enumerate(fresh):
            place = len(kept.states)
            kept.states.append(state)
            kept.place_of[state], kept.row_of[place] = place, row
        kept.log_probabilities.extend(self._scored(hidden[:, -1]).float().log_softmax(-1))

    def _context(self, state: int) -> list[int]:
        """List the units that lead to a state, after the begin."""
        found: list[int] = []
        while state:
            found.append((state - 1) % self.edge)
            state = self._contexts.states[(state - 1) // self.edge]
        return [self.edge, *reversed(found)]

    def _scored(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, (self.output or self.embedding).weight)


@dataclass
class _Contexts:
    """What was computed for contexts, by their places, in the order in which it was."""

    states: list[int] = field(default_factory=list)
    log_probabilities: list[Tensor] = field(default_factory=list)
    """(V + 1,) each."""
    place_of: dict[int, int] = field(default_factory=dict)
    """State -> place."""
    row_of: dict[int, int] = field(default_factory=dict)
    """Place -> row of what was computed last."""
    past: Any = None
    """Of what was computed last, in the body's own form."""
    real: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.bool))
    """(N, T) of what was computed last: where there are symbols, and not what fills shorter contexts up at their beginnings."""
