"""Differences of what was measured: paired draws, several seeds, and nothing in common."""

from pathlib import Path

import numpy as np
import pytest

from foresay.cli import main
from foresay.errors import UserError
from foresay.metrics import bootstrap, bootstrap_difference
from foresay.results import Result, append_results, save_draws
from foresay.workflows.compare import compare


def _run(folder: Path, right: np.ndarray, total: np.ndarray, **other: object) -> Path:
    interval = bootstrap(right, total)
    assert interval is not None
    row = Result(
        **{  # type: ignore[arg-type]
            "model": folder.name,
            "measure": "probe",
            "protocol": "converged",
            "metric": "accuracy",
            "layer": "c",
            "split": "test",
            "value": float(right.sum() / total.sum()),
            "low": interval[0],
            "high": interval[1],
            "corpus": "test",
            "step": 100,
            "seed": 0,
            "seconds": 1.0,
            "details": {"fingerprint": folder.name},
            "draws": interval.draws,
            **other,
        }
    )
    append_results(folder / "results.jsonl", [row])
    save_draws(folder, [row])
    return folder


def _counts(seed: int, better: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    total = random.integers(50, 300, size=40)
    hard = random.normal(0.5, 0.1, size=40)  # what is hard for one is hard for all
    noise = np.random.default_rng(seed).normal(0, 0.01, size=40)
    return np.round(total * (hard + noise + better)), total


def test_the_interval_is_that_of_the_paired_difference(tmp_path: Path) -> None:
    a, b = _counts(1), _counts(2, better=0.02)
    (found,) = compare(_run(tmp_path / "a", *a), _run(tmp_path / "b", *b))
    assert found.value == pytest.approx(b[0].sum() / b[1].sum() - a[0].sum() / a[1].sum())
    assert found.interval == pytest.approx(bootstrap_difference(*b, *a), abs=1e-6)
    assert found.certain  # though each alone has an interval many times as wide
    alone = bootstrap(*a)
    assert alone is not None
    assert alone[1] - alone[0] > 5 * (found.interval[1] - found.interval[0])  # type: ignore[index]


def test_two_that_are_alike_are_undecided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = _run(tmp_path / "a", *_counts(1)), _run(tmp_path / "b", *_counts(1))
    (found,) = compare(a, b)
    assert (found.value, found.interval, found.certain) == (0.0, (0.0, 0.0), False)
    assert main(["compare", str(a), str(b)]) == 0
    assert "undecided" in capsys.readouterr().out


def test_several_seeds_widen_the_interval(tmp_path: Path) -> None:
    a = [_run(tmp_path / f"a{n}", *_counts(1, better=n * 0.02)) for n in range(3)]
    b = [_run(tmp_path / f"b{n}", *_counts(2, better=n * 0.02)) for n in range(3)]
    (alone,), (all_of_them,) = compare(a[0], b[0]), compare(a, b)
    assert all_of_them.seeds == (3, 3)
    assert alone.interval is not None
    assert all_of_them.interval is not None
    assert all_of_them.interval[1] - all_of_them.interval[0] > 2 * (alone.interval[1] - alone.interval[0])


def test_nothing_in_common_and_nothing_measured_are_explained(tmp_path: Path) -> None:
    a, b = _run(tmp_path / "a", *_counts(1)), _run(tmp_path / "b", *_counts(1), corpus="other")
    with pytest.raises(UserError, match="no measurement in common"):
        compare(a, b)
    with pytest.raises(UserError, match="nothing was measured"):
        compare(a, tmp_path / "c")
