"""Train CPC and Aligned CPC on a corpus made here, see what they learnt, keep the models: the whole job in minutes.

Example:
    foresay demo --run runs --scale tiny
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from foresay.cli._table import print_results
from foresay.workflows.demo import demo


@dataclass(frozen=True)
class Options:
    """Where to keep the runs, and how much to do."""

    run: Path = Path("runs")
    """Folder that holds the runs demo-cpc and demo-acpc, the corpus and the report."""
    scale: Literal["tiny", "full"] = "full"
    """full: under ten minutes on two cores; tiny: under three."""


def run(arguments: list[str]) -> None:
    """Do the main job and say what to look at."""
    options = tyro.cli(Options, prog="foresay demo", args=arguments, description=__doc__)
    done = demo(options.run, options.scale)
    print_results(done.results, headlines=True)
    model = done.runs[-1]
    print(f"\nReport, with all that was measured: {done.report}")
    print(f"Models: {', '.join(map(str, done.runs))}; for example:")
    print(f"  python -c \"import foresay; m = foresay.load('{model}'); print(m.layer_names)\"")
    print(f"  foresay extract {model} {done.corpus / 'test.jsonl'} features --layer c")
    print("The corpus is synthetic (eSpeak NG): these numbers show that the code works, not how well it does on human speech.")
