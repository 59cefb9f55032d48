"""Transcribe recordings with a recognizer: text, or words with their times.

Example:
    foresay transcribe runs/asr interview.wav --format srt --out subtitles/
    foresay transcribe runs/asr talks/ --search ngram.toml --format jsonl --nbest 10 --out talks.jsonl
    foresay transcribe runs/asr talks/ --lm books.arpa --lm-weight 1.07 --word-weight -0.59
    arecord -f S16_LE -r 16000 -c 1 | foresay transcribe runs/asr - --stream
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from foresay import progress
from foresay.contracts import Recognizer
from foresay.encoding.search_files import SearchFile
from foresay.encoding.search_settings import SearchSettings
from foresay.errors import AudioError, UserError
from foresay.reports.transcripts import TOGETHER, WRITERS, Format
from foresay.trust import trusting
from foresay.workflows.live import transcribe_live
from foresay.workflows.transcribe import load_recognizer, stamp_of, transcribe
from foresay.workflows.written_transcripts import WrittenTranscripts


@dataclass(frozen=True)
class Options:
    """What is transcribed by what, and in which form."""

    model: tyro.conf.Positional[str]
    """A recognizer: a run of `foresay finetune`, a step of it, or a model folder."""
    sources: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="AUDIO_OR_MANIFEST…")]
    """Files, folders with audio at any depth, or manifests."""
    searching: tyro.conf.OmitArgPrefixes[SearchSettings]
    format: Format = "txt"
    """txt: id and text; jsonl: with times of words; srt: subtitles; textgrid: for Praat; ctm: for NIST's tools."""
    nbest: int = 1
    """Hypotheses of each recording, with --format jsonl."""
    out: Path | None = None
    """File (txt, jsonl, ctm) or folder (srt, textgrid); without it, what fits into one file is printed."""
    search: Path | None = None
    """A file of `foresay lm tune`, which says all of the search."""
    stream: bool = False
    """Print text as soon as it is certain, while the audio goes in, for recognizers that do not look ahead. The source - is a pipe with
    samples of 16 bits."""
    device: str | None = None
    """cpu, cuda, cuda:1, …; default: a GPU if there is one."""
    trust: bool = False
    """Run code outside Foresay that the model folder names or brings along."""


def run(arguments: list[str]) -> int:
    """Transcribe."""
    options = tyro.cli(Options, prog="foresay transcribe", args=arguments, description=__doc__)
    _check(options)
    unreadable: dict[str, AudioError] = {}
    with trusting(options.trust):
        file = SearchFile.chosen(options.search, options.searching)
        search, recognizer = file.settings, load_recognizer(options.model, options.device)
        for note in file.notes(recognizer, options.model):
            progress.say(note)
        if options.stream:
            live = transcribe_live(recognizer, options.sources, search, device=options.device, pipe=sys.stdin.buffer, unreadable=unreadable)
            for piece in live:
                print(piece, end="", flush=True)
        else:
            _write(options, recognizer, search, unreadable)
    for name, error in unreadable.items():
        print(f"left out: {name}: {error}", file=sys.stderr)
    return 0


def _write(options: Options, recognizer: Recognizer, search: SearchSettings, unreadable: dict[str, AudioError]) -> None:
    """Transcribe whole recordings, and write or print each transcript when it is there."""
    dest = options.out if options.out or options.format in TOGETHER else Path()
    written = None if dest is None else WrittenTranscripts(dest, options.format, stamp_of(recognizer, search, options.nbest))
    done = written.done if written else []
    if done:
        progress.say(f"going on after {len(done):,} recordings that were transcribed before")
    found = transcribe(
        recognizer, options.sources, search, best=options.nbest, device=options.device, unreadable=unreadable, done=set(done)
    )
    if written is None:
        for transcript in found:
            print(WRITERS[options.format](transcript), end="", flush=True)
    else:
        count = written.write(found)
        print(f"{count} file{'s' * (count != 1)} in {dest}", file=sys.stderr)


def _check(options: Options) -> None:
    """Refuse options that do not go together."""
    if options.nbest > 1 and options.format != "jsonl":
        msg = f"several hypotheses of a recording are written with --format jsonl, not {options.format}"
        raise UserError(msg)
    if not options.sources:
        msg = "what is to be transcribed? Give files, folders or manifests after the recognizer"
        raise UserError(msg)
    if options.stream and (options.format != "txt" or options.out):
        msg = "--stream prints text as it comes, and neither times nor files: leave out --format and --out, or --stream"
        raise UserError(msg)
