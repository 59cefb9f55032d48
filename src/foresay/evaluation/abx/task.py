"""Which tokens are compared with which: cells of A, B and X.

A and B are tokens of two phones by the same speaker, X is another token of A's phone: by that speaker too (`within`), or by another one
(`across`). With the context `within`, all three have the same phones before and after; with `any`, whatever they have.
A cell is all triplets with the same phones, speakers and context.

    groups    tokens of one phone, one speaker, one context        g = 0 … G-1, sorted by context, speaker, phone
    cells     (a, b, x) of groups; within speakers x = a, and a token is not compared with itself
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from foresay import draws
from foresay.errors import UserError
from foresay.evaluation.abx.items import Items

Speaker = Literal["within", "across"]
Context = Literal["within", "any"]
Indices = NDArray[np.int64]


class Groups(NamedTuple):
    """G groups of tokens."""

    tokens: Indices
    """Indices of tokens, group after group."""
    starts: Indices
    """(G,): where a group begins in `tokens`."""
    sizes: Indices
    """(G,)"""
    contexts: Indices
    """(G,) codes."""
    speakers: Indices
    """(G,) codes: places in `speaker_names`."""
    phones: Indices
    """(G,) codes: places in `phone_names`."""
    speaker_names: tuple[str, ...]
    phone_names: tuple[str, ...]


class Cells(NamedTuple):
    """C cells, in the order of A's groups."""

    a: Indices
    """(C,): A's group."""
    b: Indices
    x: Indices


@dataclass(frozen=True, eq=False)
class Task:
    """What is compared."""

    speaker: Speaker
    context: Context
    groups: Groups
    cells: Cells

    @classmethod
    def of(
        cls,
        items: Items,
        *,
        speaker: Speaker,
        context: Context,
        max_size_group: int | None,
        max_x_across: int | None,
        seed: int = 0,
    ) -> Self:
        """Make the cells of some tokens.

        `max_size_group`: tokens taken of a group at most, None for all. They are drawn once, for whatever the group is compared with.
        `max_x_across`: other speakers at most whose tokens are X for the A of one speaker and context.

        Raises:
            UserError: there is no cell.
        """
        random = draws.stream("tokens", seed)
        groups = _groups(items, context, max_size_group, random)
        cells = _within(groups) if speaker == "within" else _across(groups, max_x_across, random)
        if len(cells.a) == 0:
            _refuse(groups, speaker, context)
        return cls(speaker, context, groups, cells)

    @property
    def triplets(self) -> int:
        """All comparisons of an A and a B with an X."""
        a, b, x = (self.groups.sizes[group] for group in self.cells)
        return int((b * a * (x - (self.speaker == "within"))).sum())


def consecutive(starts: Indices, counts: Indices) -> Indices:
    """List `counts` numbers from each of `starts` on, one run after the other.

    >>> consecutive(np.array([3, 10]), np.array([2, 3])).tolist()
    [3, 4, 10, 11, 12]
    """
    return np.arange(counts.sum()) + np.repeat(starts - (counts.cumsum() - counts), counts)


def _groups(items: Items, context: Context, most: int | None, random: np.random.Generator) -> Groups:
    phone_names, phones = np.unique(items.phone, return_inverse=True)
    speaker_names, speakers = np.unique(items.speaker, return_inverse=True)
    contexts = np.zeros_like(phones)
    if context == "within":
        _, before = np.unique(items.previous, return_inverse=True)
        _, after = np.unique(items.next, return_inverse=True)
        contexts = before * (after.max() + 1) + after
    labels = np.stack([contexts, speakers, phones])  # (3, N)
    order = np.lexsort((random.random(len(items)), *labels[::-1]))
    changes = (np.diff(labels[:, order], prepend=-1) != 0).any(axis=0)
    kept = np.sort(order[_rank(changes.cumsum()) < (most or len(items))])
    order = kept[np.lexsort(labels[::-1, kept])]  # tokens of a group in the order of the items
    (contexts, speakers, phones), starts, sizes = np.unique(labels[:, order], axis=1, return_index=True, return_counts=True)
    return Groups(order, starts, sizes, contexts, speakers, phones, tuple(speaker_names.tolist()), tuple(phone_names.tolist()))


def _within(groups: Groups) -> Cells:
    """A and X are the same group, of two tokens at least; B is any other phone of that speaker in that context."""
    starts, counts = _blocks(groups)
    candidates = np.flatnonzero(groups.sizes > 1)
    a = np.repeat(candidates, counts[candidates])
    b = consecutive(starts[candidates], counts[candidates])
    a, b = a[a != b], b[a != b]
    return Cells(a, b, a)


def _across(groups: Groups, most: int | None, random: np.random.Generator) -> Cells:
    """X is the same phone in the same context by another speaker. Whose, is drawn for A, and the same for every B."""
    starts, counts = _blocks(groups)
    by_phone = np.lexsort((groups.speakers, groups.phones, groups.contexts))
    _, first, column, others = np.unique(
        np.stack([groups.contexts, groups.phones])[:, by_phone], axis=1, return_index=True, return_inverse=True, return_counts=True
    )
    columns = np.empty_like(by_phone)
    columns[by_phone] = column.reshape(-1)
    candidates = np.flatnonzero(counts > 1)
    a = np.repeat(candidates, others[columns[candidates]])
    x = by_phone[consecutive(first[columns[candidates]], others[columns[candidates]])]
    a, x = a[a != x], x[a != x]
    order = np.lexsort((random.random(len(a)), a))
    chosen = np.sort(order[_rank(a[order]) < (most or len(groups.starts))])
    a, x = a[chosen], x[chosen]
    b = consecutive(starts[a], counts[a])
    a, x = np.repeat(a, counts[a]), np.repeat(x, counts[a])
    return Cells(a[a != b], b[a != b], x[a != b])


def _blocks(groups: Groups) -> tuple[Indices, Indices]:
    """Return for each group where the groups of its speaker and context begin, and how many they are."""
    _, first, block, counts = np.unique(
        np.stack([groups.contexts, groups.speakers]), axis=1, return_index=True, return_inverse=True, return_counts=True
    )
    block = block.reshape(-1)
    return first[block], counts[block]


def _rank(codes: Indices) -> Indices:
    """Count within each run of equal codes: (n,) -> (n,), from 0."""
    begins = np.flatnonzero(np.diff(codes, prepend=codes[:1] - 1))
    return np.arange(len(codes)) - np.repeat(begins, np.diff(begins, append=len(codes)))


def _refuse(groups: Groups, speaker: Speaker, context: Context) -> None:
    _, counts = _blocks(groups)
    same = " in one context (the phones before and after)" if context == "within" else ""
    needed = {
        "within": f"a phone that a speaker says twice, beside another phone{same}; a group of one token has no X",
        "across": f"a phone that two speakers say, one of them beside another phone{same}",
    }[speaker]
    other = {"within": "across", "across": "within"}[speaker]
    msg = (
        f"there is not one cell {speaker} speakers: it takes {needed}. The {len(groups.tokens)} tokens (phones: {len(groups.phone_names)}, "
        f"speakers: {len(groups.speaker_names)}) make {len(groups.sizes)} groups, of which {int((groups.sizes > 1).sum())} have two tokens "
        f"or more, and {int((counts > 1).sum())} another phone beside them. Give more speech, "
        + ("the context `any`, " if context == "within" else "")
        + f"or measure {other} speakers only"
    )
    raise UserError(msg)
