"""Emissions of a corpus in a file, so that searches with many settings encode it once.

The file knows the recognizer (a digest of its weights and settings) and what the corpus holds: of others it is made anew.
"""

import json
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from foresay.contracts import Encoded, Recognizer
from foresay.corpora.manifest import Manifest
from foresay.encoding.transcripts import encoded_of, padded, together
from foresay.files import make_folder, write_bytes
from foresay.fingerprint import fingerprint, of_model
from foresay.version import __version__

SCORES, LENGTHS, STAMP, IDS = "scores", "lengths", "stamp", "ids"


@dataclass(frozen=True)
class KeptEmissions:
    """Emissions of recordings, one after the other, in float32."""

    ids: tuple[str, ...]
    """Of the U recordings that have a frame."""
    scores: Tensor
    """(sum of T, V); of a recognizer that searches itself, its layer (sum of T, D)."""
    lengths: Tensor
    """(U,) int64, frames."""
    known: bool
    """Whether they were there before."""

    @classmethod
    def find(cls, recognizer: Recognizer, manifest: Manifest, device: str, path: Path) -> Self:
        """Read the emissions from a file, or encode the corpus and write it.

        Raises:
            AudioError: a recording cannot be read.
        """
        stamp = fingerprint(of_model(recognizer), manifest.digest, manifest.sound, __version__)
        if path.is_file() and (known := cls._read(path, stamp)):
            return known
        found = list(encoded_of(recognizer, manifest, device))
        ids = tuple(manifest.ids[index] for index, _ in found)
        scores = torch.cat([encoded.frames[0].cpu() for _, encoded in found])
        lengths = torch.cat([encoded.lengths for _, encoded in found])
        make_folder(path.parent)
        tensors, said = {SCORES: scores, LENGTHS: lengths}, {STAMP: stamp, IDS: json.dumps(ids)}
        write_bytes(path, safetensors.torch.save(tensors, said))
        return cls(ids, scores, lengths, known=False)

    def only(self, ids: Container[str]) -> Self:
        """Leave out all recordings but these."""
        chosen = [row for row, name in zip(self.scores.split(self.lengths.tolist()), self.ids, strict=True) if name in ids]
        lengths = torch.tensor([len(row) for row in chosen], dtype=torch.int64)
        scores = torch.cat([self.scores[:0], *chosen])
        return replace(self, ids=tuple(name for name in self.ids if name in ids), scores=scores, lengths=lengths)

    @classmethod
    def _read(cls, path: Path, stamp: str) -> Self | None:
        try:
            with safetensors.safe_open(path, "pt") as file:
                said = file.metadata() or {}
                if said.get(STAMP) != stamp:
                    return None
                return cls(tuple(json.loads(said[IDS])), file.get_tensor(SCORES), file.get_tensor(LENGTHS), known=True)
        except (OSError, safetensors.SafetensorError):  # cut off, or no such file: it is made anew
            return None

    def batches(self, width: int, device: str) -> Iterator[tuple[list[int], Encoded]]:
        """Yield recordings of like lengths together, as many as a beam of that width can take at once: their places and emissions."""
        rows = self.scores.split(self.lengths.tolist())
        order = self.lengths.argsort().tolist()
        singles = ((place, Encoded(rows[place][None].to(device), self.lengths[place : place + 1])) for place in order)
        for batch in together(singles, width):
            yield [place for place, _ in batch], padded([encoded for _, encoded in batch])
