"""Bars: which way they run shows in the gradient, how far they lie apart in the spectrum; and the sound is of the same class."""

from pathlib import Path

import numpy as np
import pytest

from foresay.corpora.check import check
from foresay.corpora.generated import MadeCorpus
from foresay.corpora.made.bars import BARS, SIDE, BarsWithSines, draw_bars
from foresay.corpora.made.sines import BANDS
from foresay.corpora.manifest import Manifest
from foresay.images.read import Pixels, read_pixels

pytest.importorskip("PIL")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> MadeCorpus:
    return BarsWithSines(train=20, test=6).make(tmp_path_factory.mktemp("bars"))


def steepest(pixels: Pixels) -> int:
    """Axis along which brightness changes most."""
    brightness = pixels.astype(float).mean(axis=2)
    return int(np.argmax([np.abs(np.diff(brightness, axis=axis)).mean() for axis in (0, 1)]))


def period(pixels: Pixels, axis: int) -> float:
    """Pixels from one bar to the next, by the strongest frequency."""
    line = pixels.astype(float).mean(axis=(1 - axis, 2))
    spectrum = np.abs(np.fft.rfft((line - line.mean()) * np.hanning(SIDE), n=16 * SIDE))
    return float(16 * SIDE / np.argmax(spectrum))


@pytest.mark.parametrize("label", BARS)
def test_direction_and_distance_are_those_of_the_class(label: str) -> None:
    axis, (least, most) = BARS[label]
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        pixels = draw_bars(label, rng)
        assert pixels.shape == (SIDE, SIDE, 3)
        assert steepest(pixels) == axis
        found.append(period(pixels, axis))
    assert 0.93 * least <= min(found) <= 1.1 * least
    assert 0.9 * most <= max(found) <= 1.07 * most


def test_halves_of_a_pair_are_of_one_class(corpus: MadeCorpus) -> None:
    manifest = Manifest.open(corpus.manifests["all"])
    assert len(manifest) == 26
    assert manifest.pictured.all()
    for place, item in enumerate(manifest):
        assert item.image is not None
        samples = manifest.read(place, item.sample_rate)
        peak = np.abs(np.fft.rfft(samples)).argmax() * item.sample_rate / len(samples)
        (label,) = [name for name, (lowest, highest) in BANDS.items() if lowest - 2 <= peak <= highest + 2]
        axis = steepest(read_pixels(item.image))
        assert label == item.label == next(name for name, bars in BARS.items() if bars.axis == axis)
    assert check(manifest).findings == ()


def test_made_again_it_is_the_same(corpus: MadeCorpus, tmp_path: Path) -> None:
    folder = corpus.manifests["all"].parent
    BarsWithSines(train=20, test=6).make(tmp_path)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(files) == 2 * 26 + 4
    assert [(folder / path).read_bytes() for path in files] == [(tmp_path / path).read_bytes() for path in files]
