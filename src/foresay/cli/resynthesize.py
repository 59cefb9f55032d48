"""Speak recordings again from their units, in the speaker's own voice or another.

Example:
    foresay resynthesize talk.wav --vocoder runs/vocoder --out spoken/
    foresay resynthesize corpus/test.jsonl --vocoder runs/vocoder --speaker anna --flat-pitch --out anna/
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from foresay.errors import UserError
from foresay.reports.wording import listed, plural
from foresay.trust import trusting
from foresay.workflows.extract import LEFT_OUT
from foresay.workflows.resynthesize import Resynthesis, resynthesize

SHOWN = 10
"""Recordings that are named on the terminal, of those left out."""


@dataclass(frozen=True)
class Options:
    """What is spoken again, by what, and in whose voice."""

    sources: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="AUDIO_OR_MANIFEST…")]
    """Files, folders with audio at any depth, or manifests."""
    vocoder: str
    """A synthesizer: a run of `foresay train unit-vocoder…`, a step of it, or a model folder."""
    out: Path
    """Folder for the speech (WAV) and its manifest; given again, what is there already is kept."""
    speaker: str | None = None
    """In whose voice: a speaker whom the synthesizer knows, or a recording. Default: each speaker's own."""
    flat_pitch: bool = False
    """Hold the pitch in the middle of the speaker's range."""
    predicted_pitch: bool = False
    """Take the pitch that the synthesizer predicts from the units, not the recording's."""
    device: str | None = None
    """cpu, cuda, cuda:1, … Default: a GPU if there is one."""
    trust: bool = False
    """Run code outside Foresay that the model folder names or brings along."""


def run(arguments: list[str]) -> int:
    """Say what was written and what could not be; the exit code is 2 if nothing could."""
    options = tyro.cli(Options, prog="foresay resynthesize", args=arguments, description=__doc__)
    if not options.sources:
        msg = "what is to be spoken again? Give files, folders or manifests"
        raise UserError(msg)
    with trusting(options.trust):
        done = resynthesize(
            options.sources,
            options.vocoder,
            options.out,
            speaker=options.speaker,
            flat_pitch=options.flat_pitch,
            predicted_pitch=options.predicted_pitch,
            device=options.device,
        )
    before = f", {done.there:,} had been written before" if done.there else ""
    print(f"{plural(done.written, 'recording')} spoken again{before}; see {done.manifest}")
    for line in _notes(done):
        print(line)
    for name, why in list(done.left_out.items())[:SHOWN]:
        print(f"left out: {name}: {why}")
    if done.left_out:
        print(f"{plural(len(done.left_out), 'recording')} could not be spoken: all are listed in {done.manifest.parent / LEFT_OUT}")
    return 2 if done.left_out and not done.written + done.there else 0


def _notes(done: Resynthesis) -> list[str]:
    """Say what one may not notice."""
    notes = [f"resampled: {plural(count, 'recording')} of {rate:,} Hz" for rate, count in sorted(done.resampled.items())]
    if done.limited:
        samples = plural(done.limited.total(), "sample")
        notes.append(f"limited to full scale: {samples} of {plural(len(done.limited), 'recording')}, such as {next(iter(done.limited))}")
    if done.unmet:
        units = listed([str(unit) for unit, _ in done.unmet.most_common(SHOWN)])
        count, frames = plural(len(done.unmet), "unit"), plural(done.unmet.total(), "frame")
        notes.append(f"the synthesizer was not trained on {count} ({units}), of {frames}: these may sound like anything")
    return notes
