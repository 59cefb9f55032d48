"""Transcribe recordings with a recognizer: text, or words with their times.

Example:
    foresay transcribe runs/asr interview.wav --format srt --out subtitles/
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from foresay.errors import AudioError
from foresay.reports.transcripts import TOGETHER, WRITERS, Format
from foresay.trust import trusting
from foresay.workflows.transcribe import transcribe, write_transcripts


@dataclass(frozen=True)
class Options:
    """What is transcribed by what, and in which form."""

    model: tyro.conf.Positional[str]
    """A recognizer: a run of `foresay finetune`, a step of it, or a model folder."""
    source: tyro.conf.Positional[Path]
    """A file, a folder with audio at any depth, or a manifest."""
    format: Format = "txt"
    """txt: id and text; jsonl: with times of words; srt: subtitles; textgrid: for Praat; ctm: for NIST's tools."""
    out: Path | None = None
    """File (txt, jsonl, ctm) or folder (srt, textgrid); without it, what fits into one file is printed."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; default: a GPU if there is one."""
    trust: bool = False
    """Run code outside Foresay that the model folder names or brings along."""


def run(arguments: list[str]) -> int:
    """Transcribe."""
    options = tyro.cli(Options, prog="foresay transcribe", args=arguments, description=__doc__)
    unreadable: dict[str, AudioError] = {}
    with trusting(options.trust):
        found = transcribe(options.model, options.source, device=options.device, unreadable=unreadable)
        if options.out is None and options.format in TOGETHER:
            for transcript in found:
                print(WRITERS[options.format](transcript), end="", flush=True)
        else:
            written = write_transcripts(found, options.format, options.out or Path())
            print(f"{len(written)} file{'s' * (len(written) != 1)} in {options.out or Path()}", file=sys.stderr)
    for name, error in unreadable.items():
        print(f"left out: {name}: {error}", file=sys.stderr)
    return 0
