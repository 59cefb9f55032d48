"""Speaker embedding: a voice by the mean of an encoder's layer over a recording, so that any recording is a voice.

Polyak et al., "Speech Resynthesis from Discrete Disentangled Self-Supervised Representations" (arXiv:2104.00355), section 3.1, take
vectors of a verifier; the mean of a self-supervised layer knows a voice as well (SUPERB, arXiv:2105.01051).

    recording (S,) --> encoder --> layer (T, D) --> mean and deviation over time (2 D,) --> standardized over the corpus --> vector

It is an estimator: one pass over a corpus finds the mean vector of each of its speakers, kept by name, and the scale of all. Whoever
speaks where the corpus does not say who is known by the audio alone: a mean of several voices is nobody's.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from foresay.contracts import Estimator, FeatureExtractor, FitData, SpeakerEncoder, sent
from foresay.corpora.item import UNKNOWN
from foresay.errors import AudioError, UserError, nearest
from foresay.settings import require_positive

LEAST_SCALE = 1e-3
"""Of a feature, against one that is the same in all recordings."""


@dataclass(frozen=True)
class SpeakerEmbeddingSettings:
    """Which frames are averaged."""

    layer: str
    """Of the encoder."""
    deviation: bool = True
    """Whether the deviation over time is part of a vector, too (x-vectors' statistics: arXiv:1803.10963)."""
    hours: float = 10.0
    """Speakers are learnt from about so many hours of the corpus, drawn at random."""
    speakers: tuple[str, ...] = ()
    """Who is known by name, sorted; read from the corpus."""

    def __post_init__(self) -> None:
        require_positive(self, "hours")


class SpeakerEmbedding(Estimator, SpeakerEncoder):
    """An encoder, and the vectors of those who are known."""

    vectors: Tensor
    """(N, D) of the speakers."""
    center: Tensor
    """(D,) mean of all recordings."""
    scale: Tensor
    """(D,) their deviation."""

    def __init__(self, settings: SpeakerEmbeddingSettings, encoder: FeatureExtractor) -> None:
        """`encoder`: any extractor of frames from audio; it is not trained.

        Raises:
            UserError: it has no such layer.
        """
        super().__init__()
        encoder.chosen((settings.layer,))
        self.encoder, self.size = encoder, encoder.size(settings.layer) * (2 if settings.deviation else 1)
        self.register_buffer("center", torch.zeros(self.size))
        self.register_buffer("scale", torch.ones(self.size))
        self._take(settings, torch.zeros(len(settings.speakers), self.size))

    def fit(self, data: FitData) -> None:
        """Find the vectors of the speakers of a corpus.

        Raises:
            UserError: it has no recordings.
        """
        s = self.settings
        found: defaultdict[str, list[Tensor]] = defaultdict(list)
        for recording in data.recordings(self.encoder, s.layer, hours=s.hours):
            if len(recording.frames):
                found[recording.speaker].append(self._pooled(recording.frames[None], torch.tensor([len(recording.frames)]))[0].cpu())
        if not found:
            msg = "there is no recording to learn a voice from: is the corpus empty, or are all its recordings too short for a frame?"
            raise UserError(msg)
        every = torch.cat([torch.stack(rows) for rows in found.values()])
        self.center.copy_(every.mean(0))
        self.scale.copy_(every.std(0, correction=0).clamp(min=LEAST_SCALE))
        names = sorted(found.keys() - {UNKNOWN})
        means = torch.stack([every.mean(0), *(torch.stack(found[name]).mean(0) for name in names)])[1:].to(self.center.device)
        self._take(replace(s, speakers=tuple(names)), (means - self.center) / self.scale)

    def of_names(self, names: Sequence[str]) -> Tensor:
        """Return the vectors of speakers by their names: (B, D).

        Raises:
            UserError: one is unknown.
        """
        for name in names:
            if name not in self.names:
                msg = f"no speaker {name!r} is known by name (a recording will do, too): {nearest(name, self.names)}"
                raise UserError(msg)
        return self.vectors.index_select(
            0, sent(torch.tensor([self.names.index(name) for name in names], dtype=torch.int64), self.vectors.device)
        )

    @torch.no_grad()
    def of_audio(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Return the vectors of whoever speaks in waveforms (B, S), of which `lengths` (B,) samples are real: (B, D).

        Raises:
            AudioError: one is too short for a frame.
        """
        layer = self.settings.layer
        counts = self.encoder.frame_count(lengths.cpu(), layer)
        if int(counts.min()) < 1:
            shortest = int(lengths.min()) / self.encoder.sample_rate
            msg = f"{shortest:.3f} s are too short to know a voice by: give a recording of some seconds"
            raise AudioError(msg)
        frames = self.encoder.features(waveforms, lengths, (layer,)).values[layer]
        return (self._pooled(frames, counts) - self.center) / self.scale

    def of_batch(self, names: Sequence[str], waveforms: Tensor, lengths: Tensor) -> Tensor:
        """Return the vectors of speakers who are known by their names, of others by the audio: (B, D).

        What is learnt with says nothing of a window but who speaks: the mean of half a second knows what is said as well.
        """
        known = {name for name in names if name in self.names}
        if known.issuperset(names):
            return self.of_names(names)
        by_audio = self.of_audio(waveforms, lengths)
        return torch.stack([self.of_names([name])[0] if name in known else row for name, row in zip(names, by_audio, strict=True)])

    def _pooled(self, frames: Tensor, counts: Tensor) -> Tensor:
        """Average frames (B, T, D) over the first `counts` (B,) of each: (B, D) or, with their deviation, (B, 2 D)."""
        real = sent((torch.arange(frames.shape[1]) < counts[:, None]).float()[..., None], frames.device)
        total = real.sum(1)
        mean = (frames * real).sum(1) / total
        if not self.settings.deviation:
            return mean
        return torch.cat([mean, (((frames - mean[:, None]) * real).square().sum(1) / total).sqrt()], dim=1)

    def _take(self, settings: SpeakerEmbeddingSettings, vectors: Tensor) -> None:
        self.settings, self.names = settings, settings.speakers
        self.register_buffer("vectors", vectors)
