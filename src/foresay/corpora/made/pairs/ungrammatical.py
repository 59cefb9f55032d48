"""Sentences of the grammar, each beside an ungrammatical one of the same words, so that neither its length nor its words give it away.

    determiner     Ruth saw the red boat.                        Ruth saw red the boat.
    adjective      Ruth saw the red boat.                        Ruth saw the boat red.
    verb           Ruth saw the red boat.                        Ruth the red boat saw.
    preposition    Our cat slept near the farm.                  Our cat slept the near farm.
    number         Two singers found this coin.                  Two singer found this coins.
    be             Two singers were tall, but Ruth was young.    Two singers was tall, but Ruth were young.

The first four are of the order of words, the last two of agreement.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from foresay.corpora.made.sentences import expand

SINGULAR = ("this", "that", "another", "every", "each", "one")


class SentencePair(NamedTuple):
    """A sentence and its ungrammatical counterpart."""

    type: str
    """`order` or `agreement`."""
    subtype: str
    right: str
    wrong: str


def draw_sentence_pairs(count: int, rng: np.random.Generator) -> list[SentencePair]:
    """Draw pairs, of all subtypes in turn; no sentence comes twice."""
    found: dict[str, SentencePair] = {}
    while len(found) < count:
        subtype = list(SUBTYPES)[len(found) % len(SUBTYPES)]
        kind, write = SUBTYPES[subtype]
        right, wrong = (f"{words[0].upper()}{words[1:]}." for words in write(rng))
        found.setdefault(right, SentencePair(kind, subtype, right, wrong))
    return list(found.values())


def _reordered(form: str, right: str, wrong: str) -> Callable[[np.random.Generator], tuple[str, str]]:
    """Expand the parts of a form, between bars, and put them into two orders: `0 1 2` and `1 0 2`."""

    def write(rng: np.random.Generator) -> tuple[str, str]:
        parts = [expand(part.strip(), rng) for part in form.split("|")]
        one, other = (" ".join(parts[int(place)] for place in order.split()) for order in (right, wrong))
        return one, other

    return write


def _number(rng: np.random.Generator) -> tuple[str, str]:
    many, did, one = (expand(form, rng) for form in ("{number} {person}", "{did}", "{object}"))
    single = SINGULAR[rng.integers(len(SINGULAR))]
    return f"{many}s {did} {single} {one}", f"{many} {did} {single} {one}s"


def _be(rng: np.random.Generator) -> tuple[str, str]:
    many, tall, one, young = (expand(form, rng) for form in ("{number} {person}s", "{quality}", "{name}", "{quality}"))
    return f"{many} were {tall}, but {one} was {young}", f"{many} was {tall}, but {one} were {young}"


_TRANSITIVE = "{one} | {did} | {owner} | {quality} | {object}"
SUBTYPES: dict[str, tuple[str, Callable[[np.random.Generator], tuple[str, str]]]] = {
    "determiner": ("order", _reordered(_TRANSITIVE, "0 1 2 3 4", "0 1 3 2 4")),
    "adjective": ("order", _reordered(_TRANSITIVE, "0 1 2 3 4", "0 1 2 4 3")),
    "verb": ("order", _reordered(_TRANSITIVE, "0 1 2 3 4", "0 2 3 4 1")),
    "preposition": ("order", _reordered("{one} {acted} | {side} | {owner} | {place}", "0 1 2 3", "0 2 1 3")),
    "number": ("agreement", _number),
    "be": ("agreement", _be),
}
"""By name: the type, and what writes a pair."""
