"""Scores of slots against every way to align their values, and by hand."""

import numpy as np
import pytest

from foresay.statistics.slots import Protocol, score_slots, slots
from reference import slot_loops

REFERENCE = "add B-song red E-song and B-song blue moon E-song to B-list my list E-list"


def draw(random: np.random.Generator) -> tuple[str, dict[str, list[str]]]:
    """A text and its slots, of three types, with short values."""
    text, found = ["say"], dict[str, list[str]]()
    for _ in range(random.integers(0, 6)):
        kind = str(random.choice(["a", "b", "c"]))
        value = " ".join(random.choice(["x", "xy", "yx"], size=random.integers(1, 3)))
        text += [f"B-{kind}", value, f"E-{kind}", *random.choice(["and", "or"], size=random.integers(0, 2))]
        found.setdefault(kind, []).append(value)
    return " ".join(text), found


def test_equals_every_alignment_tried() -> None:
    random = np.random.default_rng(0)
    for _ in range(60):
        (reference, true), (hypothesis, found) = draw(random), draw(random)
        characters = sum(len(value) for values in true.values() for value in values)
        clean, superb = score_slots(reference, hypothesis, "clean"), score_slots(reference, hypothesis, "superb")
        f1 = pytest.approx(slot_loops.type_f1(true, found))
        assert clean == (f1, slot_loops.one_to_one(true, found), characters)
        assert superb == (f1, slot_loops.nearest(true, found), characters)


@pytest.mark.parametrize("protocol", ["clean", "superb"])
@pytest.mark.parametrize(
    "hypothesis, scores",
    [
        (REFERENCE, (1.0, 0, 19)),
        ("add red and blue moon to my list", (0.0, 19, 19)),
        ("put B-song blue moon E-song now B-song red E-song in B-list my list E-list", (1.0, 0, 19)),  # in another order
        ("add B-song bed E-song and B-song blue room E-song to B-list my list E-list", (1.0, 3, 19)),
        ("add B-song red E-song and B-song blue moon E-song to my list", (pytest.approx(2 / 3), 7, 19)),
        ("add B-song red E-song and B-song blue moon E-song to B-list my list", (pytest.approx(2 / 3), 7, 19)),  # which does not end
    ],
)
def test_by_hand(hypothesis: str, scores: tuple[float, int, int], protocol: Protocol) -> None:
    assert score_slots(REFERENCE, hypothesis, protocol) == scores


@pytest.mark.parametrize(
    "hypothesis, clean, superb",
    [
        # One value for two: the other is missing.
        ("add B-song red E-song to B-list my list E-list", (1.0, 9, 19), (1.0, 8, 19)),
        # One value too many, of a type that there is, and of one that there is not.
        (f"{REFERENCE} or B-song green E-song", (1.0, 5, 19), (1.0, 0, 19)),
        (f"{REFERENCE} by B-artist nina E-artist", (0.8, 4, 19), (0.8, 0, 19)),
        # An end that begins as the right one does.
        ("add B-song red E-song and B-song blue moon E-songs to B-list my list E-list", (1.0, 9, 19), (1.0, 0, 19)),
        # An empty value goes on to the next end of its type: there `E-song and blue moon` stands for both.
        ("add B-song E-song and B-song blue moon E-song to B-list my list E-list", (1.0, 3, 19), (1.0, 19 + 11, 19)),
    ],
)
def test_where_protocols_differ(hypothesis: str, clean: tuple[float, int, int], superb: tuple[float, int, int]) -> None:
    assert score_slots(REFERENCE, hypothesis, "clean") == clean
    assert score_slots(REFERENCE, hypothesis, "superb") == superb


@pytest.mark.parametrize("protocol", ["clean", "superb"])
def test_an_utterance_without_slots(protocol: Protocol) -> None:
    assert score_slots("hello there", "hello here", protocol) == (1.0, 0, 0)
    found = score_slots("hello there", "hello B-place there E-place", protocol)
    assert found == (0.0, 5 if protocol == "clean" else 0, 0)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", {}),
        ("B-a x E-a", {"a": ["x"]}),
        ("B-a  x   y E-a B-a z E-a", {"a": ["x y", "z"]}),
        ("B-a x", {}),
        ("x E-a", {}),
        ("a x E-a", {}),
        ("B-a x E-b", {}),
        ("B-a x B-b y E-a", {"a": ["x y"]}),
        ("B-a x B-b y E-b E-a", {"a": ["x y"]}),
        ("B-a E-a", {"a": [""]}),
        ("E-a B-a x E-a E-a", {"a": ["x"]}),
        ("B-a x B-b y E-b", {"b": ["y"]}),
    ],
)
def test_slots_of_a_text(text: str, expected: dict[str, list[str]]) -> None:
    assert slots(text) == expected
