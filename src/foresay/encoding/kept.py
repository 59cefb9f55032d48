"""What was encoded once and may be asked for again: the measures of one evaluation encode a recording once, not once each.

A batch is known by the model, the manifest and the samples of each of its recordings: the frames of another batch may differ by rounding,
and no number shall depend on which measure came first. What comes first stays; when so much is kept, the rest is encoded every time.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeAlias

from torch import Tensor

MOST = 2**30
"""Bytes that one evaluation keeps: a model of 256 dimensions in all, at 100 Hz, takes 6 MB a minute."""

Encoded: TypeAlias = Mapping[str, Sequence[Tensor]]
"""Layer -> of each recording of a batch (t, D)."""


class KeptFeatures:
    """Features of batches, by what they are of; at most `most` bytes, where they were made."""

    def __init__(self, most: int = MOST) -> None:
        self._left = most
        self._kept: dict[int, tuple[object, dict[Hashable, Encoded]]] = {}
        """By the model, which need not be hashable: its id, which is its own as long as it is held here."""

    @property
    def has_room(self) -> bool:
        """Whether it is worth while to encode more than is asked for."""
        return self._left > 0

    def get(self, model: object, batch: Hashable, layers: Sequence[str], encode: Callable[[], Encoded]) -> Encoded:
        """Return the layers of a batch as a model encodes it; what is not there yet is encoded, and kept if there is room."""
        _, batches = self._kept.setdefault(id(model), (model, {}))
        known = batches.get(batch, {})
        if all(layer in known for layer in layers):
            return known
        found = encode()
        fresh = {layer: parts for layer, parts in found.items() if layer not in known}
        size = sum(values.nbytes for parts in fresh.values() for values in parts)
        if size <= self._left:
            self._left -= size
            whole = {layer: [values.clone() for values in parts] for layer, parts in fresh.items()}  # without the batch they are cut of
            batches[batch] = {**known, **whole}
        return found
