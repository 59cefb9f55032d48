"""Options of samplers are checked as all settings are."""

import pytest

from foresay.errors import UserError
from foresay.negatives import build_sampler


@pytest.mark.parametrize(
    "options, message",
    [
        ({"length": "x"}, r"model.negative_options.length must be of type int, not str \('x'\)"),
        ({"share": 2.0}, "share from 0 to 1"),
        ({"lenght": 8}, "unknown option model.negative_options.lenght = 8: did you mean"),
        ({"length": 2**70}, "no number that anything can be set to"),
    ],
)
def test_options_of_a_queue(options: dict[str, float | str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_sampler("queue", 4, 2, 8, options)


def test_a_sampler_without_options_needs_none() -> None:
    assert build_sampler("reference", 4, 2, 8, {}).count == 4
    with pytest.raises(UserError, match="unknown option model.negative_options.length"):
        build_sampler("reference", 4, 2, 8, {"length": 3})
