"""Do a paper again, and set our numbers beside the published ones.

Example:
    foresay reproduce acpc --run runs/acpc-demo --scale demo
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from foresay.workflows.reproduce import reproduce


@dataclass(frozen=True)
class Options:
    """Which paper, how much of it, on what."""

    paper: tyro.conf.Positional[str]
    """acpc: Tables 1 and 2 of Aligned CPC, and its Figures 2 to 5. mmcpc: which negatives help multi-modal CPC? wav2vec2: Tables 9 to 13,
    recognizers from few labels."""
    run: Path
    """Parent folder of the runs; what is done there already is not done again."""
    scale: str = "demo"
    """acpc has demo (the embedded corpus, half an hour on two cores), cpu (small CPC and ACPC, five seeds), small (both, three seeds, on a
    GPU), paper (all cells, at length); mmcpc has demo (spoken and written digits, half an hour), full (pairs of yours, at length);
    wav2vec2 has demo (the embedded corpus), cpu (your transcripts, the same small network), small and paper (BASE, on GPUs)."""
    corpus: Path | None = None
    """Folder with train.jsonl, test.jsonl and perhaps valid.jsonl, of phones (acpc) or of pairs of a class (mmcpc). The scale paper of acpc
    wants dev-clean.item, dev-clean.jsonl, … too, cpu a folder `timit`; wav2vec2 wants valid.jsonl and texts.txt, for language models."""
    device: str | None = None
    """cpu, cuda, … Default: a GPU if there is one."""


def run(arguments: list[str]) -> None:
    """Print the tables."""
    options = tyro.cli(Options, prog="foresay reproduce", args=arguments, description=__doc__)
    done = reproduce(options.paper, options.run, scale=options.scale, corpus=options.corpus, device=options.device)
    print(f"\n{done.text}\nTables: {done.tables}\nReport: {done.report}")
