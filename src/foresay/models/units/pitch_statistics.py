"""Pitch statistics: log F0 in standard deviations from its speaker's mean (normalized pitch), and back.

Polyak et al., "Speech Resynthesis from Discrete Disentangled Self-Supervised Representations" (arXiv:2104.00355), section 3.1: what remains
of pitch says how something is said, and little of who says it; restored in another speaker's range it is another voice's melody.

    waveform (B, S) --> tracker --> Hz (B, T) --> (log F0 - mean) / deviation, and whether voiced (B, T, 2) --> another's --> Hz

It is an estimator: one pass over part of a corpus measures the mean and the deviation of each speaker, who are kept by their names.
"""

import functools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from foresay.contracts import Estimator, FeatureExtractor, FitData, Pitch, PitchEncoder, sent
from foresay.corpora.item import UNKNOWN
from foresay.errors import UserError
from foresay.settings import require_positive

NARROWEST = 0.5
"""Of an unknown speaker's deviation: it is at least so many of a usual one's, or else a monotonous utterance would become a lively one."""
SHOWN = 8
"""Names in a note."""
_BUFFERS = {"written": torch.uint8, "means": torch.float32, "deviations": torch.float32}


@dataclass(frozen=True)
class PitchStatisticsSettings:
    """How much is measured."""

    hours: float = 10.0
    """Of the corpus, drawn at random."""
    least: float = 1.0
    """s of voiced speech that a speaker has at least; one of less stays unknown."""

    def __post_init__(self) -> None:
        require_positive(self, "hours", "least")


