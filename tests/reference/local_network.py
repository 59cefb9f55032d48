"""A network of units that looks back no farther than some places: each adds a vector of its own to the scores of what follows."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.models.generation._next_symbol import NextSymbol


class LocalNetwork(NextSymbol):
    """By the last `back` symbols; a state is these symbols as the digits of a number."""

    def __init__(self, units: int, back: int) -> None:
        super().__init__()
        self.edge, self.back = units, back
        self.of = nn.Parameter(torch.randn(back, units + 2, units + 1, generator=torch.Generator().manual_seed(0)))
        """By how long ago, and what was then; the last of these: nothing."""

    def numbers(self, text: str) -> list[int]:
        return [int(symbol) for symbol in self.split(text)]

    def split(self, text: str) -> list[str]:
        return text.split()

    def states(self, given: Tensor) -> list[Tensor]:
        padded = F.pad(given, (self.back - 1, 0), value=self.edge + 1)
        scores = sum(self.of[ago, padded[:, self.back - 1 - ago : padded.shape[1] - ago]] for ago in range(self.back))
        assert isinstance(scores, Tensor)
        return [F.one_hot(given, self.edge + 1).float(), scores]

    def logits(self, given: Tensor) -> Tensor:
        return self.states(given)[-1]

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.edge)))

    @property
    def start(self) -> int:
        return self._number([self.edge + 1] * (self.back - 1) + [self.edge])

    def _number(self, digits: list[int]) -> int:
        return sum(digit * (self.edge + 2) ** place for place, digit in enumerate(reversed(digits)))

    def _scores(self, states: Tensor) -> Tensor:
        base = self.edge + 2
        return torch.stack([self.of[ago, states // base**ago % base] for ago in range(self.back)]).sum(0).log_softmax(-1)

    def advance(self, states: Tensor, symbols: Tensor) -> tuple[Tensor, Tensor]:
        after = (states * (self.edge + 2) + symbols) % (self.edge + 2) ** self.back
        return self._scores(states).gather(1, symbols[:, None])[:, 0], after

    def advance_all(self, states: Tensor) -> tuple[Tensor, Tensor]:
        symbols = torch.arange(self.edge)
        return self._scores(states)[:, :-1], (states[:, None] * (self.edge + 2) + symbols) % (self.edge + 2) ** self.back

    def end(self, states: Tensor) -> Tensor:
        return self._scores(states)[:, -1]
