"""Cosines of frames and the location artefact, on features whose answers are known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.geometry.frame_pairs import Kind, cosines, draw_pairs, redrawn_means
from foresay.evaluation.geometry.location_artefact import fast_share, location_artefact, one_sided, power_spectrum
from foresay.evaluation.geometry.similarity import ARTEFACT, CONSECUTIVE, FAST, Similarity, SimilarityProtocol, pair_cosines
from foresay.evaluation.measure import Corpora, find_measure
from foresay.results import Result
from foresay.statistics.intervals import draw_utterances
from reference.levels import Levels, trained, write_corpus
from reference.similarity_loops import cosine, pairs_of, spectrum_of_self_similarity

RANDOM, WITHIN, BETWEEN = "cosine of random frames", "cosine within phones", "cosine between phones"
LABELS = [0, 0, 1, -1, 0, 1, 2, 0, 1, 1, -1, 3]
UTTERANCES = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2]


def pattern(period: int, frames: int = 640, size: int = 5) -> torch.Tensor:
    """What repeats and does nothing else; unit vectors on a circle around a common direction."""
    turns = torch.randn(period, size)
    return torch.nn.functional.normalize(turns, dim=-1).repeat(frames // period + 1, 1)[:frames]


def smooth(frames: int = 6400, size: int = 8) -> torch.Tensor:
    """Noise, averaged over 200 ms by a Hann window."""
    noise = torch.randn(size, 1, frames + 19)
    return torch.nn.functional.conv1d(noise, torch.hann_window(20)[None, None])[:, 0].T


@pytest.mark.parametrize("frames", [64, 160])
def test_the_spectrum_is_that_of_the_self_similaritys_diagonals(frames: int) -> None:
    features = torch.randn(frames, 3) + 0.5
    expected = spectrum_of_self_similarity(features.double().numpy())
    np.testing.assert_allclose(power_spectrum(features), expected, atol=1e-9)


def test_white_noise_has_no_artefact_and_is_fast() -> None:
    spectrum = power_spectrum(torch.randn(20_000, 16))
    assert abs(float(location_artefact(spectrum))) < 0.005
    # To take the mean off leaves 7/12 of what is in the bins beside 0, of 63 (the algebra of the three terms of a Hann window).
    assert abs(float(fast_share(spectrum)) - 49 / (61 + 2 * 7 / 12)) < 0.005
    np.testing.assert_allclose(one_sided(spectrum)[1:-1], 2 / (61 + 2 * 7 / 12), rtol=0.05)
    assert one_sided(spectrum).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("period", [2, 4, 8])
def test_what_only_repeats_every_2_4_or_8_frames_is_all_artefact(period: int) -> None:
    spectrum = power_spectrum(pattern(period))
    assert float(location_artefact(spectrum)) == pytest.approx(1.0, abs=1e-6)
    shares = {p: float(location_artefact(spectrum, p)) for p in (2, 4, 8)}
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-6)
    assert [p for p in shares if shares[p] > 1e-6] == [p for p in (2, 4, 8) if p <= period]


def test_what_changes_smoothly_has_none() -> None:
    assert abs(float(location_artefact(power_spectrum(smooth())))) < 0.005
    assert float(fast_share(power_spectrum(smooth()))) < 0.02


@pytest.mark.parametrize("period", [3, 5])
def test_other_periods_are_fast_and_no_artefact(period: int) -> None:
    spectrum = power_spectrum(pattern(period))
    assert float(location_artefact(spectrum)) < 0.2  # 2/5 is not far from 3/8
    assert float(fast_share(spectrum)) > 0.9


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_a_mixture_with_noise_has_the_patterns_share_of_the_energy(share: float) -> None:
    noise, marks = torch.randn(25_600, 8), torch.randn(4, 8)
    marks = (marks - marks.mean(dim=0)).repeat(6400, 1)
    mixed = noise * (1 - share) ** 0.5 + marks * (share / marks.square().mean()) ** 0.5
    together = torch.cat([mixed, torch.full((len(mixed), 1), 30.0)], dim=1)  # a common direction: lengths hardly differ
    assert float(location_artefact(power_spectrum(together))) == pytest.approx(share, abs=0.01)


def test_too_short_and_still_have_no_spectrum() -> None:
    assert not power_spectrum(torch.randn(63, 4)).any()
    assert not power_spectrum(torch.ones(200, 4)).any()
    assert np.isnan(location_artefact(np.zeros((2, 64)))).all()


@pytest.mark.parametrize("kind", ["any", "same phone", "other phone"])
def test_pairs_are_drawn_as_defined(kind: Kind) -> None:
    expected = pairs_of(LABELS, UTTERANCES, kind)
    drawn = draw_pairs(LABELS, UTTERANCES, kind, 40_000, seed=1)
    assert drawn is not None
    found, counts = np.unique(np.stack(drawn), axis=1, return_counts=True)
    assert {(int(i), int(j)) for i, j in found.T} == set(expected)
    for (i, j), count in zip(found.T.tolist(), counts.tolist(), strict=True):
        share = expected[i, j]
        assert abs(count / 40_000 - share) < 5 * (share / 40_000) ** 0.5


def test_where_there_are_no_pairs_none_are_drawn() -> None:
    assert draw_pairs([0, 0, 0], [4, 4, 4], "any", 9) is None
    assert draw_pairs([0, 1, 2], [0, 1, 2], "same phone", 9) is None
    assert draw_pairs([0, 0], [0, 1], "other phone", 9) is None
    assert draw_pairs([-1, -1], [0, 1], "same phone", 9) is None


def test_cosines_are_those_of_the_loop() -> None:
    features = torch.randn(12, 5)
    features[3] = 0
    drawn = draw_pairs(LABELS, UTTERANCES, "any", 300)
    assert drawn is not None
    expected = [cosine(features[i].double().numpy(), features[j].double().numpy()) for i, j in zip(*drawn, strict=True)]
    np.testing.assert_allclose(cosines(features, drawn), expected, atol=1e-6)


def test_means_are_redrawn_by_both_utterances() -> None:
    drawn = draw_pairs(LABELS, UTTERANCES, "any", 50)
    assert drawn is not None
    values = np.random.default_rng(0).normal(size=50)
    redrawn = redrawn_means(values, drawn, UTTERANCES, seed=3)
    for mean, times in zip(redrawn[:20], draw_utterances(3, 3)[:20], strict=True):
        weights = [times[UTTERANCES[i]] * times[UTTERANCES[j]] for i, j in zip(*drawn, strict=True)]
        if sum(weights):
            assert mean == pytest.approx(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
        else:
            assert np.isnan(mean)


def test_golden_numbers() -> None:
    """Computed once, with this code; the oracles above say that it is right."""
    random = np.random.default_rng(7)
    labels, utterances = random.integers(-1, 4, size=400), np.repeat(np.arange(10), 40)
    features = torch.from_numpy(random.normal(size=(400, 6)) + np.eye(6)[labels])
    values = {f.metric: f.value for f in pair_cosines(features, labels, utterances, 5000, seed=2)}
    assert values == pytest.approx(GOLDEN, abs=1e-6)


GOLDEN = {RANDOM: 0.018681698, WITHIN: 0.100218456, BETWEEN: 0.005086011}


@pytest.fixture
def corpora(tmp_path: Path) -> Corpora:
    return Corpora(write_corpus(tmp_path / "test.jsonl", 8, seed=2))


def levels() -> Subject:
    model = trained()
    copy = Levels(model.settings).eval()
    return Subject("levels", model, ("level", "nothing"), 500, Subject("levels (untrained)", copy, ("level", "nothing")))


def find(results: list[Result], metric: str, layer: str = "level", model: str = "levels") -> Result:
    (found,) = [r for r in results if (r.metric, r.layer, r.model) == (metric, layer, model)]
    return found


def test_a_language_of_levels_is_alike_within_phones_only(corpora: Corpora) -> None:
    results = find_measure("similarity")([levels()], corpora)
    assert find(results, WITHIN).value == 1.0
    assert find(results, BETWEEN).value == 0.0
    assert find(results, WITHIN, "nothing").value == 0.0  # zeros are unlike everything
    said = [phone for item in corpora.test for phone in item.phones or ()]
    shares = [sum(p.end - p.start for p in said if p.label == label) / sum(p.end - p.start for p in said) for label in "abcd"]
    random = find(results, RANDOM)
    assert random.value == pytest.approx(sum(share**2 for share in shares), abs=0.02)
    assert random.low is not None
    assert random.low < random.value < random.high
    assert sum(random.details["histogram"]["counts"]) == random.details["pairs"] == 100_000
    changes = sum(a.label != b.label for item in corpora.test for a, b in zip(item.phones, item.phones[1:], strict=False))
    consecutive = find(results, CONSECUTIVE)
    assert consecutive.value == pytest.approx(1 - changes / consecutive.details["pairs"], abs=0.003)
    assert (consecutive.step, consecutive.protocol, consecutive.corpus, consecutive.split) == (500, "cosine", corpora.test.name, "test")
    assert abs(find(results, ARTEFACT).value) < 0.05
    assert find(results, ARTEFACT).details["recordings"] == 8
    assert find(results, FAST).value > 0.1
    assert find(results, CONSECUTIVE, model="levels (untrained)").value == 0.0
    assert not [r for r in results if r.metric == ARTEFACT and r.layer == "nothing"]  # nothing changes


def test_a_seed_decides_everything_and_company_nothing(corpora: Corpora) -> None:
    measure = Similarity(SimilarityProtocol(frames=500, pairs=2000))
    alone = Subject("levels", trained(), ("level",), 500)
    first, same, other = (measure([s], corpora, seed=seed) for s, seed in ((alone, 0), (levels(), 0), (alone, 1)))
    assert find(first, RANDOM).value == find(same, RANDOM).value
    assert find(first, RANDOM).low == find(same, RANDOM).low
    assert find(first, RANDOM).value != find(other, RANDOM).value


def test_without_phones_the_rest_still_works(tmp_path: Path) -> None:
    bare = Corpora(write_corpus(tmp_path / "bare.jsonl", 3, labelled=False))
    results = Similarity(SimilarityProtocol())([Subject("levels", trained(), ("level",))], bare)
    assert [r.metric for r in results] == [RANDOM, CONSECUTIVE, ARTEFACT, FAST]


def test_one_recording_has_no_pairs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="different recordings, but only one could be encoded"):
        Similarity(SimilarityProtocol())([levels()], Corpora(write_corpus(tmp_path / "one.jsonl", 1)))
