"""N-best lists ranked anew, with another language model: log p_AM + a1 log p_ngram + b words + a2 log p_LM + c words, in nats.

A search with an n-gram finds the lists, and a slow model then scores only what is in them, all utterances together.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from foresay.contracts.language_models import LanguageModel
from foresay.contracts.recognition import Hypothesis
from foresay.decoding.emissions import IMPOSSIBLE, padded_labels
from foresay.decoding.weights import Weights
from foresay.errors import UserError

NBest: TypeAlias = Sequence[Sequence[Hypothesis]]
"""Of each utterance its hypotheses, as the searches return them."""
Scores: TypeAlias = list[list[float]]
"""One for each hypothesis of an n-best list, in nats."""
_BATCH = 1024


def words_of(hypothesis: Hypothesis) -> Sequence[str]:
    """Split a transcript at white space."""
    return hypothesis.text.split()


def sentence_scores(model: LanguageModel, sentences: Sequence[Sequence[str]], device: torch.device | str = "cpu") -> Tensor:
    """Score N sentences of symbols, their ends included: (N,) log p on the CPU. What the model lacks is unknown to it."""
    known = {symbol: number for number, symbol in enumerate(model.symbols)}
    order = sorted(range(len(sentences)), key=lambda n: len(sentences[n]))  # those of like lengths together
    total = torch.zeros(len(sentences))
    for begin in range(0, len(order), _BATCH):
        chosen = order[begin : begin + _BATCH]
        rows, lengths = (t.to(device) for t in padded_labels([[known.get(s, -1) for s in sentences[n]] for n in chosen]))
        states = torch.full((len(chosen),), model.start, dtype=torch.int64, device=device)
        score = torch.zeros(len(chosen), device=device)
        for place in range(rows.shape[1]):
            going = place < lengths
            said, states[going] = model.advance(states[going], rows[going, place])
            score[going] += said.clamp(min=IMPOSSIBLE)
        total[chosen] = (score + model.end(states).clamp(min=IMPOSSIBLE)).cpu().float()
    return total


def language_scores(
    nbest: NBest, model: LanguageModel, symbols_of: Callable[[Hypothesis], Sequence[str]] = words_of, device: torch.device | str = "cpu"
) -> Scores:
    """Score all hypotheses of all utterances by another language model.

    Args:
        nbest: hypotheses of each utterance.
        model: of the words or symbols that `symbols_of` finds in a hypothesis.
        symbols_of: splits a hypothesis as the model does.
        device: on which the model computes.
    """
    scores = iter(sentence_scores(model, [symbols_of(hypothesis) for found in nbest for hypothesis in found], device).tolist())
    return [[next(scores) for _ in found] for found in nbest]


def rescore(nbest: NBest, second: Scores, weights: Weights) -> list[list[Hypothesis]]:
    """Rank hypotheses anew: score of the search + a2 log p_LM + c words. Its own weights, and hot words, stay in its score.

    Args:
        nbest: hypotheses of each utterance.
        second: log p of each by another language model than that of the search, if it had one.
        weights: of that other one, a2, and what each word adds beside what it adds in the search, c.

    Returns:
        The same hypotheses with new scores, the best first. Acoustic and language are left as they were.

    Raises:
        UserError: the scores are of other lists.
    """
    matched(nbest, second)
    return [
        sorted((_added(*both, weights) for both in zip(found, scores, strict=True)), key=lambda one: -one.score)
        for found, scores in zip(nbest, second, strict=True)
    ]


def matched(nbest: NBest, second: Scores) -> None:
    """Refuse scores of other lists."""
    if [len(found) for found in nbest] != [len(scores) for scores in second]:
        msg = (
            f"{sum(map(len, second))} scores of {len(second)} utterances for {sum(map(len, nbest))} hypotheses of {len(nbest)}: "
            "each hypothesis has one. Usual cause: scores of another search"
        )
        raise UserError(msg)


def _added(hypothesis: Hypothesis, second: float, weights: Weights) -> Hypothesis:
    added = weights.language * second + weights.words * len(words_of(hypothesis))
    return dataclasses.replace(hypothesis, score=hypothesis.score + added)
