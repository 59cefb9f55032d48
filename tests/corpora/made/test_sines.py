"""Sines: their class can be read off the peak of their spectrum, and everything else is drawn."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.corpora.generated import MadeCorpus
from foresay.corpora.made.sines import BANDS, SAMPLE_RATE, Sines, draw_sine
from foresay.corpora.manifest import Item, Manifest
from foresay.errors import UserError


def make_small(folder: Path, seed: int = 0) -> MadeCorpus:
    return Sines(seed=seed, train=40, test=10).make(folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> MadeCorpus:
    return make_small(tmp_path_factory.mktemp("sines"))


def peak(item: Item) -> float:
    """Hz at which there is most energy."""
    samples, rate = soundfile.read(item.audio)
    energy = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return float(np.argmax(energy) * rate / len(samples))


def test_the_peak_of_the_spectrum_lies_in_the_band_of_the_class(corpus: MadeCorpus) -> None:
    items = list(Manifest.open(corpus.manifests["all"]))
    assert len(items) == 50
    for item in items:
        lowest, highest = BANDS[str(item.label)]
        assert lowest - 2 <= peak(item) <= highest + 2
        assert (item.duration, item.sample_rate) == (1.0, SAMPLE_RATE)


def test_both_classes_have_as_many_in_both_splits_and_no_two_clips_are_alike(corpus: MadeCorpus) -> None:
    for split, count in (("train", 40), ("test", 10)):
        labels = [item.label for item in Manifest.open(corpus.manifests[split])]
        assert labels.count("low") == labels.count("high") == count // 2
    files = [item.audio.read_bytes() for item in Manifest.open(corpus.manifests["all"]) if item.audio]
    assert len(set(files)) == 50


def test_all_pitches_of_an_octave_are_as_likely_and_phases_and_loudness_differ() -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([draw_sine("low", rng) for _ in range(300)])
    spectra = np.fft.rfft(drawn * np.hanning(drawn.shape[1]))
    peaks = np.abs(spectra).argmax(axis=1)
    octaves = np.log2(peaks / 200)
    counts, _ = np.histogram(octaves, bins=4, range=(0, 1))
    assert counts.min() > 50
    phases = np.angle(spectra[np.arange(300), peaks])
    assert abs(np.exp(1j * phases).mean()) < 0.15
    loudness = 20 * np.log10(drawn.std(axis=1) * np.sqrt(2))
    assert loudness.min() < -27
    assert loudness.max() > -9


def test_made_again_it_is_the_same_and_with_another_seed_another(corpus: MadeCorpus, tmp_path: Path) -> None:
    folder = corpus.manifests["all"].parent
    same, other = make_small(tmp_path / "same"), make_small(tmp_path / "other", seed=1)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert [(folder / path).read_bytes() for path in files] == [(tmp_path / "same" / path).read_bytes() for path in files]
    first = Path("audio", "train", "low-00000.wav")
    assert (tmp_path / "other" / first).read_bytes() != (folder / first).read_bytes()
    assert not same.reused
    assert not other.reused
    assert make_small(tmp_path / "same").reused


def test_what_cannot_be_made_is_explained(tmp_path: Path) -> None:
    for wrong in ({"train": 1}, {"test": 0}, {"seed": -1}):
        with pytest.raises(UserError, match="one of each class"):
            Sines(**wrong).make(tmp_path / "sines")
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="something else than the sines"):
        Sines().make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
