"""Measure what models learnt, beside baselines and untrained copies.

Example:
    foresay evaluate runs/demo-cpc runs/demo-acpc --corpus corpus/test.jsonl --train-corpus corpus/train.jsonl --measures probe:converged
    foresay evaluate mfcc --corpus corpus/test.jsonl --measures abx:phone --option abx.max_size_group=10 --option abx.max_x_across=5
    foresay evaluate runs/asr --corpus test.jsonl --measures wer:greedy,wer:ngram --search ngram.toml
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from foresay.cli._table import print_results
from foresay.evaluation.recognition._error_rate import OUTSIDE
from foresay.trust import trusting
from foresay.workflows.evaluate import evaluate


@dataclass(frozen=True)
class Options:
    """What to measure, on what, and how."""

    models: tyro.conf.Positional[tuple[str, ...]]
    """Runs, RUN@step, or model folders. The baselines mfcc and logmel, for pictures pixels, are always measured too, plp if it is named."""
    corpus: Path
    """Manifest to test on."""
    train_corpus: Path | None = None
    """Manifest that measures learn on which learn something themselves, such as the probe."""
    valid_corpus: Path | None = None
    """Manifest that measures choose on which learn several heads, as those of SUPERB do."""
    measures: str = ""
    """Names with protocols, with commas between: probe:converged,abx:phone. Papers disagree about them, so that none is the default."""
    option: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="MEASURE.FIELD=VALUE")] = field(default=())
    """Change a field of a measure's protocol, such as abx.items=dev-clean.item; may be given several times."""
    search: tuple[Path, ...] = ()
    """For wer:ngram and wer:transformer: files of `foresay lm tune`. Of several of a kind, each recognizer has the one tuned for it."""
    layers: str | None = None
    """Layers of the models, with commas between: z,c. Default: all."""
    out: Path | None = None
    """Folder for results.jsonl. Default: each run's own."""
    seed: int = 0
    """Of the probes' start, the untrained copies, and the intervals."""
    device: str | None = None
    """cpu, cuda, cuda:1, … Default: a GPU if there is one."""
    again: bool = False
    """Measure again what stands in results.jsonl already."""
    trust: bool = False
    """Run code outside Foresay that a model folder names or brings along."""


def run(arguments: list[str]) -> None:
    """Print a table for each measure."""
    options = tyro.cli(Options, prog="foresay evaluate", args=arguments, description=__doc__)
    with trusting(options.trust):
        results = evaluate(
            options.models,
            options.corpus,
            options.train_corpus,
            options.valid_corpus,
            measures=[measure for measure in options.measures.split(",") if measure],
            options=options.option,
            searches=options.search,
            layers=options.layers.split(",") if options.layers else None,
            out=options.out,
            seed=options.seed,
            device=options.device,
            again=options.again,
        )
    print_results(results)
    for note in sorted({result.details["note"] for result in results if "note" in result.details}):
        print(note)
    for note in sorted({_unseen(result.details["unseen_phones"]) for result in results if result.details.get("unseen_phones")}):
        print(note)
    for result in results:
        if (share := result.details.get(OUTSIDE)) is not None:
            print(
                f"{result.model}, {result.measure}:{result.protocol}: {100 * share:.1f} % of the words said cannot come out of the search"
            )


def _unseen(phones: list[str]) -> str:
    return f"Phones that training never showed, counted as errors: {', '.join(phones)}"