class PitchStatistics(Estimator, PitchEncoder):
    """A tracker of pitch, and each speaker's range. What it encodes are the normalized frames themselves."""

    size = 2
    written: Tensor
    """The names of the N speakers in UTF-8, a line each."""
    means: Tensor
    """(N + 1,) of log F0 in Hz; the last: of all speakers, each counted once."""
    deviations: Tensor
    """(N + 1,) alike."""

    def __init__(self, settings: PitchStatisticsSettings, tracker: FeatureExtractor) -> None:
        """`tracker`: an extractor with the layer `f0`, Hz or 0, such as `yin`; it is not trained.

        Raises:
            UserError: it has no such layer.
        """
        super().__init__()
        tracker.chosen(("f0",))
        self.settings, self.tracker, self.sample_rate = settings, tracker, tracker.sample_rate
        self.hop = self.code_hop = tracker.hop("f0")
        for name, kind in _BUFFERS.items():  # how many there are is known after the fit
            self.register_buffer(name, torch.zeros(0 if kind is torch.uint8 else 1, dtype=kind))

    def fit(self, data: FitData) -> None:
        """Measure the range of each speaker's pitch.

        Raises:
            UserError: nobody speaks for long enough.
        """
        moments: defaultdict[str, _Moments] = defaultdict(_Moments)
        for recording in data.recordings(self.tracker, "f0", hours=self.settings.hours):
            moments[recording.id if recording.speaker == UNKNOWN else recording.speaker].add(recording.frames[:, 0], recording.speaker)
        least = self.settings.least * self.sample_rate / self.hop
        kept = {name: found for name, found in sorted(moments.items()) if found.count >= least and found.deviation > 0}
        named = [name for name, found in kept.items() if found.speaker != UNKNOWN]
        if not kept:
            msg = (
                f"none of {len(moments):,} speakers has {self.settings.least:g} s of voiced speech whose pitch moves: is this speech? Give "
                "more audio, raise model.hours, or lower model.least"
            )
            raise UserError(msg)
        if few := sorted({found.speaker for found in moments.values()} - {UNKNOWN} - set(named)):
            listed = ", ".join(few[:SHOWN]) + (", …" if len(few) > SHOWN else "")
            data.note(f"{len(few):,} speakers have less than {self.settings.least:g} s of voiced speech, and stay unknown: {listed}")
        if any(found.speaker == UNKNOWN for found in moments.values()):
            data.note("recordings without a speaker count as one each: their range is known of all speakers together alone")
        ranges = [kept[name] for name in named]
        self._take(named, [one.mean for one in ranges], [one.deviation for one in ranges], list(kept.values()))

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The speakers whose range is known."""
        return tuple(bytes(self.written.tolist()).decode().splitlines())

    @torch.no_grad()
    def track(self, waveforms: Tensor, lengths: Tensor) -> Pitch:
        """Measure the pitch of waveforms (B, S), of which `lengths` (B,) samples are real: Hz (B, T)."""
        hertz = self.tracker.features(waveforms, lengths, ("f0",)).values["f0"][..., 0]
        counts = self.tracker.frame_count(lengths.cpu(), "f0")
        real = torch.arange(hertz.shape[1], device=hertz.device) < sent(counts, hertz.device)[:, None]
        return Pitch(torch.where(real, hertz, 0.0), counts)

    def normalize(self, pitch: Pitch, speakers: Sequence[str | None]) -> Tensor:
        """Say where pitch lies in each speaker's range: (B, T, 2), of an unknown speaker in that of the utterance."""
        mean, deviation = self._ranges(speakers, pitch)
        logs = (_logs(pitch) - mean[:, None]) / deviation[:, None]
        return torch.stack([torch.where(pitch.voiced, logs, 0.0), pitch.voiced.to(logs.dtype)], -1)

    def restore(self, normalized: Tensor, speakers: Sequence[str | None], pitch: Pitch | None = None) -> Tensor:
        """Return the pitch of normalized frames (B, T, 2) in each speaker's range, of an unknown one in that of `pitch` or of all: Hz."""
        mean, deviation = self._ranges(speakers, pitch)
        hertz = (mean[:, None] + deviation[:, None] * normalized[..., 0]).exp()
        return torch.where(normalized[..., 1] > 0.5, hertz, 0.0)  # noqa: PLR2004 - half: rather voiced than not

    def encode(self, normalized: Tensor) -> Tensor:
        """Return the normalized frames (B, T, 2) as they are."""
        return normalized

    def decode(self, encoded: Tensor, frames: int) -> Tensor:
        """Return the first of the normalized frames (B, T, 2), as many as are asked for."""
        return encoded[:, :frames]

    def _ranges(self, speakers: Sequence[str | None], pitch: Pitch | None) -> tuple[Tensor, Tensor]:
        """Return each speaker's mean (B,) and deviation (B,); of an unknown one, those of the pitch or, where there is none, of all."""
        numbers = {name: number for number, name in enumerate(self.names)}
        rows = torch.tensor([numbers.get(name or UNKNOWN, len(numbers)) for name in speakers])
        there = sent(rows, self.means.device)
        mean, deviation, known = self.means[there], self.deviations[there], there < len(numbers)
        if pitch is None:
            return mean, deviation
        count, logs = pitch.voiced.sum(1).clamp(min=1), _logs(pitch)
        own = logs.sum(1) / count
        spread = (torch.where(pitch.voiced, logs - own[:, None], 0.0).square().sum(1) / count).sqrt()
        return torch.where(known, mean, own), torch.where(known, deviation, spread.clamp(min=NARROWEST * self.deviations[-1]))

    def _take(self, names: Sequence[str], means: list[float], deviations: list[float], everyone: "Sequence[_Moments]") -> None:
        """Keep the ranges of speakers, and that of everyone."""
        device, count = self.means.device, len(everyone)
        self.written = torch.tensor(list("\n".join(names).encode()), dtype=torch.uint8, device=device)
        self.means = torch.tensor([*means, sum(one.mean for one in everyone) / count], device=device)
        self.deviations = torch.tensor([*deviations, sum(one.deviation for one in everyone) / count], device=device)
        self.__dict__.pop("names", None)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:  # noqa: ANN401 - torch's own arguments
        """Take tensors of whatever size there are."""
        for name in _BUFFERS.keys() & {key.removeprefix(prefix) for key in state_dict}:
            setattr(self, name, getattr(self, name).new_empty(state_dict[prefix + name].shape))
        self.__dict__.pop("names", None)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _logs(pitch: Pitch) -> Tensor:
    """Log F0 (B, T), 0 where nothing is voiced."""
    return torch.where(pitch.voiced, pitch.hertz, 1.0).log()


class _Moments:
    """The mean and the deviation of a speaker's log F0, summed up recording by recording."""

    def __init__(self) -> None:
        self.count, self.sum, self.squares, self.speaker = 0, 0.0, 0.0, UNKNOWN

    def add(self, hertz: Tensor, speaker: str) -> None:
        """Add the frames of a recording (T,)."""
        logs = hertz[hertz > 0].double().log()
        self.count, self.speaker = self.count + len(logs), speaker
        self.sum += float(logs.sum())
        self.squares += float(logs.square().sum())

    @property
    def mean(self) -> float:
        """Of log F0."""
        return self.sum / self.count

    @property
    def deviation(self) -> float:
        """Of log F0, in the logarithm of Hz."""
        return math.sqrt(max(0.0, self.squares / self.count - self.mean**2))
