"""Which recognizer is best, from how many minutes of transcripts? CTC, attention, a transducer and HMMs; from scratch, or on an encoder.

    python benchmarks/recognizers.py corpora/mine runs/compared 10 30 [--encoder runs/acpc]

The corpus is a folder with train.jsonl, valid.jsonl, test.jsonl and texts.txt, as `foresay demo recognizers --corpus` takes it. What is
done already is not done again. Prints the table for the docs.
"""

import argparse
from pathlib import Path

from foresay.workflows.recognizers import Recognizers, lecture
from foresay.workflows.reproductions._tables import markdown


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("minutes", type=float, nargs="+")
    parser.add_argument("--encoder")
    parser.add_argument("--texts", type=Path, help="default: texts.txt of the corpus")
    options = parser.parse_args()
    texts = options.texts or options.corpus / "texts.txt"
    experiment = Recognizers(options.corpus, options.folder, lecture(encoder=options.encoder), tuple(options.minutes), texts)
    experiment.do()
    head, *rows = experiment.table()
    print(markdown(head, rows))


if __name__ == "__main__":
    main()
