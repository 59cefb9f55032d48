"""Every number is measured once, whatever a run is called and wherever it lies; none is lost to a kill, a full disk or a damaged file."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile

from foresay import results as results_file
from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.results import Metric, Result, read_results, save_artifact, with_arrays
from foresay.statistics.intervals import bootstrap
from foresay.workflows import evaluate as workflow
from foresay.workflows.compare import compare
from foresay.workflows.evaluate import evaluate
from reference.interruptions import contents, kill, operations
from reference.levels import write_corpus
from reference.tiny_run import write_run


@dataclass(frozen=True)
class Nothing:
    name: str


class Sums(Measure):
    """Sums of weights, and of what each utterance is long: quick, and another number for every model."""

    name = "sums"
    protocols: ClassVar[dict[str, Nothing]] = {"all": Nothing("all")}
    metrics: ClassVar[dict[str, Metric]] = {"latency": Metric("lower", "ms", headline=True)}
    asked: ClassVar[list[str]] = []

    def __init__(self, protocol: Nothing) -> None:
        super().__init__(protocol)

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        del device
        rows, lengths = [], corpora.test.durations
        for subject in with_untrained(subjects):
            type(self).asked.append(subject.name)
            for layer in subject.layers:
                weight = sum(abs(float(tensor.double().sum())) for tensor in getattr(subject.model, "state_dict", dict)().values())
                counts = np.sin(np.arange(len(lengths)) + weight) + 2.0
                where = Where("test", corpora.test, seed, 0.0)
                interval = bootstrap(counts, lengths, seed=seed)
                row = self.row(subject, layer, "latency", float(counts.sum() / lengths.sum()), interval, where)
                rows.append(replace(row, arrays={"counts": counts, "names": np.array(["é", "b"])}))
        return rows


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    def arrays(*_: object, **__: object) -> list[dict[str, Any]]:
        return [{"id": np.array(str(n))} for n in range(2)]

    monkeypatch.setattr(workflow, "find_measure", lambda *_: Sums(Nothing("all")))
    monkeypatch.setattr(workflow, "examples", arrays)
    monkeypatch.setattr("foresay.evaluation.measure.perf_counter", lambda: 0.0)
    Sums.asked.clear()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_corpus(tmp_path / "test.jsonl", 6)
    return tmp_path / "test.jsonl"


def measured(corpus: Path, *models: Path | str, **named: Any) -> list[Result]:  # noqa: ANN401 - what evaluate takes
    return evaluate(models, corpus, measures=["sums"], layers=["c"], **named)


def test_a_run_is_the_same_alone_beside_another_renamed_moved_and_copied(tmp_path: Path, corpus: Path) -> None:
    write_run(tmp_path / "runs" / "acpc", seed=1)
    write_run(tmp_path / "other" / "acpc", seed=2)
    alone = measured(corpus, tmp_path / "runs" / "acpc")
    Sums.asked.clear()
    beside = measured(corpus, tmp_path / "runs" / "acpc", tmp_path / "other" / "acpc")
    assert Sums.asked == ["other/acpc", "other/acpc (untrained)"]
    assert {row.model for row in beside if row.step} == {"runs/acpc", "other/acpc"}
    assert [row.model for row in read_results(tmp_path / "runs" / "acpc" / "results.jsonl")] == [row.model for row in alone]
    Sums.asked.clear()
    shutil.copytree(tmp_path / "runs" / "acpc", tmp_path / "copied")
    shutil.move(tmp_path / "runs" / "acpc", tmp_path / "elsewhere" / "renamed")
    again = measured(corpus, tmp_path / "copied", tmp_path / "elsewhere" / "renamed")
    assert Sums.asked == []
    assert {row.value for row in again if row.step} == {row.value for row in alone if row.step}
    for folder in (tmp_path / "copied", tmp_path / "elsewhere" / "renamed"):
        assert len(read_results(folder / "results.jsonl")) == len(alone)


def test_a_corpus_that_was_moved_is_the_same(tmp_path: Path, corpus: Path) -> None:
    write_run(tmp_path / "run")
    measured(corpus, tmp_path / "run")
    Sums.asked.clear()
    (tmp_path / "moved").mkdir()
    shutil.move(tmp_path / "audio", tmp_path / "moved" / "audio")
    shutil.move(corpus, tmp_path / "moved" / "test.jsonl")
    measured(tmp_path / "moved" / "test.jsonl", tmp_path / "run")
    assert Sums.asked == []


def test_a_corpus_of_the_same_lines_with_other_audio_is_another(tmp_path: Path, corpus: Path) -> None:
    write_run(tmp_path / "run")
    measured(corpus, tmp_path / "run")
    for path in corpus.parent.rglob("*.wav"):
        samples, rate = soundfile.read(path)
        soundfile.write(path, samples / 2, rate)
    Sums.asked.clear()
    measured(corpus, tmp_path / "run")
    assert Sums.asked[0] == "run"


def test_renamed_and_copied_runs_are_compared(tmp_path: Path, corpus: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        write_run(tmp_path / name, seed=seed)
    measured(corpus, tmp_path / "a", tmp_path / "b")
    expected = compare(tmp_path / "a", tmp_path / "b")
    assert expected[0].interval is not None
    assert (expected[0].what.direction, expected[0].what.unit) == ("lower", "ms")
    shutil.copytree(tmp_path / "a", tmp_path / "copy of b")
    shutil.move(tmp_path / "b", tmp_path / "renamed")
    assert compare(tmp_path / "copy of b", tmp_path / "renamed") == expected
    assert compare(f"{tmp_path}/a@7", tmp_path / "renamed") == expected


def test_a_models_number_is_never_taken_for_that_of_another_whose_name_ends_alike(tmp_path: Path, corpus: Path) -> None:
    write_run(tmp_path / "acpc", seed=1)
    write_run(tmp_path / "run", seed=2)
    write_run(tmp_path / "other", seed=3)
    (tmp_path / "models").mkdir()
    (tmp_path / "run" / "model").rename(tmp_path / "models" / "cpc")
    rows = measured(corpus, tmp_path / "acpc", tmp_path / "models" / "cpc")
    measured(corpus, tmp_path / "other")
    (found,) = compare(tmp_path / "acpc", tmp_path / "other")
    assert found.a == next(row.value for row in rows if row.model == "acpc") != next(row.value for row in rows if row.model == "cpc")


def test_numbers_of_other_weights_are_not_a_runs_own(tmp_path: Path, corpus: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        write_run(tmp_path / name, seed=seed)
    measured(corpus, tmp_path / "a", tmp_path / "b")
    write_run(tmp_path / "a", step=9, seed=5)  # it was trained further
    with pytest.raises(UserError, match="nothing was measured of .*a as it is now: .* of other weights or settings .a at step 7"):
        compare(tmp_path / "a", tmp_path / "b")
    (found,) = compare(f"{tmp_path / 'a'}@7", tmp_path / "b")
    assert found.interval is not None


def test_runs_are_compared_also_where_their_corpus_was_moved_or_renamed_between_them(tmp_path: Path, corpus: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        write_run(tmp_path / name, seed=seed)
    measured(corpus, tmp_path / "a")
    corpus.rename(tmp_path / "renamed.jsonl")
    measured(tmp_path / "renamed.jsonl", tmp_path / "b")
    (found,) = compare(tmp_path / "a", tmp_path / "b")
    assert found.interval is not None


def test_a_model_that_is_called_as_an_untrained_copy_is_refused(tmp_path: Path, corpus: Path) -> None:
    """A folder without a step could not be distinguished from the copy of the model beside it."""
    write_run(tmp_path / "a", seed=1)
    write_run(tmp_path / "a (untrained)", seed=2)
    with pytest.raises(UserError, match=r"a \(untrained\) ends as the names of untrained copies do"):
        measured(corpus, tmp_path / "a", tmp_path / "a (untrained)")


def test_equal_weights_with_other_settings_are_another_model(tmp_path: Path, corpus: Path) -> None:
    """What a kernel's padding is shows in no weight, and in every feature."""
    write_run(tmp_path / "a", seed=1)
    write_run(tmp_path / "b", seed=1, paddings=[0, 0, 0, 0, 0])
    measured(corpus, tmp_path / "a")
    shutil.copy(tmp_path / "a" / "results.jsonl", tmp_path / "b")
    with pytest.raises(UserError, match="nothing was measured of .*b as it is now"):
        compare(tmp_path / "a", tmp_path / "b")
    Sums.asked.clear()
    measured(corpus, tmp_path / "b")
    assert "b" in Sums.asked


