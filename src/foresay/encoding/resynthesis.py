"""Resynthesis: a recording taken apart into units, pitch and voice, and spoken again from these, or from others in the place of some.

    recording (S,) --> tokenizer --> units (1, 1, T) ---------------+
               |-----> pitch, in its speaker's range (1, T', 2) ----+--> synthesizer --> speech (S,)
               |-----> voice (1, D), by who speaks or by how -------+

Polyak et al., "Speech Resynthesis from Discrete Disentangled Self-Supervised Representations" (arXiv:2104.00355). Another voice in its
place converts the voice (section 3.4); units in another order are the control of whatever is measured.
A long recording is cut where it is quiet, and its pieces are spoken one after the other: an hour takes the memory of a few seconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import numpy as np
import torch
from torch import Tensor

from foresay import draws
from foresay.audio.read import Waveform
from foresay.contracts import Pitch, Synthesizer, Tokens
from foresay.corpora.manifest import Manifest
from foresay.errors import AudioError, UserError
from foresay.progress import ProgressBar

LONGEST = 20.0
"""Seconds of a piece, at most."""
REST = 1.0
"""Seconds that are left for the last piece, at least."""
QUIET = 0.2
"""Seconds over which loudness is averaged to find where it is quiet."""


@dataclass(frozen=True, eq=False)
class Analyzed:
    """What a piece of a recording was taken apart into."""

    units: Tokens
    """(1, 1, T), on the clock."""
    pitch: Tensor | None
    """(1, T', 2), normalized (`PitchEncoder.normalize`); None: to be predicted."""
    voice: Tensor
    """(1, D), of `Synthesizer.speaker`."""
    samples: int
    """S, at the synthesizer's rate."""

    def flattened(self) -> Self:
        """Hold the pitch, wherever there is one, in the middle of the speaker's range (section 4.4 of the paper)."""
        if self.pitch is None:
            return self
        return replace(self, pitch=torch.stack([torch.zeros_like(self.pitch[..., 0]), self.pitch[..., 1]], dim=-1))

    def without_pitch(self) -> Self:
        """Leave the pitch to be predicted from the units."""
        return replace(self, pitch=None)

    def in_voice(self, voice: Tensor) -> Self:
        """Put the voice (1, D) of somebody else in the place of the speaker's."""
        return replace(self, voice=voice)

    def shuffled(self, *numbers: int) -> Self:
        """Put the runs of equal units in another order, each as long as it was: speech of the same sounds that says nothing.

        `numbers`: what the order is drawn from, a seed and what sets the piece apart from others.
        """
        runs = self.units.merged()
        order = torch.from_numpy(draws.stream("shuffled units", *numbers).permutation(int(runs.lengths[0])))
        assert runs.durations is not None  # noqa: S101 - they have just been merged
        mixed = replace(runs, ids=runs.ids[:, :, order], durations=runs.durations[:, order])
        return replace(self, units=mixed.expanded(self.units.frame_rate or 0.0))


Change: TypeAlias = Callable[[Sequence[Analyzed], int], Sequence[Analyzed]]
"""What is done to the pieces of a recording, in some place of its manifest, before they are spoken."""


def unchanged(pieces: Sequence[Analyzed], _: int) -> Sequence[Analyzed]:
    """Resynthesize."""
    return pieces


class Resynthesizer:
    """A synthesizer at work on recordings."""

    def __init__(self, synthesizer: Synthesizer, device: str = "cpu") -> None:
        self.synthesizer, self.device = synthesizer, device

    @torch.no_grad()
    def analyze(self, waveform: Waveform, speaker: str, voice: Tensor | None = None) -> list[Analyzed]:
        """Take a recording (S,) at the synthesizer's rate apart; nothing, if it is too short for a unit.

        `speaker`: who speaks, known or not. `voice`: that of somebody else, (1, D), in its place.

        Raises:
            UserError: the speaker is unknown, and the synthesizer knows voices by name only.
        """
        model, cut = self.synthesizer, pieces_of(waveform, self.synthesizer.sample_rate)
        given = [(torch.from_numpy(piece)[None].to(self.device), torch.tensor([len(piece)])) for piece in cut]
        units = [model.tokenizer.encode(piece, lengths.to(self.device)) for piece, lengths in given]
        if not all(int(one.lengths[0]) for one in units):
            return []
        tracked = [model.pitch.track(piece, lengths) for piece, lengths in given]
        counts = [int(pitch.lengths[0]) for pitch in tracked]
        hertz = torch.cat([pitch.hertz[:, :count] for pitch, count in zip(tracked, counts, strict=True)], dim=1)
        pitches = model.pitch.normalize(Pitch(hertz, torch.tensor([hertz.shape[1]])), [speaker]).split(counts, dim=1)
        if voice is None:
            voices = torch.cat([model.speaker.of_batch([speaker], piece, lengths) for piece, lengths in given])
            shares = torch.tensor([len(piece) / len(waveform) for piece in cut], device=voices.device)
            voice = (shares[:, None] * voices).sum(0, keepdim=True)
        return [Analyzed(unit, pitch, voice, len(piece)) for unit, pitch, piece in zip(units, pitches, cut, strict=True)]

    @torch.no_grad()
    def speak(self, pieces: Sequence[Analyzed]) -> Waveform:
        """Synthesize pieces of a recording, one after the other: (S,), as long as the recording was.

        Raises:
            UserError: what comes out is not finite.
        """
        spoken = []
        for piece in pieces:
            found = self.synthesizer.synthesize(piece.units, piece.voice, piece.pitch)
            samples = found.waveforms[0, : min(int(found.lengths[0]), piece.samples)].float().cpu().numpy()
            spoken.append(np.pad(samples, (0, piece.samples - len(samples))))
        waveform = np.concatenate(spoken).astype(np.float32)
        if not np.isfinite(waveform).all():
            msg = "what is synthesized is not finite: the synthesizer has diverged (its metrics.jsonl says when)"
            raise UserError(msg)
        return waveform


def spoken_again(
    resynthesizer: Resynthesizer,
    manifest: Manifest,
    changes: Mapping[str, Change],
    *,
    voice: Tensor | None = None,
    places: Sequence[int] | None = None,
    unreadable: dict[int, AudioError] | None = None,
) -> Iterator[tuple[int, dict[str, Waveform]]]:
    """Yield the place of each recording and, for each of the changes, how it is spoken then: (S,), all of the recording's length.

    One that is too short for a unit is left out. `voice`: (1, D), of somebody else, for all. `places`: these only. `unreadable` takes in
    what cannot be read, or is too short to know its voice by, by its place, and why; without it, that is an error.
    """
    rate = resynthesizer.synthesizer.sample_rate
    for place in ProgressBar(range(len(manifest)) if places is None else places, "synthesizing", "recording"):
        try:
            pieces = resynthesizer.analyze(manifest.read(place, rate), speaker_of(manifest, place), voice)
        except AudioError as error:
            if unreadable is None:
                raise
            unreadable[place] = error
            continue
        if pieces:
            yield place, {name: resynthesizer.speak(change(pieces, place)) for name, change in changes.items()}


def speaker_of(manifest: Manifest, place: int) -> str:
    """Return who speaks in a recording, as training was given it."""
    return manifest.speakers[manifest.speaker_codes[place]]


def shuffling(seed: int) -> Change:
    """Shuffle the units of each piece, in an order drawn from the seed."""
    return lambda pieces, place: [piece.shuffled(seed, place, number) for number, piece in enumerate(pieces)]


def pieces_of(waveform: Waveform, sample_rate: int, longest: float = LONGEST) -> list[Waveform]:
    """Cut a recording (S,) where it is quiet into pieces of at most so many seconds: together they are the recording."""
    pieces, most, block = [], round(longest * sample_rate), max(round(QUIET * sample_rate), 1)
    while len(waveform) > most:
        first, last = most // 2, min(most, len(waveform) - round(REST * sample_rate))
        sums = np.cumsum(np.square(np.pad(waveform[first:last], (1, 0)), dtype=np.float64))
        cut = first + block // 2 + int(np.argmin(sums[block:] - sums[:-block]))
        pieces.append(waveform[:cut])
        waveform = waveform[cut:]
    return [*pieces, waveform]
