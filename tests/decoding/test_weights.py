"""Weights in nats, and those that were published in another unit."""

import math

import pytest

from foresay.decoding.weights import Weights, nats, nearest_labels, published
from foresay.errors import UserError


def test_published_weights_are_in_nats() -> None:
    ten_hours = published("ngram", "10h", "librispeech")
    assert (ten_hours.language, ten_hours.words) == (pytest.approx(1.068, abs=1e-3), -0.59)
    assert published("transformer", "10h", "librispeech") == Weights(1.06, -2.32)
    assert published("ngram", "960h", "librivox").language == pytest.approx(0.68, abs=5e-3)
    assert published("transformer", "10min", "librivox") == Weights(1.47, -2.82)
    assert nats(1.0) * math.log(10) == pytest.approx(1.0)


def test_a_weight_in_base_ten_is_named() -> None:
    with pytest.raises(UserError, match=r"3\.23 is larger.*log10.*3\.23 / ln 10 = 1\.40"):
        Weights(3.23, -0.26)
    assert Weights(2.5)


@pytest.mark.parametrize("words", [1e9, -101.0])
def test_what_a_word_adds_does_not_outweigh_the_audio(words: float) -> None:
    with pytest.raises(UserError, match="outweighs whatever was said"):
        Weights(1.0, words)
    assert Weights(1.0, -100.0)


@pytest.mark.parametrize("language, words", [(-0.1, 0.0), (math.nan, 0.0), (math.inf, 0.0), (1.0, math.nan), (1.0, math.inf)])
def test_weights_are_numbers(language: float, words: float) -> None:
    with pytest.raises(UserError, match="finite"):
        Weights(language, words)


def test_the_nearest_amount_of_labels_is_by_ratio() -> None:
    assert [nearest_labels(hours) for hours in (0.0, 0.3, 0.5, 4.0, 40.0, 300.0, 4000.0)] == [
        "10min", "10min", "1h", "10h", "100h", "100h", "960h"
    ]  # fmt: skip
