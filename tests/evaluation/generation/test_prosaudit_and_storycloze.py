"""Pairs that a list or names say, of which the toy model knows the right ones."""

from pathlib import Path

import pytest

from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.generation._pairs import MODEL
from foresay.evaluation.measure import Corpora, find_measure
from reference.toy_token_model import toy_model, write_units

RIGHT, WRONG = "0 1 2 3", "3 2 1 0"
TEXTS = [RIGHT, "0 1 4", "2 3 5"]


def accuracy(
    measure: str, spoken: dict[str, str], folder: Path, options: dict[str, object] | None = None
) -> tuple[float, dict[str, object]]:
    train = write_units(folder / "train", {str(place): text for place, text in enumerate(TEXTS)})
    model = toy_model(*TEXTS)
    corpora = Corpora(write_units(folder, spoken), train)
    rows = find_measure(measure, options)([Subject("toy", model, model.layer_names)], corpora)
    row = next(row for row in rows if (row.layer, row.metric) == (MODEL, "accuracy"))
    return row.value, dict(row.details)


def test_prosaudit_by_type_and_by_place(tmp_path: Path) -> None:
    gold = tmp_path / "english/dev/gold.csv"
    gold.parent.mkdir(parents=True)
    gold.write_text(
        "filename,id,type,correct\na,1,lexical,1\nb,1,lexical,0\nd,1,protosyntax,0\nc,1,protosyntax,1\ne,2,lexical,0\nf,2,lexical,1\n"
    )
    spoken = {f"english/dev/{name}": RIGHT if name in "ace" else WRONG for name in "abcdef"}
    value, details = accuracy("prosaudit:repaired", spoken, tmp_path)
    assert value == pytest.approx(2 / 3)
    assert details["by"] == {"type": {"lexical": (0.5, 2), "protosyntax": (1.0, 1)}}
    assert accuracy("prosaudit:official", spoken, tmp_path)[0] == pytest.approx(2 / 3)
    gold.write_text("filename,id,type,correct\na,1,lexical,1\nc,1,protosyntax,1\nd,1,protosyntax,0\nb,1,lexical,0\n")
    published = find_measure("prosaudit:official").pairs(write_units(tmp_path, spoken))
    assert [(pair.right, pair.wrong) for pair in published] == [("a", "d"), ("c", "b")]


def test_stories_whose_names_end_in_what_they_are(tmp_path: Path) -> None:
    spoken = {"s/1_correct": RIGHT, "s/1_incorrect": WRONG, "s/2_incorrect": RIGHT, "s/2_correct": WRONG}
    value, details = accuracy("storycloze:ends", spoken, tmp_path)
    assert value == 0.5
    assert details["pairs"] == 2
    renamed = {name.replace("_incorrect", "-bad").replace("_correct", "-good"): text for name, text in spoken.items()}
    assert accuracy("storycloze:ends", renamed, tmp_path / "b", {"right": "-good", "wrong": "-bad"})[0] == 0.5
    plain = {"1right": RIGHT, "1nonright": WRONG}  # the longest ending counts
    assert accuracy("storycloze:ends", plain, tmp_path / "c", {"right": "right", "wrong": "nonright"})[0] == 1.0


def test_of_two_with_one_number_the_first_by_name_is_right(tmp_path: Path) -> None:
    spoken = {
        "gender/sample_1_0": RIGHT,
        "gender/sample_1_1": WRONG,
        "room/sample_01_a": WRONG,
        "room/sample_1_b": RIGHT,
        "room/sample_10_a": RIGHT,
        "room/sample_10_b": WRONG,
    }
    value, details = accuracy("storycloze:first", spoken, tmp_path)
    assert value == pytest.approx(2 / 3)
    assert details["by"] == {"folder": {"gender": (1.0, 1), "room": (0.5, 2)}}


@pytest.mark.parametrize(
    "measure, names, message",
    [
        ("ends", ("1_correct", "1_incorrect", "2_correct"), "story '2' has 2_correct, and a pair is"),
        ("ends", ("1_correct", "x"), "'x' does not say which story it is of: it must end in _correct or _incorrect"),
        ("first", ("1_a", "1_b", "1_c"), "story '1' has 1_a, 1_b, 1_c"),
        ("first", ("1_a", "1_b", "x"), "'x' does not say which story it is of: it must have a number"),
    ],
)
def test_names_that_say_nothing_are_refused(tmp_path: Path, measure: str, names: tuple[str, ...], message: str) -> None:
    manifest = write_units(tmp_path, dict.fromkeys(names, RIGHT))
    with pytest.raises(UserError, match=message):
        find_measure(f"storycloze:{measure}").pairs(manifest)
