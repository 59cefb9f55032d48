"""The weights of a language model and of the number of words, found on n-best lists: no search is repeated for a point of the surface.

Points (a, b) of a Sobol sequence cover the whole range, then a grid the neighbourhood of the best. For each, the hypotheses of every
utterance are ranked anew, and the errors of the first ones added up: word error rate of the corpus. The smallest rate is partly chance: all
points within one standard error of it (bootstrap over utterances) are the flat region, and of these the one that is farthest from any worse
point is taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foresay.contracts.recognition import Hypothesis
from foresay.decoding.rescoring import NBest, Scores, matched, words_of
from foresay.decoding.weights import LARGEST, Weights
from foresay.errors import UserError, at_least
from foresay.statistics.edit_distance import edit_distance
from foresay.statistics.intervals import bootstrap

LANGUAGE = (0.0, LARGEST)
WORDS = (-5.0, 5.0)
_NEIGHBOURHOOD = 0.1
"""Share of the ranges to each side of the best point that the grid covers."""


@dataclass(frozen=True)
class Tuned:
    """What was found, with the whole surface."""

    weights: Weights
    """The centre of the flat region."""
    rate: float
    """Word error rate there, of the hypotheses as they would be ranked."""
    lowest: float
    """The smallest rate of all points: no estimate of anything, for it was chosen."""
    standard_error: float
    """Of the smallest rate, over utterances."""
    points: tuple[tuple[float, float], ...]
    """(a, b) of each."""
    rates: tuple[float, ...]
    """Word error rate at each."""
    flat: tuple[bool, ...]
    """Whether it is within one standard error of the smallest."""


def tune(
    nbest: NBest,
    references: Sequence[str],
    *,
    second: Scores | None = None,
    sobol: int = 64,
    grid: int = 8,
    seed: int = 0,
) -> Tuned:
    """Find the weights at which n-best lists have the fewest word errors.

    Args:
        nbest: hypotheses of each utterance, found with weights from the middle of the ranges.
        references: what was said, words with spaces between them.
        second: log p of each hypothesis by another language model. Its weight is sought then, and what each word is to add beside what it
            adds in the search, whose own score stands; without, the weights of the search are.
        sobol: points over the whole range.
        grid: points on each side of the grid around the best of them.
        seed: of the Sobol sequence and the bootstrap.

    Raises:
        UserError: lists and references do not match, or no words were said.
    """
    at_least(1, sobol=sobol, grid=grid)
    table = _Table(nbest, references, second)
    low, high = torch.tensor([LANGUAGE, WORDS], dtype=torch.float64).T
    points = torch.quasirandom.SobolEngine(2, scramble=True, seed=seed).draw(sobol, dtype=torch.float64)
    errors = table.errors(low + points * (high - low))  # (P, U)
    centre = points[errors.sum(1).argmin()]
    side = torch.linspace(-_NEIGHBOURHOOD, _NEIGHBOURHOOD, grid, dtype=torch.float64)
    near = (centre + torch.cartesian_prod(side, side)).clamp(0, 1)
    points, errors = torch.cat([points, near]), torch.cat([errors, table.errors(low + near * (high - low))])
    rates = errors.sum(1) / table.words.sum()
    lowest = int(rates.argmin())
    spread = _standard_error(errors[lowest], table.words, seed)
    flat = rates <= rates[lowest] + spread
    chosen = _centre(points, flat, rates)
    weights = low + points * (high - low)
    return Tuned(
        Weights(*weights[chosen].tolist()),
        rates[chosen].item(),
        rates[lowest].item(),
        spread,
        tuple((a, b) for a, b in weights.tolist()),
        tuple(rates.tolist()),
        tuple(flat.tolist()),
    )


def tune_search(
    search: Callable[[Weights], NBest], references: Sequence[str], *, start: Weights | None = None, rounds: int = 3, seed: int = 0
) -> Tuned:
    """Find the weights of a search: search, tune on all hypotheses found so far, search with what was found, until it finds no new ones.

    Args:
        search: returns n-best lists of kept emissions under weights.
        references: what was said.
        start: weights of the first search.
        rounds: searches, at most.
        seed: as of `tune`.

    Raises:
        UserError: lists and references do not match, or no words were said.
    """
    at_least(1, rounds=rounds)
    weights, known = start or Weights(1.0, 0.0), [dict[str, Hypothesis]() for _ in references]
    for _ in range(rounds):
        before = sum(map(len, known))
        for found, hypotheses in zip(known, search(weights), strict=True):
            for hypothesis in hypotheses:
                old = found.setdefault(hypothesis.text, hypothesis)
                if hypothesis.acoustic > old.acoustic:
                    found[hypothesis.text] = hypothesis
        tuned = tune([list(found.values()) for found in known], references, seed=seed)
        if sum(map(len, known)) == before:
            break
        weights = tuned.weights
    return tuned


class _Table:
    """Scores and errors of all hypotheses, (U, N) with those of an utterance in a row."""

    def __init__(self, nbest: NBest, references: Sequence[str], second: Scores | None) -> None:
        if len(nbest) != len(references):
            msg = f"{len(nbest)} lists of hypotheses for {len(references)} references: each utterance has one"
            raise UserError(msg)
        said = [reference.split() for reference in references]
        self.words = torch.tensor([len(words) for words in said], dtype=torch.float64)
        if not self.words.sum():
            msg = "the references hold no words: weights are tuned on utterances whose text is known"
            raise UserError(msg)
        if second is not None:
            matched(nbest, second)
        shape = (len(nbest), max(1, *map(len, nbest)) if nbest else 1)
        self.fixed = torch.full(shape, -torch.inf, dtype=torch.float64)
        self.language, self.count = torch.zeros(2, *shape, dtype=torch.float64)
        self.wrong = self.words[:, None].expand(shape).clone()  # where nothing was found all words are missing
        for u, (found, words) in enumerate(zip(nbest, said, strict=True)):
            n = len(found)
            fixed, language = ([h.acoustic for h in found], [h.language for h in found])
            if second is not None:
                fixed, language = [h.score for h in found], second[u]
            self.fixed[u, :n] = torch.tensor(fixed, dtype=torch.float64)
            self.language[u, :n] = torch.tensor(language, dtype=torch.float64)
            self.count[u, :n] = torch.tensor([len(words_of(h)) for h in found], dtype=torch.float64)
            self.wrong[u, :n] = torch.tensor([edit_distance(words, words_of(h)) for h in found], dtype=torch.float64)

    def errors(self, points: Tensor) -> Tensor:
        """Count the errors of each utterance's first hypothesis at points (P, 2): (P, U)."""
        rows = []
        for a, b in points.tolist():
            first = (self.fixed + a * self.language + b * self.count).argmax(1, keepdim=True)
            rows.append(self.wrong.gather(1, first)[:, 0])
        return torch.stack(rows)


def _standard_error(errors: Tensor, words: Tensor, seed: int) -> float:
    """Of the error rate of a corpus, over draws of its utterances; 0 where these are too few."""
    draws = bootstrap(errors.numpy(), words.numpy(), seed=seed).draws
    return float(draws.std()) if len(draws) else 0.0


def _centre(points: Tensor, flat: Tensor, rates: Tensor) -> int:
    """Of the flat points (P, 2), in shares of the ranges, find the one farthest from worse points and from the edges of the ranges."""
    edges = torch.minimum(points, 1 - points).amin(1)
    room = edges
    if not flat.all():
        room = torch.minimum(edges, torch.cdist(points, points[~flat]).amin(1))
    best = torch.where(flat, room, -1.0)
    widest = (best >= best.max() - 1e-9).nonzero()[:, 0]
    return int(widest[rates[widest].argmin()])
