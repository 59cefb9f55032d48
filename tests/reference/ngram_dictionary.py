"""Interpolated modified Kneser-Ney by its definition: dictionaries and sums over everything, one probability at a time."""

from collections import Counter
from collections.abc import Sequence

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
FALLBACK = (0.0, 0.5, 1.0, 1.5)


class DictionaryNGram:
    """`probability` of a word after others."""

    def __init__(self, sentences: Sequence[Sequence[str]], order: int, prune: Sequence[int] = ()) -> None:
        self.order, self.prune = order, [*prune, *[prune[-1] if prune else 0] * order]
        self.raw: Counter[tuple[str, ...]] = Counter()
        for sentence in sentences:
            tokens = (BEGIN, *sentence, END)
            for length in range(1, order + 1):
                self.raw.update(tokens[i : i + length] for i in range(len(tokens) - length + 1))
        words = {word for sentence in sentences for word in sentence}
        self.predicted = [*sorted(words), END, UNKNOWN]
        self.counts = {gram: self._count(gram) for gram in self.raw if gram != (BEGIN,)}

    def probability(self, word: str, before: Sequence[str]) -> float:
        """p(word | the words before it, of which the first may be the beginning)."""
        return self._of(word, tuple(before)[max(len(before) - self.order + 1, 0) :])

    def discounts(self, length: int) -> tuple[float, ...]:
        """D of counts 0, 1, 2, and 3 or more."""
        n = Counter(count for gram, count in self.counts.items() if len(gram) == length)
        if not (n[1] and n[2] and n[3]):
            return FALLBACK
        y = n[1] / (n[1] + 2 * n[2])
        found = (0.0, *(j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3)))
        return found if all(0 <= d <= j for j, d in enumerate(found)) else FALLBACK

    def _count(self, gram: tuple[str, ...]) -> int:
        if len(gram) == self.order or gram[0] == BEGIN:
            return self.raw[gram]
        return sum(1 for longer in self.raw if longer[1:] == gram)

    def _of(self, word: str, context: tuple[str, ...]) -> float:
        below = self._of(word, context[1:]) if context else 1 / len(self.predicted)
        length = len(context) + 1
        followers = {gram: count for gram, count in self.counts.items() if len(gram) == length and gram[:-1] == context}
        total = sum(followers.values())
        if not total:
            return below
        discounts = self.discounts(length)
        left = sum(discounts[min(count, 3)] if self._kept(gram) else count for gram, count in followers.items())
        gram = (*context, word)
        own = self.counts[gram] - discounts[min(self.counts[gram], 3)] if gram in followers and self._kept(gram) else 0
        return own / total + left / total * below

    def _kept(self, gram: tuple[str, ...]) -> bool:
        return len(gram) == 1 or self.raw[gram] > self.prune[len(gram) - 1]
