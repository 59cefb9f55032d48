"""From raw audio to words: units of log-mel, a language model of them, and five hundred words beside non-words that it never met."""

from pathlib import Path

import numpy as np
import pytest

from foresay.cli import main
from foresay.results import RESULTS, read_results
from reference.toy_words import draw_words, write_pairs, write_sentences

WORDS, SENTENCES, PAIRS = 40, 600, 500


@pytest.mark.slow
def test_a_language_model_of_units_learns_the_words_that_bigrams_of_units_cannot_know(tmp_path: Path) -> None:
    """The check of spoken language models on a toy lexicon: pairs of words well above chance, bits below those of a bigram."""
    random = np.random.default_rng(0)
    words = draw_words(WORDS, random)
    train = str(write_sentences(tmp_path / "train.jsonl", words, SENTENCES, random).path)
    valid = str(write_sentences(tmp_path / "valid.jsonl", words, 40, random).path)
    pairs = str(write_pairs(tmp_path / "pairs", words, PAIRS, random).path)
    units, lm = str(tmp_path / "units"), str(tmp_path / "lm")
    for command in (
        ("units", "fit", "logmel", "--layer", "logmel", "--clusters", "24", "--corpus", train, "--run", units),
        ("train", "unit-lm-tiny", "--units", units, "--corpus", train, "--run", lm),
        ("evaluate", lm, "--measures", "unit_perplexity:modelled", "--corpus", valid, "--train-corpus", train),
        ("evaluate", lm, "--measures", "swuggy:repaired", "--corpus", pairs, "--train-corpus", train),
    ):
        assert main(list(command)) == 0
    found = {(row.layer, row.metric): row for row in read_results(Path(lm) / RESULTS)}
    learnt, control = found["language model", "accuracy"], found["bigram", "accuracy"]
    assert learnt.low is not None
    assert learnt.low > 0.65
    assert control.high is not None
    assert control.high < 0.6
    assert (found["language model", "bits per unit below bigram"].low or 0) > 0.1
