"""Differences of what was measured: paired draws, several seeds, and nothing in common."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from foresay.cli import main
from foresay.errors import UserError
from foresay.results import Draws, Result, append_results, save_draws
from foresay.statistics.intervals import bootstrap, bootstrap_difference
from foresay.workflows.compare import compare

NAMES = tuple(f"utterance {n}" for n in range(40))


def _run(folder: Path, right: np.ndarray, total: np.ndarray, *, names: Sequence[str] = NAMES, **other: object) -> Path:
    """Write down what a probe found of a run: there is no need of the run itself."""
    seed = int(other.get("seed", 0))  # type: ignore[call-overload]
    interval = bootstrap(right, total, seed=seed)
    low, high = interval or (None, None)
    draws = Draws("utterances", tuple(names[place] for place in interval.places), seed, interval.draws)
    row = Result(
        **{  # type: ignore[arg-type]
            "model": folder.name,
            "measure": "probe",
            "protocol": "converged",
            "metric": "accuracy",
            "layer": "c",
            "split": "test",
            "value": float(right.sum() / total.sum()),
            "low": low,
            "high": high,
            "corpus": "test",
            "step": 100,
            "seed": seed,
            "seconds": 1.0,
            "details": {"fingerprint": f"{folder.name}-{seed}"},
            "direction": "higher",
            "unit": "%",
            "model_fingerprint": folder.name,
            "drawn": draws.drawn,
            "draws": draws,
            **other,
        }
    )
    save_draws(folder, [row])
    append_results(folder / "results.jsonl", [row])
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
    assert found.improvement == 0.5
    assert main(["compare", str(a), str(b)]) == 0
    assert "undecided" in capsys.readouterr().out


def test_the_probability_of_improvement_is_a_share_of_draws(tmp_path: Path) -> None:
    a, b = (_run(tmp_path / str(seed), *_counts(seed)) for seed in (1, 2))
    (found,) = compare(a, b)
    drawn = bootstrap_difference(*_counts(2), *_counts(1)).draws
    assert found.improvement == pytest.approx(np.mean(drawn > 0) + np.mean(drawn == 0) / 2, abs=0.002)
    assert 0.05 < found.improvement < 0.95
    (back,) = compare(b, a)
    assert back.improvement == pytest.approx(1 - found.improvement)
    fewer = [_run(tmp_path / f"fewer {seed}", *_counts(seed), direction="lower") for seed in (1, 2)]
    assert compare(*fewer)[0].improvement == pytest.approx(1 - found.improvement)
    neither = [_run(tmp_path / f"neither {seed}", *_counts(seed), direction="none") for seed in (1, 2)]
    assert compare(*neither)[0].improvement is None


def test_two_measures_of_one_run_are_compared_on_one_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a search takes beside the corpus, its language model, is part of the data of a number."""
    run, other = tmp_path / "run", tmp_path / "other"
    for folder, measure, data, better, corpus in (
        (run, "greedy", "corpus", 0.0, "corpus"),
        (run, "ngram", "corpus and model", 0.1, "corpus"),
        (other, "ngram", "corpus and model", 0.1, "another"),
    ):
        details = {"fingerprint": measure, "tested_on": corpus}
        _run(folder, *_counts(1, better), protocol=measure, data_fingerprint=data, details=details, model_fingerprint="one", model="one")
    (found,) = compare(run, run, measures=("probe:greedy", "probe:ngram"))
    assert found.interval == pytest.approx(bootstrap_difference(*_counts(1, 0.1), *_counts(1)), abs=1e-6)
    assert found.improvement == 1.0
    assert main(["compare", str(run), str(run), "--measures", "probe:greedy,probe:ngram"]) == 0
    assert "probe:greedy, probe:ngram  accuracy (%)" in capsys.readouterr().out
    with pytest.raises(UserError, match="no measurement in common"):
        compare(run, other, measures=("probe:greedy", "probe:ngram"))
    with pytest.raises(UserError, match=r"probe:beam was not measured of .*run: known are probe:greedy, probe:ngram"):
        compare(run, run, measures=("probe:greedy", "probe:beam"))
    assert main(["compare", str(run), str(run), "--measures", "probe:greedy"]) == 2
    assert "what of A and what of B" in capsys.readouterr().err


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


def test_what_was_drawn_with_another_seed_is_not_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = _run(tmp_path / "a", *_counts(1)), _run(tmp_path / "b", *_counts(2, better=0.02), seed=1)
    (found,) = compare(a, b)
    assert found.value == pytest.approx(0.02, abs=0.005)
    assert (found.interval, found.certain) == (None, False)
    assert found.reason == "drawn with other seeds (A 0, B 1): evaluate all with one --seed"
    assert main(["compare", str(a), str(b)]) == 0
    printed = capsys.readouterr().out
    assert "none (1)" in printed
    assert "(1) no interval: drawn with other seeds" in printed


