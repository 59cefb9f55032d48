"""Resynthesis: how near speech made of units comes to the recording, in its spectral envelope (MCD), its pitch and its units.

    foresay evaluate runs/vocoder --corpus test.jsonl --measures resynthesis:frames

resynthesized     from the recording's units and pitch, in its speaker's voice
pitch predicted   the same, its pitch predicted from the units
units shuffled    the control: the same units in another order, as long as they were
mean frame        the control of MCD: the mean envelope of all the recordings, in every frame

and what is sent in the place of the recording, beside the voice, which is sent once: the bit rate of the `units` and, where it is
quantized, of `units and pitch`. Each unit takes log2 V bits and no code is shorter for being frequent.

Polyak et al. (arXiv:2104.00355), section 4, rate pitch so, by VDE and FFE. Recording and speech are compared frame by frame, every 10 ms,
silence included. The protocol `dtw` measures MCD alone, each frame against those that it meets on the best path. `unit error rate`: the
speech is tokenized again, and its units, runs merged, are compared with those of the recording, in their right order.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from foresay.audio.read import Waveform
from foresay.audio.spectrogram import LogMelSpectrogram
from foresay.audio.yin import YIN
from foresay.contracts import Extractor, Synthesizer, Tokens
from foresay.encoding.resynthesis import Analyzed, Change, Resynthesizer, shuffling, speaker_of, unchanged
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.abx.dtw import dtw
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.progress import ProgressBar
from foresay.results import Metric, Result
from foresay.statistics.edit_distance import edit_distance
from foresay.statistics.intervals import ConfidenceInterval, bootstrap, by_speaker
from foresay.statistics.mel_cepstral_distortion import cross_distortions, frame_distortions, mel_cepstra
from foresay.statistics.pitch_errors import count_pitch_errors

RESYNTHESIZED, PREDICTED, SHUFFLED, MEAN = "resynthesized", "pitch predicted", "units shuffled", "mean frame"
MCD, UNITS, FFE, VDE, GPE = "mel-cepstral distortion", "unit error rate", "F0 frame error", "voicing decision error", "gross pitch error"
RMSE, RATE = "F0 RMSE", "bit rate"
WINDOW, HOP = 0.025, 0.01
"""s, of spectra and pitch."""
LOWEST, HIGHEST = 60.0, 500.0
"""Hz that pitch is looked for between."""

Counted: TypeAlias = dict[str, tuple[float, float]]
"""Of a piece of a recording: metric -> a sum, and what it is to be divided by."""


@dataclass(frozen=True)
class ResynthesisProtocol:
    """Which frames are compared."""

    name: str
    warped: bool = False
    """Whether envelopes are aligned first, by dynamic time warping (DTW)."""


class _Frames(NamedTuple):
    """What is measured of a piece."""

    cepstra: NDArray[np.float64]
    """(T, 13)."""
    hertz: NDArray[np.float32]
    """(T,)."""


class ResynthesisQuality(Measure[ResynthesisProtocol]):
    """How near resynthesized speech comes to the recordings."""

    name = "resynthesis"
    protocols: ClassVar[Mapping[str, ResynthesisProtocol]] = {
        "frames": ResynthesisProtocol("frames"),
        "dtw": ResynthesisProtocol("dtw", warped=True),
    }
    metrics: ClassVar[Mapping[str, Metric]] = {
        MCD: Metric("lower", "dB", headline=True),
        UNITS: Metric("lower", "%"),
        FFE: Metric("lower", "%"),
        VDE: Metric("lower", "%"),
        GPE: Metric("lower", "%"),
        RMSE: Metric("lower", "cents"),
        RATE: Metric("none", "bit/s"),
    }
    by_layer = False

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it is a synthesizer."""
        return isinstance(model, Synthesizer)

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Compare `corpora.test` with what each subject makes of it. Recordings too short for a unit are left out, and counted.

        Raises:
            UserError: a subject is no synthesizer, does not know a speaker, or all recordings are too short.
        """
        return [row for subject in subjects for row in self._rows(subject, corpora, seed, device)]

    def _rows(self, subject: Subject, corpora: Corpora, seed: int, device: str) -> list[Result]:
        where = Where("test", corpora.test, seed, perf_counter())
        synthesizer = subject.synthesizer
        found = _Comparison(Resynthesizer(synthesizer, device), corpora, seed, warped=self.protocol.warped)
        about = {"recordings": len(found.envelopes), "left_out": len(corpora.test) - len(found.envelopes)}
        speakers = [speaker_of(corpora.test, place) for place in range(len(corpora.test))]
        rows = []
        for (layer, metric), columns in found.sums.items():
            counts, totals = columns.T
            if not totals.sum():
                continue  # no frame is voiced on both sides
            blocks = by_speaker(corpora.test.ids, speakers, counts, totals)
            over = where._replace(over=Population(blocks.what, blocks.names))
            value, interval = counts.sum() / totals.sum(), bootstrap(blocks.counts, blocks.totals, seed=seed)
            if metric == RMSE:  # the root of what was summed
                value, interval = math.sqrt(value), ConfidenceInterval(np.sqrt(interval.draws), interval.places)
            control = {"control": True} if layer in {SHUFFLED, MEAN} else {}
            rows.append(self.row(subject, layer, metric, float(value), interval, over, **about, **control))
        rates = [] if self.protocol.warped else _rates(synthesizer)
        return rows + [self.row(subject, layer, RATE, rate, None, where) for layer, rate in rates]


class _Comparison:
    """Sums over the recordings of a corpus, by what is spoken and by metric."""

    def __init__(self, resynthesizer: Resynthesizer, corpora: Corpora, seed: int, *, warped: bool) -> None:
        self.resynthesizer, self.manifest, self.warped = resynthesizer, corpora.test, warped
        self.rate = resynthesizer.synthesizer.sample_rate
        hop, window = round(HOP * self.rate), round(WINDOW * self.rate)
        self.log_mel = LogMelSpectrogram(self.rate, window, hop, fft=2 ** math.ceil(math.log2(2 * window)))
        self.yin = YIN(self.rate, hop, LOWEST, HIGHEST)
        self.sums: dict[tuple[str, str], NDArray[np.float64]] = defaultdict(lambda: np.zeros((len(self.manifest), 2)))
        """(layer, metric) -> (U, 2): of each recording a sum, and what it is to be divided by."""
        self.envelopes: dict[int, NDArray[np.float64]] = {}
        """Of each recording by its place, (T, 13)."""
        predicted: Change = lambda pieces, _: [piece.without_pitch() for piece in pieces]  # noqa: E731 - as brief as its neighbors
        self.changes = {RESYNTHESIZED: unchanged, PREDICTED: predicted, SHUFFLED: shuffling(seed)}
        for place in ProgressBar(range(len(self.manifest)), "resynthesizing", "recording"):
            self._add(place)
        self._add_mean()

    def _add(self, place: int) -> None:
        """Speak a recording in each way, and compare."""
        waveform = self.manifest.read(place, self.rate)
        pieces = self.resynthesizer.analyze(waveform, speaker_of(self.manifest, place))
        if not pieces:
            return
        recorded = [self._measured(part) for part in _cut(waveform, pieces)]
        self.envelopes[place] = np.concatenate([part.cepstra for part in recorded])
        for name, change in self.changes.items():
            spoken = self.resynthesizer.speak(change(pieces, place))
            for piece, reference, part in zip(pieces, recorded, _cut(spoken, pieces), strict=True):
                found = self._measured(part)
                counted: Counted = {MCD: (self._distortion(reference.cepstra, found.cepstra), len(reference.cepstra))}
                if not self.warped:
                    counted |= {**_pitch_errors(reference.hertz, found.hertz), UNITS: self._unit_errors(piece, part)}
                for metric, sums in counted.items():
                    self.sums[name, metric][place] += sums

    def _measured(self, part: Waveform) -> _Frames:
        """Take spectra and pitch of a part (S,)."""
        given = torch.from_numpy(part)[None], torch.tensor([len(part)])
        return _Frames(mel_cepstra(self.log_mel(*given)[0].numpy()), self.yin(*given)[0].numpy())

    def _distortion(self, reference: NDArray[np.float64], cepstra: NDArray[np.float64]) -> float:
        """Sum the MCD of the frames of (T, 13); aligned, as if each had the mean of those on the path."""
        if not self.warped or not len(reference):
            return float(frame_distortions(reference, cepstra).sum())
        distances = torch.from_numpy(cross_distortions(reference, cepstra))[..., None]
        return len(reference) * float(dtw(distances, torch.tensor([len(reference)]), torch.tensor([len(cepstra)]))[0])

    @torch.no_grad()
    def _unit_errors(self, piece: Analyzed, part: Waveform) -> tuple[float, float]:
        """Count the edits between the units of a piece and those of what was made of it, runs merged."""
        device, tokenizer = self.resynthesizer.device, self.resynthesizer.synthesizer.tokenizer
        again = tokenizer.encode(torch.from_numpy(part)[None].to(device), torch.tensor([len(part)], device=device))
        units, found = (_symbols(tokens) for tokens in (piece.units, again))
        return edit_distance(units, found), len(units)

    def _add_mean(self) -> None:
        """Compare with the mean envelope in every frame.

        Raises:
            UserError: all recordings are too short.
        """
        if not self.envelopes:
            msg = (
                f"none of the {len(self.manifest):,} recordings of {self.manifest.name} is long enough for a unit: is it the right corpus?"
            )
            raise UserError(msg)
        mean = np.concatenate(list(self.envelopes.values())).mean(0, keepdims=True)
        for place, envelope in self.envelopes.items():
            self.sums[MEAN, MCD][place] = frame_distortions(envelope, mean).sum(), len(envelope)


def _cut(waveform: Waveform, pieces: Sequence[Analyzed]) -> Iterator[Waveform]:
    """Cut a recording (S,), or what was made of it, into the parts that its pieces are of."""
    edges = np.cumsum([0, *(piece.samples for piece in pieces)])
    return (waveform[begin:end] for begin, end in pairwise(edges))


def _pitch_errors(reference: NDArray[np.float32], hertz: NDArray[np.float32]) -> Counted:
    """Count the errors of pitch (T,)."""
    errors = count_pitch_errors(reference, hertz)
    return {
        FFE: (errors.voicing + errors.gross, errors.frames),
        VDE: (errors.voicing, errors.frames),
        GPE: (errors.gross, errors.voiced),
        RMSE: (errors.squares, errors.voiced),
    }


def _symbols(tokens: Tokens) -> list[tuple[int, ...]]:
    """List the tokens of an utterance (1, G, T), runs of equal ones merged."""
    merged = tokens.merged()
    return [tuple(symbol) for symbol in merged.ids[0, :, : int(merged.lengths[0])].T.tolist()]


def _rates(synthesizer: Synthesizer) -> Iterator[tuple[str, float]]:
    """Yield what is sent, and in how many bits a second."""
    tokenizer, pitch = synthesizer.tokenizer, synthesizer.pitch.bits_per_second
    units = tokenizer.levels * math.log2(tokenizer.vocabulary) * tokenizer.frame_rate
    yield "units", units
    if pitch is not None:
        yield "units and pitch", units + pitch
