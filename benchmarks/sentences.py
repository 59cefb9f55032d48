"""What the benchmarks of decoding share: sentences of a random lexicon, whose words are each followed by few, and an n-gram of them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from foresay.workflows.language_models import train_ngram

SENTENCES = 20_000
"""That the n-gram learns from, of ten words each."""
FOLLOWING = 20
"""Words that may follow a word."""


class Draws:
    """Whole numbers, always the same."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, low: int, high: int, count: int = 1) -> list[int]:
        """Draw numbers from low on and below high."""
        numbers: list[int] = torch.randint(low, high, (count,), generator=self.generator).tolist()
        return numbers


class Language(NamedTuple):
    """What is said, and how."""

    spellings: dict[str, list[tuple[int, ...]]]
    """Of the words w0, w1, …"""
    sentence: Callable[[int], list[int]]
    """Draw a sentence of so many words, by their numbers."""
    arpa: Path


def language(drawn: Draws, words: int, symbols: tuple[int, int], longest: int, order: int, folder: Path) -> Language:
    """Make a lexicon of words of up to `longest` - 1 symbols from low on and below high, and train an n-gram on sentences of it."""
    spelled: dict[tuple[int, ...], str] = {}
    while len(spelled) < words:
        spelled.setdefault(tuple(drawn(*symbols, drawn(2, longest)[0])), f"w{len(spelled)}")
    follow = [drawn(0, words, FOLLOWING) for _ in range(words)]

    def sentence(length: int) -> list[int]:
        said = drawn(0, words)
        while len(said) < length:
            said.append(follow[said[-1]][min(drawn(0, FOLLOWING, 3))])  # the first more often than the last
        return said

    (folder / "text").write_text("".join(" ".join(f"w{n}" for n in sentence(10)) + "\n" for _ in range(SENTENCES)), encoding="utf-8")
    train_ngram([folder / "text"], folder / "model.arpa", order=order)
    return Language({word: [spelling] for spelling, word in spelled.items()}, sentence, folder / "model.arpa")
