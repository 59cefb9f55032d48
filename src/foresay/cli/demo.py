"""Demonstrate a capability from end to end, on a corpus made here: acpc, the main job, in minutes, or another.

Example:
    foresay demo --run runs --scale tiny
    foresay demo recognition --run runs
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from foresay.cli._table import print_results, print_table
from foresay.workflows.demo import demo


@dataclass(frozen=True)
class Options:
    """What to demonstrate, where to keep the runs, and how much to do."""

    name: tyro.conf.Positional[str] = "acpc"
    """acpc: train CPC and Aligned CPC, see what they learnt. recognition: recognizers from 1, 3 and 10 minutes of transcripts.
    recognizers: CTC, attention, a transducer and hidden Markov models, side by side. superb: three small models on ten tasks.
    spoken-lm: units, a language model and a vocoder of them, speech to listen to."""
    run: Path = Path("runs")
    """Folder that holds the runs, the corpus and the report."""
    corpus: Path | None = None
    """Of recognition, recognizers and spoken-lm: a folder of yours instead of the embedded corpus, with train.jsonl, valid.jsonl,
    test.jsonl, texts.txt for the language models of text and, to pre-train on, perhaps unlabelled.jsonl."""
    scale: Literal["tiny", "full"] = "full"
    """full: about ten minutes on two cores, of spoken-lm about seventeen; tiny: three to seven."""


def run(arguments: list[str]) -> None:
    """Do it and say what to look at."""
    options = tyro.cli(Options, prog="foresay demo", args=arguments, description=__doc__)
    done = demo(options.run, options.scale, options.name, options.corpus)
    if done.table:
        print_table(done.table)
    else:
        print_results(done.results, headlines=True)
    print(f"\nReport, with all that was measured: {done.report}")
    print(f"Models: {', '.join(map(str, done.runs))}; for example:")
    for command in done.more:
        print(f"  {command}")
    if options.corpus is None:
        print("The corpus is synthetic (eSpeak NG): these numbers show that the code works, not how well it does on human speech.")
