"""How fast are n-grams estimated, and in how much memory? Words a second, of words drawn as often as words of a language are.

    python benchmarks/kneser_ney.py [--words 10000000] [--vocabulary 100000] [--order 4]

Each word depends on the one before it: there are as many different n-grams as in text, about. Processor seconds are printed beside
seconds, for machines that are busy with other things. Where lmplz of KenLM is on the PATH it estimates the same n-grams beside.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from foresay.models.generation.ngram import NGram, NGramSettings

SENTENCE = 20


def main() -> None:
    """Print words a second, n-grams, and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=10_000_000)
    parser.add_argument("--vocabulary", type=int, default=100_000)
    parser.add_argument("--order", type=int, default=4)
    options = parser.parse_args()
    texts = Texts(options.words, options.vocabulary)
    before = memory()
    model = NGram(NGramSettings(options.order))
    began, worked = perf_counter(), process_time()
    model.fit(texts)
    seconds, processor = perf_counter() - began, process_time() - worked
    print(f"{options.words:,} words, {len(model.keys):,} n-grams of orders 1 to {options.order}")
    print(f"{seconds:.1f} s ({processor:.1f} s of a processor): {options.words / processor:,.0f} words a second of a processor")
    print(f"memory {memory() - before:.2f} GiB above the {before:.2f} GiB of the text and PyTorch")
    if lmplz := shutil.which("lmplz"):
        print(f"KenLM's lmplz: {kenlm(lmplz, texts, options.order):.1f} s of a processor")


class Texts:
    """Sentences (`FitData`). A word is the successor of the one before it, which has a few, or any word, the frequent ones more often."""

    seed = 0

    def __init__(self, words: int, vocabulary: int) -> None:
        random = np.random.default_rng(0)
        fresh = np.minimum(random.zipf(1.3, words) - 1, vocabulary - 1)
        follows = random.random(words) < 0.6  # noqa: PLR2004 - share of words that the one before suggests
        step = random.zipf(1.7, words) % vocabulary
        for place in range(1, 4):  # chains of up to three
            chained = follows[place:] & (np.arange(place, words) % 4 == place)
            fresh[place:][chained] = (31 * fresh[place - 1 : -1][chained] + step[place:][chained]) % vocabulary
        self._ids = fresh

    def texts(self) -> Iterator[str]:
        """Go through the sentences."""
        names = [f"w{number}" for number in range(int(self._ids.max()) + 1)]
        for begin in range(0, len(self._ids), SENTENCE):
            yield " ".join(map(names.__getitem__, self._ids[begin : begin + SENTENCE].tolist()))


def memory() -> float:
    """Return the largest memory of the process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def kenlm(program: str, texts: Texts, order: int) -> float:
    """Let lmplz estimate them; return its processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text"
        text.write_text("\n".join(texts.texts()), encoding="utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        command = [program, "--order", str(order), "--discount_fallback", "--text", text, "--arpa", Path(folder) / "lm.arpa"]
        subprocess.run([*map(str, command)], check=True, capture_output=True)  # noqa: S603 - a program that the user has
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


if __name__ == "__main__":
    main()