def test_a_metric_that_is_not_declared_is_the_measures_mistake(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sums, "metrics", {"WER": Metric("lower", "%")})
    with pytest.raises(LookupError, match=r"sums finds a metric 'latency' that it does not declare: add it to Sums.metrics .* are WER"):
        measured(corpus, "mfcc", out=tmp_path / "out")

    def raw(self: Sums, *_: object, **__: object) -> list[Result]:
        return [Result("mfcc", self.name, "all", "latency", "c", "test", 1.0, None, None, "x", None, 0, 0.0)]

    monkeypatch.setattr(Sums, "__call__", raw)
    with pytest.raises(LookupError, match="does not declare"):  # nor by a measure that writes its rows itself
        measured(corpus, "mfcc", out=tmp_path / "out")


def test_a_line_says_all_that_is_needed(tmp_path: Path, corpus: Path) -> None:
    write_run(tmp_path / "run")
    measured(corpus, tmp_path / "run")
    first, *_ = (json.loads(line) for line in (tmp_path / "run" / "results.jsonl").read_text().splitlines())
    wanted = "measure protocol metric direction unit headline layer split value low high corpus model_fingerprint step seed version seconds"
    assert set(wanted.split()) <= first.keys()
    assert (first["direction"], first["unit"], first["headline"]) == ("lower", "ms", True)
    assert (first["drawn"]["what"], first["drawn"]["count"]) == ("utterances", 6)


