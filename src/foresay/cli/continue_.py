"""Continue speech: a language model of units goes on where a recording ends, and a synthesizer speaks it.

Example:
    foresay continue prompt.wav --lm runs/lm --vocoder runs/vocoder --temperature 0.3,1.0,1.5 --out continued/
    foresay continue corpus/test.jsonl --lm runs/lm --temperature 0.7 --prompt-seconds 3 --samples 10 --out units/
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from foresay.cli._table import print_table
from foresay.contracts import Sampling
from foresay.errors import UserError
from foresay.reports.wording import listed, plural
from foresay.trust import trusting
from foresay.workflows.continuation import Continuation, Continued, Continuing, continue_speech

SHOWN = 10
"""Recordings that are named on the terminal, of those left out."""


@dataclass(frozen=True)
class Options:
    """What is continued, by what, and how."""

    sources: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="AUDIO_OR_MANIFEST…")]
    """Prompts: files, folders with audio at any depth, or manifests."""
    lm: str
    """A language model of units: a run of `foresay train unit-lm…`, a step of it, or a model folder."""
    temperature: str
    """With commas between: 0.3,1.0,1.5. Low ones repeat themselves, high ones babble; 0 is always the likeliest unit. No default."""
    out: Path
    """Folder for units and speech (WAV) and its manifest; given again, what is spoken already is kept."""
    vocoder: str | None = None
    """A synthesizer of the same units; without it nothing is spoken, and units are written."""
    samples: int = 1
    """Continuations of each prompt at each temperature."""
    prompt_seconds: float | None = None
    """Take only so much of each recording, from its beginning. GSLM: 3."""
    top_k: int | None = None
    """Draw among so many of the likeliest units."""
    top_p: float | None = None
    """Draw among the likeliest units that together are so probable (nucleus)."""
    longest: int = 500
    """Units that are drawn at most."""
    speaker: str | None = None
    """In whose voice: a speaker whom the synthesizer knows, or a recording. Default: the prompt's own."""
    seed: int = 0
    """Of all that is drawn."""
    device: str | None = None
    """cpu, cuda, cuda:1, … Default: a GPU if there is one."""
    trust: bool = False
    """Run code outside Foresay that a model folder names or brings along."""


def run(arguments: list[str]) -> None:
    """Say what was drawn at each temperature."""
    options = tyro.cli(Options, prog="foresay continue", args=arguments, description=__doc__)
    if not options.sources:
        msg = "what is to be continued? Give files, folders or manifests"
        raise UserError(msg)
    how = Continuing(_samplings(options), options.samples, options.prompt_seconds, options.seed)
    with trusting(options.trust):
        done = continue_speech(
            options.sources, options.lm, options.out, how, vocoder=options.vocoder, speaker=options.speaker, device=options.device
        )
    print_table([("temperature", "continuations", "units", "different", "ended", "seconds"), *_rows(done)])
    print(f"see {options.out}")
    for line in _notes(done):
        print(line)


def _samplings(options: Options) -> list[Sampling]:
    """Read the temperatures."""
    try:
        temperatures = [float(text) for text in options.temperature.split(",")]
        return [Sampling(temperature, options.top_k, options.top_p, options.longest) for temperature in temperatures]
    except ValueError as error:
        msg = f"--temperature {options.temperature}, --top-k, --top-p or --longest cannot be: {error}"
        raise UserError(msg) from error


def _rows(done: Continuation) -> Iterable[tuple[str, ...]]:
    for temperature in dict.fromkeys(one.temperature for one in done.continued):
        some = [one for one in done.continued if one.temperature == temperature]
        units = sum(len(one.units) for one in some) / len(some)
        seconds = [done.seconds[one.id] for one in some if one.id in done.seconds]
        spoken = f"{sum(seconds) / len(seconds):.2f}" if seconds else ""
        yield f"{temperature:g}", f"{len(some):,}", f"{units:.1f}", f"{_different(some):.1%}", str(sum(one.ended for one in some)), spoken


def _different(some: list[Continued]) -> float:
    """Return the share of different units among all, as a mean over continuations that have any."""
    shares = [len(set(one.units)) / len(one.units) for one in some if one.units]
    return sum(shares) / len(shares) if shares else 0.0


def _notes(done: Continuation) -> Iterable[str]:
    """Say what one may not notice."""
    if nothing := sum(not one.units for one in done.continued):
        yield f"nothing follows in {plural(nothing, 'continuation')}: the end was drawn at once"
    if done.long_prompts:
        yield f"of {plural(done.long_prompts, 'prompt')} only the last units are read: {_at_once(done)}"
    if done.long:
        yield f"drawn by the last units before them, not by all, in {plural(done.long, 'continuation')}: {_at_once(done)}"
    if done.limited:
        yield f"limited to full scale: {plural(done.limited, 'sample')}"
    if done.unmet:
        units = listed([str(unit) for unit in sorted(done.unmet)[:SHOWN]])
        yield f"the synthesizer was not trained on {plural(len(done.unmet), 'unit')} ({units}): these may sound like anything"
    yield from (f"left out: {name}: {why}" for name, why in list(done.left_out.items())[:SHOWN])
    if len(done.left_out) > SHOWN:
        yield f"and {len(done.left_out) - SHOWN:,} more: all are listed in left-out.txt"


def _at_once(done: Continuation) -> str:
    return f"{done.window // 2:,} to {done.window - 1:,}, for the language model reads no more at once"
