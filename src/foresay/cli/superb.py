"""Measure models on the ten tasks of SUPERB: small heads on frozen features, all learning rates at once.

Example:
    foresay superb runs/acpc --corpus embedded
    foresay superb runs/hubert --corpus superb --protocol clean --tasks pr,ks,sid --budget 2h --out results
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from foresay.cli._table import print_table
from foresay.errors import UserError
from foresay.evaluation.superb._task import Stores
from foresay.reports.superb import agreement, table
from foresay.trust import trusting
from foresay.workflows.superb import EMBEDDED, superb

MADE = "corpus.toml"
"""What lies beside a corpus that was made here: published numbers are not of it."""
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Options:
    """What to measure, on what, and how."""

    models: tyro.conf.Positional[tuple[str, ...]]
    """Runs, RUN@step, model folders, baselines, hf:NAME. Log-mel is always measured beside them."""
    corpus: str
    """Folder with a folder for each task; or `embedded`, a miniature that is made here."""
    protocol: Literal["superb", "clean", "tiny"] | None = None
    """superb: as published; clean: all chosen on valid; tiny: small heads for minutes of speech, which `embedded` takes by itself."""
    tasks: str = ""
    """With commas between: pr,asr,ks,qbe,sid,asv,sd,er,ic,sf. Default: all that the corpus has."""
    option: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="TASK.FIELD=VALUE")] = field(default=())
    """Change a field of a task's protocol, such as ks.updates=1000; may be given several times."""
    layers: str | None = None
    """Layers of the models, with commas between. Default: all of the last one's size and rate."""
    budget: str | None = None
    """Time to learn for all tasks and models together, shared evenly: 90s, 30min, 2h. Default: as many updates as the protocol has."""
    out: Path | None = None
    """Folder for results.jsonl. Default: each run's own."""
    cache: Path | None = None
    """Folder for features while they are needed. Default: the system's for temporary files."""
    cache_gb: float = 20.0
    """Gigabytes of features of a model that are kept at most; beyond, batches are encoded anew."""
    seed: int = 0
    """Of the heads' starts, the order of utterances, and the intervals."""
    device: str | None = None
    """cpu, cuda, cuda:1, … Default: a GPU if there is one."""
    again: bool = False
    """Measure again what stands in results.jsonl already."""
    trust: bool = False
    """Run code outside Foresay that a model folder names or brings along."""


def run(arguments: list[str]) -> None:
    """Print a row for each model, the score, what was left out, and where heads disagree."""
    options = tyro.cli(Options, prog="foresay superb", args=arguments, description=__doc__)
    with trusting(options.trust):
        found = superb(
            options.models,
            options.corpus,
            protocol=options.protocol,
            tasks=tuple(filter(None, options.tasks.split(","))),
            options=options.option,
            layers=options.layers.split(",") if options.layers else None,
            out=options.out,
            budget=_seconds(options.budget) if options.budget else None,
            stores=Stores(options.cache, options.cache_gb),
            seed=options.seed,
            device=options.device,
            again=options.again,
        )
    made = options.corpus == EMBEDDED or (Path(options.corpus) / MADE).exists()
    theirs = options.protocol in {"superb", "clean"} and not made
    print_table(table(found.results, published=theirs))
    for line in agreement(found.results):
        print(line)
    for task, why in found.left_out.items():
        print(f"{task} is left out: {why}")
    for note in sorted({result.details["note"] for result in found.results if "note" in result.details}):
        print(note)


def _seconds(text: str) -> float:
    """Read a time such as 2h.

    Raises:
        UserError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h)", text.strip())
    if not match or not float(match[1]):
        msg = f"--budget takes a time such as 90s, 30min or 2h, not {text!r}"
        raise UserError(msg)
    return float(match[1]) * UNITS[match[2]]
