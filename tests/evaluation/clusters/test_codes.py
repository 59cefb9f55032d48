"""Codes of a model's own quantizer beside phones: of a language whose phones are points, and of real models."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from foresay.building import build
from foresay.contracts import SpeechModel
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.clusters.codes import CODES, OwnCodes
from foresay.evaluation.measure import Corpora, find_measure
from foresay.loading import load
from foresay.results import Result
from reference.levels import HOP, PHONES, STEP, Levels, LevelsSettings, write_corpus


class CodedLevels(Levels):
    """Its first code is whether the phone is one of the first two, its second one the frame's place: odd or even."""

    codebooks = 2

    def codes(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        del lengths
        levels = (waveforms[:, self.first_center :: HOP] / STEP).round().long() - 1
        places = torch.arange(levels.shape[1]).expand_as(levels)
        return torch.stack([300 * (levels // 2), places % 2], dim=-1)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    return Corpora(write_corpus(tmp_path_factory.mktemp("levels") / "test.jsonl", 6))


@pytest.fixture(scope="module")
def rows(corpora: Corpora) -> dict[tuple[str, str], Result]:
    subject = Subject("levels", CodedLevels(LevelsSettings()).eval(), ("level",), 5)
    return {(row.layer, row.metric): row for row in find_measure("codes:phones")([subject], corpora)}


def test_each_codebook_and_all_of_them_are_rated(rows: dict[tuple[str, str], Result]) -> None:
    assert {layer for layer, _ in rows} == {CODES, "codebook 1", "codebook 2"}
    together, first, second = (rows[layer, "NMI"] for layer in (CODES, "codebook 1", "codebook 2"))
    assert [row.details["codes_used"] for row in (together, first, second)] == [4, 2, 2]
    assert second.value < 0.01
    counts = first.arrays["contingency"] if first.arrays else np.zeros(0)
    shares = counts.sum(axis=0) / counts.sum()
    entropies = [-np.sum(some * np.log(some)) for some in (shares, np.array([shares[:2].sum(), shares[2:].sum()]))]
    assert rows["codebook 1", "PNMI"].value == pytest.approx(entropies[1] / entropies[0])
    assert rows["codebook 1", "effective clusters"].value == pytest.approx(np.exp(entropies[1]), rel=1e-6)
    assert together.value < first.value  # it counts places too, which phones do not follow
    assert first.low is not None
    assert (first.step, first.details["labelled_frames"]) == (5, first.details["frames"])


def test_how_often_codes_meet_phones_is_kept(rows: dict[tuple[str, str], Result]) -> None:
    arrays = rows["codebook 1", "NMI"].arrays
    assert arrays is not None
    assert arrays["phones"].tolist() == list(PHONES)
    assert (arrays["contingency"] > 0).tolist() == [[True, True, False, False], [False, False, True, True]]
    assert [key for key, row in rows.items() if row.arrays] == [(layer, "NMI") for layer in (CODES, "codebook 1", "codebook 2")]


def test_what_has_no_quantizer_or_no_phones_is_refused(tmp_path: Path, corpora: Corpora) -> None:
    measure = find_measure("codes:phones")
    for model in (Levels(LevelsSettings()).eval(), load("mfcc")):
        assert not measure.serves(model, corpora)
        with pytest.raises(UserError, match="has no quantizer of its own, as wav2vec 2.0"):
            measure([Subject("it", model, model.layer_names)], corpora)
    with pytest.raises(UserError, match="has no phone times to compare codes with"):
        measure([], Corpora(write_corpus(tmp_path / "text.jsonl", 3, labelled=False)))


@pytest.mark.parametrize("name", ["wav2vec", "best_rq"])
def test_codes_are_frames_on_the_clock_of_the_first_layer(name: str, corpora: Corpora) -> None:
    small = {"codes": 7, "size": 32, "layers": 1, "heads": 4, "inner": 64, "position_kernel": 16}
    settings = {"wav2vec": {"codebooks": 2, "codes": 6, "channels": 32, "context_size": 32}, "best_rq": small}[name]
    torch.manual_seed(0)
    model = build({"name": name, **settings})
    assert isinstance(model, SpeechModel)
    own = OwnCodes(model.eval())
    waveforms = torch.randn(2, 8000)
    lengths = torch.tensor([8000, 100])
    with torch.no_grad():
        frames = own.features(waveforms, lengths)
        assert own.features(waveforms[:, :100], lengths[1:].repeat(2)).values[CODES].shape == (2, 0, model.codebooks)
    first = model.layer_names[0]
    assert frames.lengths[CODES].tolist() == model.frame_count(lengths, first).tolist()
    assert own.hop(CODES) == model.hop(first)
    assert frames.values[CODES].shape == (2, int(frames.lengths[CODES][0]), model.codebooks)
    assert find_measure("codes:phones").serves(model, corpora)
