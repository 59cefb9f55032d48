"""How long does it take to tune the weights of a search on an hour of kept emissions? 128 points, a lexicon and a 4-gram.

    python benchmarks/tuning.py [--utterances 360] [--frames 500] [--words 2000] [--beam 50] [--threads 2]

Emissions are made as in decoding.py: 360 utterances of 500 frames are an hour at 50 frames a second. The search is repeated with the
weights that were found until it finds nothing new, at most three times; a point of the surface costs no search.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from decoding import BAR, SYMBOLS, made
from foresay.contracts.recognition import Emissions
from foresay.decoding.lexicon_beam import LexiconBeam
from foresay.decoding.moves import CTCMoves
from foresay.decoding.rescoring import NBest
from foresay.decoding.tuning import tune_search
from foresay.decoding.weights import Weights, published

TOGETHER = 16
"""Utterances of a batch."""


def main() -> None:
    """Print seconds, and what was found."""
    parser = argparse.ArgumentParser(description="Tuning on kept emissions.")
    for name, value in {"utterances": 360, "frames": 500, "words": 2000, "beam": 50, "threads": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        task = made(options.utterances, options.frames, options.words, options.beam, Path(folder))
    searches: list[float] = []

    def search(weights: Weights) -> NBest:
        started = time.perf_counter()
        beam = LexiconBeam(task.spellings, CTCMoves(SYMBOLS), boundary=BAR, beam=options.beam, weights=weights, language_model=task.model)
        scores = task.emissions.log_probabilities.split(TOGETHER)
        lengths = task.emissions.lengths.split(TOGETHER)
        found = [one for batch in zip(scores, lengths, strict=True) for one in beam(Emissions(*batch), options.beam)]
        searches.append(time.perf_counter() - started)
        return found

    started, processor = time.perf_counter(), time.process_time()
    tuned = tune_search(search, task.said, start=published("ngram", "10h", "librispeech"))
    seconds = time.perf_counter() - started
    hours = options.utterances * options.frames / 50 / 3600
    print(f"{hours:.2f} h of emissions, {len(tuned.points)} points: {seconds:.0f} s, {time.process_time() - processor:.0f} of a processor;")
    print(f"{len(searches)} searches of {', '.join(f'{one:.0f}' for one in searches)} s, all else {seconds - sum(searches):.0f} s")
    print(f"{100 * tuned.rate:.1f} % word error rate with a = {tuned.weights.language:.2f}, b = {tuned.weights.words:+.2f}")


if __name__ == "__main__":
    main()
