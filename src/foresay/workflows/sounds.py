"""Synthesized speech beside a run, for its page to play: what a synthesizer makes of utterances, and how a language model goes on."""

from collections.abc import Sequence
from pathlib import Path

from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.example import Arrays
from foresay.evaluation.spoken_examples import Playable, as_arrays
from foresay.fingerprint import fingerprint
from foresay.results import SOUNDS, has_examples, read_lines, save_examples, writing_results
from foresay.version import __version__
from foresay.workflows.ledger import reporting_full_disks
from foresay.workflows.speech_folder import MANIFEST

PROMPTS = 3
"""Whose continuations are kept, at most."""


def keep_sounds(run: Path, found: Sequence[Arrays], stamp: str) -> None:
    """Keep sounds beside a run, and drop those kept before. `stamp`: what they are of."""
    with reporting_full_disks(run), writing_results(run):
        save_examples(run, found, stamp, SOUNDS)


def keep_continuations(run: str | Path, spoken: str | Path) -> int:
    """Keep beside a run what `foresay continue … --out SPOKEN` wrote: of each of the first prompts a continuation for each temperature.

    Returns:
        How many prompts there are.

    Raises:
        UserError: nothing is spoken there.
    """
    folder = Path(spoken)
    manifest = Manifest.open(folder / MANIFEST)
    places = {name: place for place, name in enumerate(manifest.ids)}
    lines = [line for line in read_lines(folder / "units.jsonl") if line.get("id") in places]
    if not lines:
        msg = f"{folder} holds no continuations that are spoken: foresay continue … --vocoder RUN --out {folder} makes them"
        raise UserError(msg)
    prompts = list(dict.fromkeys(line["prompt"] for line in lines))[:PROMPTS]
    stamp = fingerprint(manifest.digest, manifest.sound, prompts, __version__)
    if has_examples(Path(run), stamp, SOUNDS):
        return len(prompts)
    groups = []
    for prompt in prompts:
        rate = int(manifest.sample_rates[places[next(line["id"] for line in lines if line["prompt"] == prompt)]])
        sounds, temperatures = [], set[float]()
        for line in (line for line in lines if line["prompt"] == prompt):
            if line["temperature"] not in temperatures:
                temperatures.add(line["temperature"])
                units = f"{len(line['units']):,} units, {len(set(line['units'])):,} different ones"
                sounds.append(Playable(f"temperature {line['temperature']:g}", units, manifest.read(places[line["id"]], rate)))
        groups.append(as_arrays(f"{prompt}, continued", "", rate, sounds))
    keep_sounds(Path(run), groups, stamp)
    return len(prompts)
