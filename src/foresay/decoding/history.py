"""Where the hypotheses of a beam came from: written down frame by frame, followed back once, at the end."""

import torch
from torch import Tensor

NOTHING = -1
"""What is emitted in a frame that adds nothing to a hypothesis."""


class History:
    """Back-pointers of B x K hypotheses over T frames, and what each frame added to them."""

    def __init__(self) -> None:
        self._parents: list[Tensor] = []
        self._added: list[tuple[Tensor, ...]] = []

    def append(self, parents: Tensor, *added: Tensor) -> None:
        """Write down a frame: of each hypothesis (B, K) its place in the beam before, and what it added, `NOTHING` or a number."""
        self._parents.append(parents)
        self._added.append(added)

    @property
    def parents(self) -> Tensor:
        """Of each hypothesis (B, K) of the last beam, its place in the one before."""
        return self._parents[-1]

    def settle(self, live: Tensor) -> list[Tensor]:
        """Forget, and return, the frames before which all that is live comes from one place.

        Args:
            live: (1, K) bool: the hypotheses of the last beam that may still win.

        Returns:
            For each kind of what was added, (T,) on the CPU: what the frames that are forgotten added to the one place.
        """
        if not self._parents:
            return []
        places = live[0].nonzero()[:, 0]
        kept = len(self._parents)
        while kept and len(places) > 1:  # to the last frame in which there is one place
            kept -= 1
            places = self._parents[kept][0, places].unique()
        last = places[None, :1]
        settled = History()
        settled._parents, settled._added = self._parents[:kept], self._added[:kept]
        self._parents, self._added = self._parents[kept:], self._added[kept:]
        return [kind[0, 0] for kind in settled.trace(last)] if kept else []

    def trace(self, places: Tensor) -> list[Tensor]:
        """Follow hypotheses at places (B, N) of the last beam back: for each kind of what was added, (B, N, T) on the CPU."""
        kinds: list[list[Tensor]] = [[] for _ in (self._added or [()])[0]]
        for parents, added in zip(reversed(self._parents), reversed(self._added), strict=True):
            for kind, numbers in zip(kinds, added, strict=True):
                kind.append(numbers.gather(1, places))
            places = parents.gather(1, places)
        return [torch.stack(kind[::-1], dim=2).cpu() for kind in kinds]


def emitted(rows: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return what the frames of a hypothesis added, (T,) or up to n in each, (T, n), and the frames that added it."""
    real = rows != NOTHING
    return tuple(rows[real].tolist()), tuple(real.nonzero()[:, 0].tolist())


def mixed(names: Tensor, numbers: Tensor) -> Tensor:
    """Give sequences with these names (N,), each a number longer now, their new names: int64, which wraps around."""
    names = names * 6364136223846793005 + (numbers + 1) * 1442695040888963407
    return names ^ (names >> 29)
