"""Libri2Mix: two readers of LibriSpeech at once, as SUPERB's diarization; --turns must be chosen.

    wav16k/max/{train-100,dev,test}/{mix_both,mix_clean,s1,s2}/3536-8226-0026_1673-143397-0009.wav
    wav16k/max/metadata/mixture_dev_mix_both.csv        mixture_ID, …

as LibriMix's scripts write it or, with --librispeech, mixed from LibriMix's metadata (libri2mix_dev-clean.csv and its like in SRC) into
files beside the manifests: each source times its gain, the shorter one padded, and with mix_both a noise of WHAM! (--noise). SUPERB's turns
come with the diarization scripts of its LibriMix, as RTTM of the LibriSpeech utterances: --turns FOLDER reads them. --turns activity finds
turns by the loudness of the sources, for those who have no RTTM: error rates of the two cannot be compared.
J. Cosentino et al., "LibriMix: an open-source dataset for generalizable speech separation", arXiv:2005.11262, 2020.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import soundfile

from foresay.audio.read import Waveform, read_audio
from foresay.corpora.manifest import Interval, Item
from foresay.corpora.reader import FoundItem, Reader, Skipped, files, table
from foresay.errors import AudioError, UserError
from foresay.files import make_folder, text_lines, writing
from foresay.progress import ProgressBar

SPLITS = {"train": "train-100", "valid": "dev", "test": "test"}
METADATA = {"train-100": "libri2mix_train-clean-100.csv", "dev": "libri2mix_dev-clean.csv", "test": "libri2mix_test-clean.csv"}
COLUMNS = ("mixture_ID", "source_1_path", "source_1_gain", "source_2_path", "source_2_gain")
NOISE_COLUMNS = ("noise_path", "noise_gain")
FOLDER = Path("Libri2Mix", "wav16k", "max")
ACTIVITY = "activity"
SAMPLE_RATE = 16_000
Turns = Mapping[str, tuple[Interval, ...]]

# Of turns by loudness.
FRAME = SAMPLE_RATE // 100
LOUD = 95
"""Percentile of the levels of frames with which a frame is compared, …"""
BELOW = 20.0
"""… and how many dB below it speech is."""
PAUSE, SHORTEST = 0.2, 0.1
"""Seconds: shorter pauses are spoken through, shorter turns are none."""


@dataclass(frozen=True)
class Libri2Mix(Reader):
    """Reads Libri2Mix, or mixes it."""

    turns: str | None = None
    """Must be chosen: a folder of RTTM files (of the mixtures, or of the LibriSpeech utterances), or `activity`, of the sources."""
    mixture: Literal["mix_both", "mix_clean"] = "mix_both"
    """Of two speakers and noise, as SUPERB, or of the speakers alone."""
    librispeech: Path | None = None
    """Mix it: the folder of train-clean-100, dev-clean and test-clean; SRC holds LibriMix's metadata."""
    noise: Path | None = None
    """With --librispeech: the folder of WHAM! noise, wham_noise, which mix_both needs."""

    def unpack(self, source: Path, destination: Path) -> Path:
        """Mix what is not mixed; return the folder of train-100, dev and test."""
        if self.turns is None:
            msg = f"--turns must be chosen: a folder of RTTM files such as LibriMix's metadata/LibriSpeech, or {ACTIVITY!r}, of the sources"
            raise UserError(msg)
        if self.librispeech is None:
            return next((path for path in (source / FOLDER, source / FOLDER.relative_to("Libri2Mix")) if path.is_dir()), source)
        if self.mixture == "mix_both" and self.noise is None:
            msg = "to mix mix_both takes --noise, the folder wham_noise of the WHAM! noises; two speakers alone are --mixture mix_clean"
            raise UserError(msg)
        folders = [self.librispeech / name.removesuffix(".csv").partition("_")[2] for name in METADATA.values()]
        if missing := [str(folder) for folder in (*folders, self.noise) if folder and not folder.is_dir()]:
            msg = f"there is no folder {' and no '.join(missing)}: the mixtures need them all"
            raise UserError(msg)
        columns = (*COLUMNS, *(NOISE_COLUMNS if self.mixture == "mix_both" else ()))
        for part, rows in {part: list(table(source / name, *columns)) for part, name in METADATA.items()}.items():
            self._mix(rows, destination / FOLDER, part)
        return destination / FOLDER

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every mixture that the metadata list."""
        known = {} if self.turns == ACTIVITY else read_turns(Path(self.turns or ""))
        for split, part in SPLITS.items():
            for row in table(source / "metadata" / f"mixture_{part}_{self.mixture}.csv", "mixture_ID"):
                name = row["mixture_ID"]
                path = source / part / self.mixture / f"{name}.wav"
                try:
                    sources = (source / part / place / path.name for place in ("s1", "s2"))
                    turns = turns_of(name, known) if known else tuple(sorted(_active(name, *sources)))
                except UserError as error:
                    yield Skipped(path, str(error))
                    continue
                yield FoundItem(Item(name, path, language="en", turns=turns), (split,))

    def _mix(self, rows: list[dict[str, str]], folder: Path, part: str) -> None:
        """Mix a part; what is there already stays. Whatever cannot be mixed is missed when it is looked for."""
        places = [folder / part / place for place in (*(("s1", "s2") if self.turns == ACTIVITY else ()), self.mixture)]
        for place in (*places, folder / "metadata"):
            make_folder(place)
        for row in ProgressBar(rows, f"mixing {part}", "mixture"):
            paths = [place / f"{row['mixture_ID']}.wav" for place in places]
            if not all(path.exists() for path in paths):
                with contextlib.suppress(AudioError):
                    sources = self._sources(row)
                    for path, samples in zip(paths, (*sources[: len(paths) - 1], np.sum(sources, axis=0)), strict=True):
                        _write(path, samples)
        listed = "".join(f"{row['mixture_ID']}\n" for row in rows)
        with writing(folder / "metadata" / f"mixture_{part}_{self.mixture}.csv") as file:
            file.write(f"mixture_ID\n{listed}".encode())

    def _sources(self, row: Mapping[str, str]) -> list[Waveform]:
        """Read the sources of a mixture, and its noise, as loud and as long as they are in it: (S,) each."""
        speakers = [_read(self.librispeech, row, f"source_{n}") for n in (1, 2)]
        length = max(map(len, speakers))
        sources = [np.pad(source, (0, length - len(source))) for source in speakers]
        if self.mixture == "mix_both":
            sources.append(lengthened(_read(self.noise, row, "noise")[:length], length))
        return sources


def lengthened(noise: Waveform, length: int) -> Waveform:
    """Repeat noise until it lasts (length,) samples; half a second of each repetition fades into the next, by halves of a Hann window.

    Raises:
        AudioError: there is less than half a second of it.
    """
    rise = np.hanning(SAMPLE_RATE + 1)[: SAMPLE_RATE // 2 + 1].astype(np.float32)
    fade = len(rise)
    if fade > len(noise) < length:
        msg = f"noise of {len(noise)} samples is too short to be repeated: it must last half a second"
        raise AudioError(msg)
    longer = noise
    while len(longer) < length:
        longer = np.concatenate([longer[:-fade], longer[-fade:] * rise[::-1] + noise[:fade] * rise, noise[fade:]])
    return longer[:length]


def read_turns(folder: Path) -> dict[str, tuple[Interval, ...]]:
    """Read the turns of recordings from a folder of RTTM files (`NAME.rttm`, or Kaldi's `rttm`), or from one such file.

    Raises:
        UserError: there is none, or a line is none.
    """
    paths = [folder] if folder.is_file() else [path for path in files(folder, {".rttm", ""}) if path.name.endswith("rttm")]
    turns: dict[str, list[Interval]] = {}
    for path in paths:
        for number, line in enumerate(text_lines(path), start=1):
            kind, *fields = line.split() or [""]
            if kind == "SPEAKER":
                try:
                    name, _, start, duration, _, _, speaker, *_ = fields
                    turns.setdefault(name, []).append(Interval(float(start), round(float(start) + float(duration), 6), speaker))
                except ValueError as error:
                    msg = f"{path}, line {number} is {line!r}, not `SPEAKER RECORDING 1 START DURATION <NA> <NA> SPEAKER <NA>`"
                    raise UserError(msg) from error
    if not turns:
        msg = (
            f"{folder} has no turns: it must be, or hold, RTTM files with lines `SPEAKER RECORDING 1 START DURATION <NA> <NA> SPEAKER <NA>`"
        )
        raise UserError(msg)
    return {name: tuple(sorted(intervals)) for name, intervals in turns.items()}


def turns_of(mixture: str, known: Turns) -> tuple[Interval, ...]:
    """Return the turns of a mixture: its own, or those of its two utterances, which begin together.

    LibriMix's files name an utterance by chapter and number, without the speaker: 8226-0026 is 3536-8226-0026.

    Raises:
        UserError: there are none.
    """
    if mixture in known:
        return known[mixture]
    turns = list[Interval]()
    for source in mixture.split("_"):
        speaker, _, rest = source.partition("-")
        found = known.get(source) or [turn for turn in known.get(rest, ()) if turn.label == speaker]
        if not found:
            msg = f"{mixture}: the RTTM files have no turns of {source}"
            raise UserError(msg)
        turns += [Interval(start, end, speaker) for start, end, _ in found]
    return tuple(sorted(turns))


def active(waveform: Waveform) -> list[tuple[float, float]]:
    """Find where somebody speaks alone, by loudness: starts and ends in seconds. Rough: breaths count, and soft ends are lost."""
    frames = waveform[: len(waveform) // FRAME * FRAME].reshape(-1, FRAME)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    if not power.any():
        return []
    loud = power > np.percentile(power[power > 0], LOUD) * 10 ** (-BELOW / 10)
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)).reshape(-1, 2) * FRAME / SAMPLE_RATE
    return [(start, end) for start, end in _joined(edges) if end - start >= SHORTEST]


def _joined(edges: npt.NDArray[np.float64]) -> Iterator[tuple[float, float]]:
    """Join what is parted by a short pause; `edges` (n, 2)."""
    if len(edges):
        cuts = [place for place, (one, other) in enumerate(pairwise(edges), start=1) if other[0] - one[1] >= PAUSE]
        for first, last in pairwise([0, *cuts, len(edges)]):
            yield float(edges[first, 0]), float(edges[last - 1, 1])


def _active(mixture: str, *paths: Path) -> Iterator[Interval]:
    """Yield the turns of the two sources of a mixture."""
    for source, path in zip(mixture.split("_"), paths, strict=True):
        for start, end in active(read_audio(path, SAMPLE_RATE)):
            yield Interval(start, end, source.partition("-")[0])


def _read(folder: Path | None, row: Mapping[str, str], kind: str) -> Waveform:
    """Read a source as loud as it is in the mixture, of a noise the first channel: (S,)."""
    channel = 0 if kind == "noise" else None
    try:
        gain = np.float32(row[f"{kind}_gain"])
    except ValueError as error:
        msg = f"the {kind}_gain of {row['mixture_ID']} is {row[f'{kind}_gain']!r}, not a number: were LibriMix's metadata edited?"
        raise UserError(msg) from error
    return read_audio((folder or Path()) / row[f"{kind}_path"], SAMPLE_RATE, channel=channel) * gain


def _write(path: Path, samples: Waveform) -> None:
    with writing(path) as file:
        soundfile.write(file, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