def test_of_several_seeds_one_that_both_have_is_taken(tmp_path: Path) -> None:
    a, b = _run(tmp_path / "a", *_counts(1), seed=3), _run(tmp_path / "b", *_counts(2, better=0.02), seed=3)
    (once,) = compare(a, b)
    _run(a, *_counts(5), seed=4)
    _run(b, *_counts(6), seed=5)
    assert compare(a, b) == [once]
    assert once.interval is not None


def test_what_counts_other_utterances_is_not_paired(tmp_path: Path) -> None:
    """Models of other frame rates find nothing to count in others of the short ones."""
    right, total = _counts(2)
    fewer = np.where(np.arange(40) == 7, 0, total)
    (found,) = compare(_run(tmp_path / "a", *_counts(1)), _run(tmp_path / "b", np.minimum(right, fewer), fewer))
    assert found.interval is None
    assert found.reason == "other utterances were drawn; 1 count in one only: utterance 7"
    others = [f"another {n}" for n in range(40)]
    (found,) = compare(_run(tmp_path / "a", *_counts(1)), _run(tmp_path / "c", *_counts(2), names=others))
    assert found.reason == "other utterances were drawn; 80 count in one only: another 0, another 1, another 10, …"


def test_fewer_than_five_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = [column[:4] for column in _counts(1)]
    (found,) = compare(_run(tmp_path / "a", *few), _run(tmp_path / "b", *few))
    assert (found.interval, found.reason) == (None, "4 utterances, of which at least 5 are needed")
    main(["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    assert "no interval: 4 utterances" in capsys.readouterr().out


def test_lost_draws_are_reported(tmp_path: Path) -> None:
    a, b = _run(tmp_path / "a", *_counts(1)), _run(tmp_path / "b", *_counts(2))
    (b / "artifacts" / "draws-b-0.npz").unlink()
    (found,) = compare(a, b)
    assert found.reason.startswith("the draws are not in artifacts/")
    (a / "artifacts" / "draws-a-0.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"draws-a-0.npz cannot be read .* Delete it, and the same `foresay evaluate` makes it again"):
        compare(a, b)


def test_what_has_no_interval_by_nature_gives_no_reason(tmp_path: Path) -> None:
    a, b = (_run(tmp_path / name, *_counts(1), drawn=None, draws=None, low=None, high=None) for name in "ab")
    (found,) = compare(a, b)
    assert (found.interval, found.reason) == (None, "")


def test_corpora_of_one_name_and_other_content_are_not_compared(tmp_path: Path) -> None:
    a, b = _run(tmp_path / "a", *_counts(1), data_fingerprint="1"), _run(tmp_path / "b", *_counts(2), data_fingerprint="2")
    with pytest.raises(UserError, match=r"Both were measured on test, but what stands in these manifests was not the same"):
        compare(a, b)


@pytest.mark.parametrize("direction, word", [("higher", "B better"), ("lower", "A better"), ("none", "B more")])
def test_the_measure_declares_which_is_better(tmp_path: Path, capsys: pytest.CaptureFixture[str], direction: str, word: str) -> None:
    """`EER` and `latency` say nothing by their names."""
    a, b = (
        _run(tmp_path / name, *_counts(1, better), metric="EER", direction=direction, unit="ms")
        for name, better in (("a", 0.0), ("b", 0.1))
    )
    assert main(["compare", str(a), str(b)]) == 0
    printed = capsys.readouterr().out
    (line,) = [line for line in printed.splitlines() if "EER (ms)" in line]
    assert line.endswith(word)


def test_without_weights_one_run_is_known_and_of_two_none(tmp_path: Path) -> None:
    a, b = _run(tmp_path / "a", *_counts(1)), _run(tmp_path / "b", *_counts(2))
    _run(a, *_counts(3), step=50, model="a", model_fingerprint="a before")
    (found,) = compare(a, b)
    assert found.a == pytest.approx(float(_counts(1)[0].sum() / _counts(1)[1].sum()))  # that of the last step
    _run(a, *_counts(3), model="guest", model_fingerprint="guest")
    with pytest.raises(UserError, match="names 2 trained models: a, guest"):
        compare(a, b)


def test_lines_of_older_versions_are_not_taken_for_a_runs_own(tmp_path: Path) -> None:
    a, b = _run(tmp_path / "a", *_counts(1), model_fingerprint=""), _run(tmp_path / "b", *_counts(2))
    with pytest.raises(UserError, match="names 0 trained models"):
        compare(a, b)


def test_a_run_and_its_copy_do_not_count_for_two(tmp_path: Path) -> None:
    a, b = _run(tmp_path / "a", *_counts(1)), _run(tmp_path / "b", *_counts(2))
    copy = _run(tmp_path / "copy of a", *_counts(1), model_fingerprint="a")
    for side in ([a, a], [a, copy]):
        for sides in ((side, b), (b, side)):
            with pytest.raises(UserError, match="have the same weights"):
                compare(*sides)  # type: ignore[arg-type]


def test_a_seed_below_0_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = _run(tmp_path / "a", *_counts(1)), _run(tmp_path / "b", *_counts(2))
    assert main(["compare", str(a), str(b), "--seed", "-1"]) == 2
    assert "seed must be 0 or more, not -1" in capsys.readouterr().err
