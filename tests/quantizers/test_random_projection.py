"""The random-projection quantizer against loops; what is normalized over what; the codes of a golden input."""

import math

import pytest
import torch

from foresay.quantizers import random_projection
from foresay.quantizers.random_projection import RandomProjectionQuantizer, code_use

SIZE, CODES, CODE_SIZE, BOOKS = 12, 40, 5, 3
GOLDEN = [[6, 11, 3], [21, 4, 38], [9, 25, 3], [2, 8, 11], [15, 2, 14], [35, 29, 32]]
"""Of six sines: the entry that wins is nearer than the next by 0.003 in cosine at least: more than rounding."""


def quantizer(seed: int = 0) -> RandomProjectionQuantizer:
    return RandomProjectionQuantizer(SIZE, CODES, CODE_SIZE, BOOKS, seed)


def frames(count: int = 50) -> torch.Tensor:
    return torch.randn(count, SIZE, generator=torch.Generator().manual_seed(7))


def test_codes_are_the_nearest_of_normalized_vectors() -> None:
    quantize, given = quantizer(), frames()
    found = quantize(given)
    assert found.shape == (50, BOOKS)
    for n in range(50):
        for book in range(BOOKS):
            projected = given[n] @ quantize.projections[book]
            projected = projected / projected.square().sum().sqrt()
            distances = [float((projected - entry).square().sum()) for entry in quantize.entries[book]]
            assert int(found[n, book]) == min(range(CODES), key=distances.__getitem__)


def test_entries_have_length_one_each_over_its_own_features() -> None:
    quantize = quantizer()
    torch.testing.assert_close(quantize.entries.square().sum(-1), torch.ones(BOOKS, CODES))
    assert float(quantize.entries.square().sum(-2).std()) > 0.5  # and not over the book, feature by feature


def test_projections_are_xavier_uniform() -> None:
    large = RandomProjectionQuantizer(320, 4, 16)
    bound = math.sqrt(6 / (320 + 16))
    assert large.projections.abs().max() <= bound
    # Of 5,120 draws the variance is known to 1.3 % (one standard deviation).
    assert float(large.projections.var()) == pytest.approx(bound**2 / 3, rel=0.05)


def test_a_frame_is_known_by_its_direction_alone() -> None:
    quantize, given = quantizer(), frames()
    loudness = torch.linspace(0.01, 100, len(given))[:, None]
    assert torch.equal(quantize(given * loudness), quantize(given))
    assert not torch.equal(quantize(-given), quantize(given))


def test_codes_of_a_golden_input() -> None:
    ramp = torch.stack([torch.sin(torch.arange(SIZE) * (n + 1) / 3) for n in range(6)])
    assert quantizer()(ramp).tolist() == GOLDEN


def test_draws_belong_to_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = quantizer().state_dict()
    torch.manual_seed(2)
    with torch.device("cpu"):
        second = quantizer().state_dict()
    assert set(first) == {"projections", "entries"}  # a checkpoint keeps both
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(quantizer(1).entries, first["entries"])
    assert list(quantizer().parameters()) == []
    assert not torch.equal(first["entries"][0], first["entries"][1])


def test_precision_and_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    quantize, given = quantizer(), frames()
    expected = quantize(given)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quantize(given), expected)
    monkeypatch.setattr(random_projection, "ROWS", 7)
    assert torch.equal(quantize(given), expected)
    assert quantize(given[:0]).shape == (0, BOOKS)


def test_use_of_codes() -> None:
    codes = torch.tensor([[0, 3], [1, 3], [0, 3], [1, 3]])
    found = code_use(codes, 4)
    assert float(found["code_use"]) == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert float(found["code_perplexity"]) == pytest.approx((2 * 1) ** 0.5)
