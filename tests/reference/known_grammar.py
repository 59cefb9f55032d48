"""A grammar whose every sentence has a known probability: what a language model can reach at best is known exactly."""

import itertools
import math

import numpy as np
import torch

from foresay.contracts import LanguageModel

FIRST = {"the": 0.7, "every": 0.3}
NEXT = {
    "the": {"cat": 0.5, "dog": 0.3, "old": 0.2},
    "every": {"cat": 0.1, "dog": 0.1, "old": 0.8},
    "old": {"cat": 0.25, "dog": 0.75},
    "cat": {"sleeps": 0.6, "purrs": 0.3, "": 0.1},
    "dog": {"sleeps": 0.2, "barks": 0.8},
    "sleeps": {"": 1.0},
    "purrs": {"": 0.5, "sleeps": 0.5},
    "barks": {"": 1.0},
}
"""What follows a word, and how often; the empty word is the end."""


def sentences() -> dict[str, float]:
    """All sentences, and their probabilities."""
    found: dict[str, float] = {}
    open_ = [((word,), share) for word, share in FIRST.items()]
    while open_:
        words, share = open_.pop()
        for word, after in NEXT[words[-1]].items():
            if word:
                open_.append(((*words, word), share * after))
            else:
                found[" ".join(words)] = share * after
    return found


def entropy() -> float:
    """Nats of a sentence."""
    return -sum(share * math.log(share) for share in sentences().values())


def draw(count: int, seed: int = 0) -> list[str]:
    """Draw sentences."""
    every = sentences()
    return np.random.default_rng(seed).choice(list(every), size=count, p=list(every.values())).tolist()


def cross_entropy(model: LanguageModel) -> float:
    """Nats of a sentence by a model, exactly: over all that there are, each as often as it comes."""
    numbers = {symbol: number for number, symbol in enumerate(model.symbols)}
    total = 0.0
    for sentence, share in sentences().items():
        state, nats = torch.tensor([model.start]), 0.0
        for symbol in model.split(sentence):
            score, state = model.advance(state, torch.tensor([numbers.get(symbol, -1)]))
            nats -= score.item()
        total += share * (nats - model.end(state).item())
    return total


assert math.isclose(sum(sentences().values()), 1.0)
assert all(math.isclose(sum(after.values()), 1.0) for after in itertools.chain([FIRST], NEXT.values()))