def test_fewer_than_five_utterances_have_no_interval_and_the_line_says_of_how_many(tmp_path: Path) -> None:
    write_corpus(tmp_path / "test.jsonl", 4)
    rows = measured(tmp_path / "test.jsonl", "mfcc", out=tmp_path / "out")
    assert rows
    for row in read_results(tmp_path / "out" / "results.jsonl"):
        assert (row.low, row.high) == (None, None)
        assert row.drawn is not None
        assert row.drawn.count == 4


def whole(tmp_path: Path, corpus: Path) -> tuple[Callable[[], object], Path]:
    """An evaluation of a run, and the folder that it changes."""
    write_run(tmp_path / "run")
    return lambda: measured(corpus, tmp_path / "run"), tmp_path / "run"


@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_operation_the_same_command_completes_to_the_same_bytes(tmp_path: Path, corpus: Path, stride: int) -> None:
    work, run = whole(tmp_path, corpus)
    untouched = tmp_path / "untouched"
    shutil.copytree(run, untouched)
    count = len(operations(work, run))
    expected = contents(run)
    assert {"results.jsonl", "artifacts/example-1.npz", "artifacts/example-2.npz"} <= expected.keys()
    assert sum(name.startswith("artifacts/draws-") for name in expected) == 4  # run, untrained copy, mfcc, logmel
    assert count > 20
    for after in range(0, count, stride):
        shutil.rmtree(run)
        shutil.copytree(untouched, run)
        assert kill(work, run, after)
        work()
        assert contents(run) == expected, f"killed after {after} of {count} operations"


def test_a_half_line_and_what_was_unfinished_are_cleared_away(tmp_path: Path, corpus: Path) -> None:
    work, run = whole(tmp_path, corpus)
    work()
    expected = contents(run)
    lines = (run / "results.jsonl").read_bytes()
    (run / "results.jsonl").write_bytes(lines[: len(lines) - 40])
    for name in ("artifacts/.unfinished-draws-1.npz", "artifacts/example-9.unfinished", ".unfinished-results.jsonl"):
        (run / name).write_bytes(b"half")
    work()
    assert contents(run) == expected


@pytest.mark.parametrize("lost", ["draws", "arrays", "example-1", "example-2"])
def test_lost_artifacts_are_made_again(tmp_path: Path, corpus: Path, lost: str) -> None:
    work, run = whole(tmp_path, corpus)
    work()
    expected = contents(run)
    files = list((run / "artifacts").glob(f"{lost}*"))
    for gone in (*([path] for path in files), files):  # one of them, be it the untrained copy's, and all
        for path in gone:
            path.unlink()
        work()
        assert contents(run) == expected
    Sums.asked.clear()
    work()
    assert Sums.asked == []


def test_arrays_stand_beside_the_lines_and_are_read_back_with_them(tmp_path: Path, corpus: Path) -> None:
    work, run = whole(tmp_path, corpus)
    work()
    rows = [row for row in read_results(run / "results.jsonl") if row.model == "run"]
    assert rows
    assert all(row.details["arrays"] == ["counts", "names"] and row.arrays is None and not row.whole for row in rows)
    for row in with_arrays(run, rows):
        assert row.arrays is not None
        assert row.arrays["names"].tolist() == ["é", "b"]
        lengths = Manifest.open(corpus).durations
        assert row.value == pytest.approx(row.arrays["counts"].sum() / lengths.sum())
    copy = tmp_path / "copy"  # a run of the same weights knows them from there
    write_run(copy)
    Sums.asked.clear()
    measured(corpus, run, copy)
    assert Sums.asked == []
    assert all(row.arrays for row in with_arrays(copy, read_results(copy / "results.jsonl")) if row.layer != "none")


