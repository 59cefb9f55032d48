"""Ratios of heads against sums by hand, and who is drawn again."""

from pathlib import Path

import numpy as np
import pytest

from foresay.errors import UserError
from foresay.evaluation.superb.scores import Ratios, joined
from foresay.statistics.intervals import bootstrap
from reference.paired_levels import write_clips

COUNTS = np.array([[1.0, 0, 2, 3, 0, 1], [0.0, 0, 0, 1, 1, 2]])
TOTALS = np.array([[2.0, 1, 4, 3, 1, 5]] * 2)
IDS = tuple("abcdef")


def test_a_ratio_is_that_of_sums_over_utterances() -> None:
    found = Ratios(COUNTS, TOTALS, IDS)
    np.testing.assert_allclose(found.values, [7 / 16, 4 / 16])
    assert found.over == ("utterances", IDS)


def test_the_interval_of_a_head_draws_utterances_again() -> None:
    found = Ratios(COUNTS, TOTALS, IDS).interval([1], 5)
    expected = bootstrap(COUNTS[1], TOTALS[1], seed=5)
    assert found == expected
    np.testing.assert_array_equal(found.draws, expected.draws)


def test_the_interval_of_several_heads_is_that_of_their_mean() -> None:
    found = Ratios(COUNTS, TOTALS, IDS).interval([0, 1], 3)
    np.testing.assert_allclose(found.draws, bootstrap((COUNTS[0] + COUNTS[1]) / 2, TOTALS[0], seed=3).draws)


@pytest.mark.parametrize("speakers", ["vwxyzv", "wxyzvw"])
def test_of_five_speakers_speakers_are_drawn(speakers: str) -> None:
    found = Ratios(COUNTS, TOTALS, IDS, list(speakers))
    np.testing.assert_allclose(found.values, [7 / 16, 4 / 16])
    assert found.over == ("speakers", tuple("vwxyz"))
    sums = [[[part[0][place] for place in range(6) if speakers[place] == one] for one in "vwxyz"] for part in (COUNTS, TOTALS)]
    counts, totals = ([sum(values) for values in part] for part in sums)
    assert found.interval([0], 1) == bootstrap(counts, totals, seed=1)


def test_of_fewer_speakers_utterances_are_drawn() -> None:
    assert Ratios(COUNTS, TOTALS, IDS, list("vwxyvw")).over == ("utterances", IDS)


def test_what_is_a_share_of_nothing_is_refused(tmp_path: Path) -> None:
    manifest = write_clips(tmp_path / "some.jsonl", {"a": [[0, 0]] * 4, "b": [[0, 0]] * 4})
    nothing = {"rate": (np.ones((1, 2)), np.zeros((1, 2)))}
    with pytest.raises(UserError, match="rate of .*/some is a share of nothing"):
        joined([nothing], manifest, [0, 1])


def test_where_a_draw_may_have_nothing_to_divide_by_there_is_no_interval() -> None:
    counts, totals = np.array([[1.0] * 6]), np.array([[0.0] * 5 + [2.0]])
    assert len(Ratios(counts, totals, "abcdef").interval([0], 0).draws) == 0
    totals[0, :] = 2.0
    assert len(Ratios(counts, totals, "abcdef").interval([0], 0).draws) > 0
