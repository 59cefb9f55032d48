"""Noise from recordings, such as those of MUSAN, for the effect `noise`."""

import numpy as np

from foresay.audio.read import Waveform, resampled_length
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError


class RecordedNoise:
    """Draws stretches of a manifest's recordings, each second about as likely as any other."""

    def __init__(self, manifest: Manifest) -> None:
        """Look at the durations; nothing is read yet.

        Raises:
            UserError: the manifest has no audio.
        """
        self._manifest = manifest
        self._ends = np.cumsum(manifest.durations)
        if not manifest.durations.any():
            msg = f"{manifest.path} holds no audio, but noise was to be drawn from it: name another manifest with --set data.noise=MANIFEST"
            raise UserError(msg)

    def __call__(self, count: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
        """Draw (count,) samples of one recording; one that is too short is repeated.

        Raises:
            AudioError: the recording cannot be read.
        """
        place = rng.uniform(0, self._ends[-1])
        item = int(np.searchsorted(self._ends[:-1], place, side="right"))
        duration, rate = self._manifest.durations[item], int(self._manifest.sample_rates[item])
        length = resampled_length(round(duration * rate), rate, sample_rate)
        start = min(int((place - self._ends[item] + duration) * sample_rate), max(length - count, 0))
        stretch = self._manifest.read(item, sample_rate, start, min(start + count, length))
        return np.resize(stretch, count)
