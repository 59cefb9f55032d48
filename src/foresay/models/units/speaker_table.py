"""Speaker table: the voices of a corpus by name, each a one-hot vector, of which a synthesizer learns an embedding.

Polyak et al., "Speech Resynthesis from Discrete Disentangled Self-Supervised Representations" (arXiv:2104.00355), section 3.1: a lookup
table does a little better than vectors of a verifier, for the speakers that are in it.

    names (B,) --> one-hot (B, D)

It is an estimator: one pass over a corpus reads who speaks. Of other voices it knows nothing: `speaker_embedding.py` takes a recording.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from foresay.contracts import Estimator, FitData, SpeakerEncoder, sent
from foresay.errors import UserError, nearest


@dataclass(frozen=True)
class SpeakerTableSettings:
    """Who is known."""

    speakers: tuple[str, ...] = ()
    """By name, sorted; read from the corpus."""


class SpeakerTable(Estimator, SpeakerEncoder):
    """The names."""

    reads_recordings = False
    place: Tensor
    """(0,), wherever the model is."""

    def __init__(self, settings: SpeakerTableSettings) -> None:
        super().__init__()
        self.register_buffer("place", torch.zeros(0), persistent=False)
        self._take(settings)

    def fit(self, data: FitData) -> None:
        """Read who speaks."""
        self._take(replace(self.settings, speakers=tuple(data.speakers())))

    def of_names(self, names: Sequence[str]) -> Tensor:
        """Return the vectors of speakers by their names: (B, D).

        Raises:
            UserError: one is unknown.
        """
        if not self.names:
            msg = (
                "this speaker table knows nobody, for it was not fitted. Fit one (foresay train speaker-table --corpus MANIFEST --run "
                "DIR), and name it: --set parts.speaker=DIR"
            )
            raise UserError(msg)
        for name in names:
            if name not in self.names:
                msg = f"no speaker {name!r} is known: {nearest(name, self.names)}"
                raise UserError(msg)
        return sent(torch.eye(self.size)[[self.names.index(name) for name in names]], self.place.device)

    def of_audio(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Return nothing of waveforms (B, S).

        Raises:
            UserError: speakers are known by name only.
        """
        msg = (
            f"a table knows speakers by name only ({', '.join(self.names[:8])}{', …' if self.size > 8 else ''}): name one, or train a "  # noqa: PLR2004
            "vocoder whose part `speaker` is a speaker-embedding, which takes recordings"
        )
        raise UserError(msg)

    def of_batch(self, names: Sequence[str], waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Return the vectors of speakers by their names: (B, D)."""
        return self.of_names(names)

    def _take(self, settings: SpeakerTableSettings) -> None:
        self.settings, self.names, self.size = settings, settings.speakers, len(settings.speakers)
