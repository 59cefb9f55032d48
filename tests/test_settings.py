"""Tables and dataclasses, names and classes."""

from dataclasses import dataclass
from typing import Literal

import pytest
from torch import nn

from foresay.contracts import SpeechModel
from foresay.errors import UserError
from foresay.settings import (
    assignment,
    find_class,
    from_table,
    list_names,
    merge,
    options_of,
    read_toml,
    settings_class,
    to_table,
    write_toml,
)


@dataclass(frozen=True)
class Example:
    size: int = 3
    rate: float = 0.1
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[float, float] = (0.5, 1.0)
    clip: float | None = None


def test_a_table_comes_back_as_it_was() -> None:
    for settings in (Example(), Example(size=7, rate=2.0, kind="b", sizes=(), clip=1.0)):
        assert from_table(Example, read_toml(write_toml(to_table(settings)), "test"), "example") == settings


def test_whole_numbers_serve_as_fractions_but_not_the_other_way_round() -> None:
    assert from_table(Example, {"rate": 1, "clip": 2}, "example") == Example(rate=1.0, clip=2.0)
    for table, message in (
        ({"size": 1.0}, "example.size must be of type int, not float"),
        ({"size": True}, "example.size must be of type int, not bool"),
        ({"sizes": [1, "2"]}, "example.sizes must be of type int, not str"),
        ({"kind": "c"}, "example.kind = 'c'"),
        ({"pair": [1]}, "example.pair must be a list of 2, not "),
        ({"pair": []}, "example.pair must be a list of 2, not "),
        ({"pair": 1}, "example.pair must be a list of 2, not "),
        ({"pair": [1, "a"]}, "example.pair must be of type float, not str"),
        ({"sise": 3}, 'example.sise = 3: did you mean "size"'),
    ):
        with pytest.raises(UserError, match=message):
            from_table(Example, table, "example")


class Part:
    def __init__(self, size: int, *, rate: float = 0.1, kind: Literal["a", "b"] = "a", whole: bool = False) -> None:
        self.size, self.rate, self.kind, self.whole = size, rate, kind, whole


def test_options_of_a_part_are_its_keyword_only_arguments() -> None:
    assert options_of(Part, {"rate": 1, "kind": "b", "whole": True}, "model.part") == {"rate": 1.0, "kind": "b", "whole": True}
    for table, message in (
        ({"size": 1}, "unknown option model.part.size = 1: .*Known: kind, rate, whole"),
        ({"rats": 1}, 'model.part.rats = 1: did you mean "rate"'),
        ({"whole": 1}, "model.part.whole must be of type bool, not int"),
        ({"kind": "c"}, "model.part.kind = 'c'"),
    ):
        with pytest.raises(UserError, match=message):
            options_of(Part, table, "model.part")


def test_merge_goes_into_tables_and_replaces_the_rest() -> None:
    assert merge({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "b": {"z": 4}}) == {"a": {"x": 1, "y": 3}, "b": {"z": 4}}


@pytest.mark.parametrize(
    "text, table",
    [
        ("a.b=1", {"a": {"b": 1}}),
        ("a.b=1e-3", {"a": {"b": 0.001}}),
        ("a.b = true", {"a": {"b": True}}),
        ("a.b=[1, 2]", {"a": {"b": [1, 2]}}),
        ("a.b=other-utterances", {"a": {"b": "other-utterances"}}),
        ('a.b="x=y"', {"a": {"b": "x=y"}}),
    ],
)
def test_assignments(text: str, table: dict[str, object]) -> None:
    assert assignment(text) == table


def test_the_file_name_is_the_registry(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert {"acpc", "cpc"} <= set(list_names("foresay.models"))
    assert find_class("foresay.models", "acpc", SpeechModel).__name__ == "ACPC"
    assert settings_class(find_class("foresay.models", "acpc", SpeechModel)).__name__ == "ACPCSettings"
    with pytest.raises(UserError, match=r'there is no model \'acbc\': did you mean "acpc"'):
        find_class("foresay.models", "acbc", SpeechModel)
    with pytest.raises(UserError, match=r"there is no predictor 'linaer'"):
        find_class("foresay.predictors", "linaer", nn.Module)
    # A lab's own module, by its dotted name.
    lab = tmp_path_factory.mktemp("lab")
    (lab / "my_lab").mkdir()
    (lab / "my_lab" / "heads.py").write_text("from torch import nn\nclass _Own(nn.Module): pass\nclass Mine(nn.Module): pass\n")
    (lab / "my_lab" / "broken.py").write_text("import a_package_that_is_not_there\n")
    (lab / "my_lab" / "empty.py").write_text("")
    monkeypatch.syspath_prepend(str(lab))
    assert find_class("foresay.predictors", "my_lab.heads", nn.Module).__name__ == "Mine"
    with pytest.raises(UserError, match="must define exactly one Module; it defines 0"):
        find_class("foresay.predictors", "my_lab.empty", nn.Module)
    with pytest.raises(UserError, match="must be importable from here"):
        find_class("foresay.predictors", "my_lab.missing", nn.Module)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        find_class("foresay.predictors", "my_lab.broken", nn.Module)
