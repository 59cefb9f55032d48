"""Phone times that cannot be right: one guard, and every measure that uses phones has it."""

import dataclasses
import json
import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.corpora.phones import TOLERANCE, checked_phones, misplaced
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, find_measure
from foresay.loading import load
from reference.levels import write_corpus

MEASURES = [
    "abx:phone",
    "clusters:k50",
    "geometry:frames",
    "phone_ctc:converged",
    "probe:converged",
    "probe:paper",
    "segmentation:20ms",
    "similarity:cosine",
    "tsne:phones",
]
"""All that use phones."""


def phones(*times: tuple[float, float]) -> list[Interval]:
    return [Interval(start, end, "abc"[number % 3]) for number, (start, end) in enumerate(times)]


@pytest.mark.parametrize(
    "times, why",
    [
        ([(0, 120), (120, 900)], r"'a' from 0 to 120 s lies beyond the end at 1 s \(as milliseconds they would fit\)"),
        ([(9, 9.5)], r"'a' from 9 to 9.5 s lies beyond the end at 1 s$"),
        ([(0, 1920), (1920, 14400)], r"'a' from 0 to 1920 s lies beyond the end at 1 s$"),
        ([(0, 0.5), (0.5, 1.03)], r"'b' from 0.5 to 1.03 s lies beyond"),
        ([(0.5, 0.6), (-0.1, 0.2)], r"'b' from -0.1 to 0.2 s begins before the recording"),
        ([(0.0, 0.4), (0.3, 0.5)], r"'b' from 0.3 to 0.5 s begins before the phone before it ends, at 0.4 s"),
        ([(0.0, 0.8), (0.1, 0.2), (0.5, 0.9)], r"'b' from 0.1 to 0.2 s begins before the phone before it ends"),
        ([(0.0, math.nan)], "no stretch of time"),
        ([(math.nan, 0.5)], "no stretch of time"),
        ([(0.0, math.inf)], "no stretch of time"),
        ([(0.5, 0.4)], "no stretch of time"),
    ],
)
def test_what_cannot_be_is_said(times: list[tuple[float, float]], why: str) -> None:
    assert re.search(why, misplaced(phones(*times), 1.0) or "")


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=8), st.floats(-TOLERANCE / 2, TOLERANCE / 2), st.booleans())
def test_phones_that_follow_each_other_are_right(edges: list[int], off: float, backwards: bool) -> None:  # noqa: FBT001
    """In any order, with gaps, and each a little too long or too short."""
    found = phones(*((a / 1000, max(a / 1000, b / 1000 + off)) for a, b in pairwise(sorted(edges))))
    assert misplaced(found[::-1] if backwards else found, 1.0) is None


def test_real_labels_of_a_corpus_are_listed(tmp_path: Path) -> None:
    assert checked_phones(write_corpus(tmp_path / "m.jsonl", 3)) == ("a", "b", "c", "d")
    assert checked_phones(write_corpus(tmp_path / "n.jsonl", 3, labelled=False)) == ()


def misplace(manifest: Manifest, path: Path, how: str) -> Manifest:
    """Two of the recordings get phones that cannot be."""

    def moved(item: Item) -> Item:
        assert item.phones
        factor, shift, stretch = {"ms": (1000, 0, 0), "late": (1, 0.5, 0), "over": (1, 0, 0.03)}[how]
        changed = tuple(Interval(factor * a + shift, factor * b + shift + stretch, label) for a, b, label in item.phones)
        return dataclasses.replace(item, phones=changed)

    write_manifest(path, [moved(item) if place in {1, 3} else item for place, item in enumerate(manifest)])
    return Manifest.open(path)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    folder = tmp_path_factory.mktemp("corpora")
    right = {name: write_corpus(folder / f"{name}.jsonl", 6, seed=seed) for seed, name in enumerate(("test", "train"))}
    return right | {how: misplace(right["test"], folder / f"{how}.jsonl", how) for how in ("ms", "late", "over")}


@pytest.mark.parametrize("how", ["ms", "late", "over"])
@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_refuses_them_with_the_same_words(corpora: dict[str, Manifest], name: str, how: str) -> None:
    measure = find_measure(name, {"max_size_group": 0, "max_x_across": 0} if name == "abx:phone" else None)
    with pytest.raises(
        UserError, match=rf"phone times of 2 of 6 recordings of .*{how} cannot be right: test-1: .*; test-3: .*corpus check"
    ):
        measure([Subject("mfcc", load("mfcc"), ("mfcc",))], Corpora(corpora[how], corpora["train"]))


@pytest.mark.parametrize("name", ["phone_ctc:converged", "probe:converged", "segmentation:20ms"])
def test_and_so_do_those_that_learn_from_them(corpora: dict[str, Manifest], name: str) -> None:
    with pytest.raises(UserError, match=r"phone times of 2 of 6 recordings of .*ms cannot be right"):
        find_measure(name)([Subject("mfcc", load("mfcc"), ("mfcc",))], Corpora(corpora["test"], corpora["ms"]))


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf])
def test_a_manifest_with_times_that_are_no_numbers_names_the_line(tmp_path: Path, time: float) -> None:
    record = {"id": "one", "audio": "one.wav", "duration": 1.0, "sample_rate": 16000, "phones": [[0.0, time, "a"]]}
    (tmp_path / "m.jsonl").write_text(json.dumps({"id": "no", "audio": "a", "duration": 1.0, "sample_rate": 1}) + "\n" + json.dumps(record))
    with pytest.raises(UserError, match=r"m.jsonl, line 2: .phones. holds"):
        checked_phones(Manifest.open(tmp_path / "m.jsonl"))
