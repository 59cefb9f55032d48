"""Cells: what is compared with what."""

import numpy as np
import pytest

from foresay.errors import UserError
from foresay.evaluation.abx.items import Items, Token
from foresay.evaluation.abx.task import Task
from golden.abx.speech import speak
from reference import abx_loops


def items(*tokens: str) -> Items:
    """Tokens written as `speaker:previous-phone-next`."""
    split = [(text.partition(":")[0], *text.partition(":")[2].split("-")) for text in tokens]
    return Items.of([Token(f"f{n}", 0.0, 0.1, p, before, after, who) for n, (who, before, p, after) in enumerate(split)])


def task(tokens: Items, speaker: str, context: str = "within", size: int | None = None, most: int | None = None, seed: int = 0) -> Task:
    return Task.of(tokens, speaker=speaker, context=context, max_size_group=size, max_x_across=most, seed=seed)


def members(made: Task, group: int) -> list[int]:
    return made.groups.tokens[made.groups.starts[group] :][: made.groups.sizes[group]].tolist()


@pytest.mark.parametrize("speaker", ["within", "across"])
@pytest.mark.parametrize("context", ["within", "any"])
def test_all_cells_are_found(speaker: str, context: str) -> None:
    _, lines = speak()
    tokens = [abx_loops.Identified((line, np.array([n]))) for n, line in enumerate(lines)]
    expected = {tuple(tuple(int(t[1][0]) for t in part) for part in parts) for _, *parts in abx_loops.cells(tokens, speaker, context)}
    made = task(Items.of([Token(*line) for line in lines]), speaker, context)
    found = [tuple(tuple(members(made, group)) for group in cell) for cell in zip(*made.cells, strict=True)]
    assert len(found) == len(set(found))
    assert set(found) == expected
    triplets = sum(len(a) * len(b) * (len(x) - (speaker == "within")) for a, b, x in expected)
    assert made.triplets == triplets


def test_groups_are_drawn_down_to_a_size_by_seed() -> None:
    tokens = items(*(f"{who}:x-{phone}-y" for who in ("kim", "lee") for phone in "ab" for _ in range(20)))
    drawn = [task(tokens, "within", size=5, seed=seed) for seed in (0, 0, 1)]
    assert all((made.groups.sizes == 5).all() for made in drawn)
    same, again, other = (made.groups.tokens.tolist() for made in drawn)
    assert same == again != other
    assert len(set(same)) == 20
    assert all(tokens.speaker[i] == "kim" for group in (0, 1) for i in members(drawn[0], group))


def test_few_tokens_are_all_taken() -> None:
    tokens = items("kim:x-a-y", "kim:x-a-y", "kim:x-b-y")
    assert sorted(task(tokens, "within", size=2).groups.tokens.tolist()) == [0, 1, 2]


def test_speakers_of_x_are_drawn_for_a_and_are_the_same_for_every_b() -> None:
    tokens = items(*(f"s{n}:x-{phone}-y" for n in range(8) for phone in "abc"))
    made = task(tokens, "across", most=3)
    speakers, phones = made.groups.speakers, made.groups.phones
    chosen: dict[tuple[int, int], set[int]] = {}
    for a, b, x in zip(*made.cells, strict=True):
        assert speakers[a] == speakers[b] != speakers[x]
        assert phones[a] == phones[x] != phones[b]
        chosen.setdefault((int(a), int(b)), set()).add(int(speakers[x]))
    assert len(chosen) == 8 * 3 * 2
    assert all(len(drawn) == 3 for drawn in chosen.values())
    by_a = {a: {frozenset(drawn) for (a_, _), drawn in chosen.items() if a_ == a} for a, _ in chosen}
    assert all(len(drawn) == 1 for drawn in by_a.values())
    assert len({drawn for sets in by_a.values() for drawn in sets}) > 8  # not the same for all
    assert task(tokens, "across", most=3, seed=1).cells.x.tolist() != made.cells.x.tolist()


@pytest.mark.parametrize(
    "tokens, speaker, message",
    [
        (items("kim:x-a-y", "kim:x-b-y"), "within", r"a group of one token has no X.*make 2 groups, of which 0 have two tokens"),
        (items("kim:x-a-y", "kim:x-a-y"), "within", "0 another phone beside them"),
        (items("kim:x-a-y", "kim:x-b-y"), "across", r"a phone that two speakers say.*speakers: 1.*measure within speakers only"),
        (items("kim:x-a-y", "kim:x-b-y", "lee:z-a-y"), "across", "the context `any`"),
    ],
)
def test_that_there_is_no_cell_is_reported(tokens: Items, speaker: str, message: str) -> None:
    with pytest.raises(UserError, match=f"not one cell {speaker} speakers.*{message}"):
        task(tokens, speaker)


def test_one_token_each_is_enough_across_speakers() -> None:
    made = task(items("kim:x-a-y", "kim:x-b-y", "lee:x-a-y"), "across")
    assert [members(made, int(group[0])) for group in made.cells] == [[0], [1], [2]]