class Once(Sums):
    """A number of each model as a whole."""

    by_layer = False

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        alone = [replace(subject, layers=subject.layers[:1], untrained=None) for subject in with_untrained(subjects)]
        return [replace(row, layer="whole") for row in super().__call__(alone, corpora, seed=seed, device=device)]


def test_what_is_measured_of_a_model_as_a_whole_is_measured_once(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "find_measure", lambda *_: Once(Nothing("all")))
    write_run(tmp_path / "run")
    rows = evaluate([tmp_path / "run"], corpus, measures=["sums"])
    assert {row.layer for row in rows} == {"whole"}
    assert "run" in Sums.asked
    Sums.asked.clear()
    for layers in (None, ["c"], ["z", "c"]):
        assert evaluate([tmp_path / "run"], corpus, measures=["sums"], layers=layers) == rows
    assert Sums.asked == []


def test_examples_of_another_corpus_replace_all_that_were_there(tmp_path: Path, corpus: Path) -> None:
    work, run = whole(tmp_path, corpus)
    for number in (1, 2, 3):
        save_artifact(run, f"example-{number}", {"fingerprint": np.array("another"), "examples": np.array(3)})
    work()
    assert sorted(path.name for path in (run / "artifacts").glob("example-*")) == ["example-1.npz", "example-2.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive", "cut", "flipped"])
def test_a_damaged_artifact_is_named_before_anything_is_measured(tmp_path: Path, corpus: Path, content: bytes | str) -> None:
    work, run = whole(tmp_path, corpus)
    work()
    path = next((run / "artifacts").glob("draws-*"))
    good = path.read_bytes()
    middle = len(good) // 2
    broken = {
        "cut": good[:middle],
        "flipped": good[:middle] + bytes(255 - byte for byte in good[middle : middle + 20]) + good[middle + 20 :],
    }
    path.write_bytes(broken[content] if isinstance(content, str) else content)
    Sums.asked.clear()
    again = rf"{path.name} cannot be read .* Delete it, and the same `foresay evaluate` makes it again"
    with pytest.raises(UserError, match=again) as raised:
        work()
    assert "allow_pickle" not in str(raised.value)
    assert Sums.asked == []
    path.unlink()
    work()
    assert path.read_bytes() == good


def test_a_full_disk_is_reported_and_survived(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, run = whole(tmp_path, corpus)
    before = contents(run)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(results_file, "write_bytes", full)
        with pytest.raises(UserError, match=r"the disk is full: what was just measured .*run.* give the same command again"):
            work()
    assert contents(run) == before
    work()
    assert read_results(run / "results.jsonl")


@pytest.mark.parametrize("closed", ["run", "artifacts"])
def test_a_folder_that_may_not_be_written_is_reported_before_anything_is_measured(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    work, run = whole(tmp_path, corpus)
    (run / "artifacts").mkdir(exist_ok=True)
    Sums.asked.clear()
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda path, _mode: Path(path).name != (run.name if closed == "run" else closed))
        with pytest.raises(PermissionError, match="Permission denied"):
            work()
        assert Sums.asked == []
    work()
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda _path, _mode: False)
        work()  # all is known: nothing is to be written


def test_a_folder_for_many_models_takes_no_two_of_one_name(tmp_path: Path, corpus: Path) -> None:
    runs = [tmp_path / folder / "acpc" for folder in ("one", "other")]
    for seed, run in enumerate(runs):
        write_run(run, seed=seed)
    out = tmp_path / "out"
    first = measured(corpus, runs[0], out=out)
    kept = contents(out)
    with pytest.raises(UserError, match=r"has numbers of another model called acpc .*rename the folder, or give both"):
        measured(corpus, runs[1], out=out)
    assert contents(out) == kept
    assert measured(corpus, runs[0], out=out) == first
    both = measured(corpus, *runs, out=out)  # named apart
    assert {row.model for row in both if row.step is not None} == {"one/acpc", "other/acpc"}
    write_run(runs[1], step=8, seed=5)
    measured(corpus, runs[1], out=out)  # another step is distinguished by its number
    measured(corpus, runs[1], seed=1, out=out)  # the untrained copy of another seed has other weights
    measured(corpus, runs[0])
    measured(corpus, runs[1])  # each in its own folder
