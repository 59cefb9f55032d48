"""SUPERB on corpora that lack tasks, with folds, options and budgets: what is measured, left out, refused, and not measured twice."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora
from foresay.evaluation.superb._classification import Classification
from foresay.evaluation.superb.query_by_example import QueryByExample
from foresay.reports.superb import table
from foresay.results import RESULTS, Result, read_results
from foresay.workflows.evaluate import evaluate
from foresay.workflows.superb import MiniatureSuperb, TenTasks, superb
from reference.paired_levels import write_clips
from reference.tiny_run import write_run

TINY = ("updates=3", "rates=[0.1]", "seeds=1", "checks=1", "size=4", 'heads=["published"]', "normed=false", "single=false")


def quick(*tasks: str) -> list[str]:
    return [f"{task}.{change}" for task in tasks for change in TINY]


def write_task(folder: Path, *, seed: int = 0) -> None:
    """Write twelve recordings of two classes and two speakers for each part."""
    random = np.random.default_rng(seed)
    for part in ("train", "valid", "test"):
        names = [f"{part}-{number}" for number in range(12)]
        clips = {name: random.integers(0, 8, (6, 2)) for name in names}
        label = {name: ("happy", "sad")[number % 2] for number, name in enumerate(names)}
        write_clips(folder / f"{part}.jsonl", clips, label=label, speaker={name: f"s{number % 3}" for number, name in enumerate(names)})


def write_queries(folder: Path) -> None:
    random = np.random.default_rng(0)
    for part in ("valid", "test"):
        write_clips(folder / f"{part}-queries.jsonl", {f"{part}-{number}": random.integers(0, 8, (9, 2)) for number in range(2)})
        (folder / f"{part}-relevant.txt").write_text(f"{part}-0 d0\n{part}-1 d1\n")
    write_clips(folder / "documents.jsonl", {f"d{number}": random.integers(0, 8, (12, 2)) for number in range(4)})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keywords and speakers; two folds of emotions; queries."""
    folder = tmp_path_factory.mktemp("superb")
    for number, task in enumerate(("ks", "sid", "er/fold1", "er/fold2")):
        write_task(folder / task, seed=number)
    write_queries(folder / "qbe")
    return folder


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Count what is measured: measure, protocol, model."""
    found: list[tuple[str, str, str]] = []

    def counted(plain: Any) -> Any:  # noqa: ANN401 - a measure's call
        def call(self: Any, subjects: Sequence[Subject], corpora: Corpora, **rest: Any) -> list[Result]:  # noqa: ANN401
            found.extend((self.name, self.protocol.name, subject.name) for subject in subjects)
            rows: list[Result] = plain(self, subjects, corpora, **rest)
            return rows

        return call

    for measure in (Classification, QueryByExample):
        monkeypatch.setattr(measure, "__call__", counted(measure.__call__))
    return found


def run(corpus: Path, out: Path, *tasks: str, models: Sequence[str] = (), **more: Any) -> TenTasks:  # noqa: ANN401 - of `superb`
    given = {"protocol": "tiny", "options": quick(*(task for task in tasks if task != "qbe")), **more}
    return superb(models, corpus, tasks=tasks, out=out, device="cpu", **given)


def test_a_task_without_manifests_is_left_out_and_named(corpus: Path, tmp_path: Path) -> None:
    found = superb((), corpus, protocol="tiny", options=quick("ks", "sid", "er"), out=tmp_path, device="cpu")
    assert {row.measure for row in found.results} == {
        "keyword_spotting",
        "speaker_identification",
        "emotion_recognition",
        "query_by_example",
    }
    assert {row.model for row in found.results} == {"logmel"}
    assert set(found.left_out) == {"pr", "asr", "asv", "sd", "ic", "sf"}
    assert found.left_out["sd"].startswith(str(corpus / "sd" / "train.jsonl"))
    assert "are missing: Libri2Mix (foresay corpus import libri2mix SRC sd)" in found.left_out["sd"]


def test_what_cannot_be_measured_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ic/train\.jsonl.*are missing: Fluent Speech Commands"):
        run(corpus, tmp_path, "ks", "ic", options=())
    with pytest.raises(UserError, match="there is no task 'sit': did you mean"):
        run(corpus, tmp_path, "sit", options=())
    with pytest.raises(UserError, match="there is no folder .*foresay corpus make superb"):
        run(tmp_path / "nothing", tmp_path)
    with pytest.raises(UserError, match=r"has no task of SUPERB: .*embedded"):
        run(tmp_path, tmp_path)
    with pytest.raises(UserError, match="say how heads learn: --protocol superb .* clean .* tiny"):
        run(corpus, tmp_path, "ks", protocol=None)
    (tmp_path / "ks").mkdir()
    for part in ("train", "test"):
        (tmp_path / "ks" / f"{part}.jsonl").write_bytes((corpus / "ks" / f"{part}.jsonl").read_bytes())
    with pytest.raises(UserError, match=r"ks/valid\.jsonl is missing"):
        run(tmp_path, tmp_path, "ks")
    assert not (tmp_path / RESULTS).exists()


def test_each_fold_is_measured_and_the_table_has_their_mean(corpus: Path, tmp_path: Path) -> None:
    found = run(corpus, tmp_path, "er")
    assert [row.corpus for row in found.results] == ["fold1/test", "fold2/test"]
    head, only = table(found.results)
    mean = 100 * np.mean([row.value for row in found.results])
    assert head == ["model", "ER accuracy, %", "score"]
    assert float(only[1].split()[0]) == pytest.approx(mean, abs=0.1)


def test_options_change_their_own_task(corpus: Path, tmp_path: Path) -> None:
    found = run(corpus, tmp_path, "ks", "sid", options=[*quick("ks", "sid"), "sid.updates=2"])
    assert {(row.measure, row.details["updates"]) for row in found.results} == {("keyword_spotting", 3), ("speaker_identification", 2)}
    for wrong in ("er.updates=2", "updates=2", "ks.updates"):
        with pytest.raises(UserError, match=f"--option takes TASK.FIELD=VALUE, of a task that is measured \\(ks, sid\\), not '{wrong}'"):
            run(corpus, tmp_path, "ks", "sid", options=[wrong])
    with pytest.raises(UserError, match="upadtes"):
        run(corpus, tmp_path, "ks", options=["ks.upadtes=2"])


def test_a_budget_is_shared_by_what_learns(corpus: Path, tmp_path: Path, calls: list[tuple[str, str, str]]) -> None:
    run(corpus, tmp_path, "ks", "er", "qbe", models=["mfcc"], budget=90.0)
    seconds = {protocol.partition("seconds=")[2].partition(",")[0] for measure, protocol, _ in calls if measure != "query_by_example"}
    assert seconds == {"15.0"}  # three corpora to learn from, two models
    assert {protocol for measure, protocol, _ in calls if measure == "query_by_example"} == {"tiny"}


def test_nothing_is_measured_twice(corpus: Path, tmp_path: Path, calls: list[tuple[str, str, str]]) -> None:
    first = run(corpus, tmp_path, "ks", "qbe")
    assert [(measure, model) for measure, _, model in calls] == [("keyword_spotting", "logmel"), ("query_by_example", "logmel")]
    calls.clear()
    again = run(corpus, tmp_path, "ks", "qbe")
    assert not calls
    assert [(row.measure, row.layer, row.value) for row in again.results] == [(row.measure, row.layer, row.value) for row in first.results]
    more = run(corpus, tmp_path, "ks", "qbe", models=["mfcc"])
    assert [(measure, model) for measure, _, model in calls] == [("keyword_spotting", "mfcc"), ("query_by_example", "mfcc")]
    assert {row.model for row in more.results} == {"logmel", "mfcc"}
    calls.clear()
    run(corpus, tmp_path, "ks", again=True)
    run(corpus, tmp_path, "ks", seed=1)
    assert len(calls) == 2


def test_layers_that_are_asked_for_make_other_numbers(tmp_path: Path, corpus: Path, calls: list[tuple[str, str, str]]) -> None:
    write_run(tmp_path / "run")
    for layers in (["z"], None, ["c"], ["z"], None):
        found = run(corpus, tmp_path, "ks", models=[tmp_path / "run"], layers=layers)
        (row,) = (one for one in found.results if one.model == "run")
        assert row.details["layers"] == (layers or ["z", "c"])
        assert ("layers=" in row.protocol) is bool(layers)
    assert [model for _, _, model in calls] == ["run", "logmel"] * 3


def test_runs_of_the_same_weights_each_keep_the_numbers(tmp_path: Path, corpus: Path, calls: list[tuple[str, str, str]]) -> None:
    runs = [tmp_path / "one", tmp_path / "two"]
    for folder in runs:
        write_run(folder)
    found = superb(runs, corpus, protocol="tiny", tasks=("ks",), options=quick("ks"), device="cpu")
    assert [model for _, _, model in calls] == ["one", "logmel"]
    assert [row.model for row in found.results] == ["one", "two", "logmel"]
    for folder in runs:
        assert sorted(row.model for row in read_results(folder / RESULTS)) == ["logmel", folder.name]


def test_a_row_whose_draws_were_lost_is_measured_again(tmp_path: Path, corpus: Path, calls: list[tuple[str, str, str]]) -> None:
    changes = [*quick("ks"), "ks.normed=true"]
    first = run(corpus, tmp_path, "ks", options=changes).results
    (path,) = (tmp_path / "artifacts").glob("draws-*.npz")
    kept = {name: values for name, values in np.load(path).items() if not name.startswith("sum|")}
    np.savez_compressed(path, **kept)
    again = run(corpus, tmp_path, "ks", options=changes).results
    assert len(calls) == 2
    assert sorted((row.layer, row.value) for row in again) == sorted((row.layer, row.value) for row in first)
    assert run(corpus, tmp_path, "ks", options=changes).results
    assert len(calls) == 2


def test_what_cannot_be_read_is_left_out_listed_for_each_task_and_measured_once_it_can_be(tmp_path: Path) -> None:
    spoiled = {}
    for seed, task in enumerate(("ks", "sid")):
        write_task(tmp_path / task, seed=seed)
        path = tmp_path / task / "audio" / "test-1.wav"
        spoiled[path] = path.read_bytes()
        path.write_text("no audio")
    found = run(tmp_path, tmp_path, "ks", "sid")
    assert {tuple(row.details["utterances"]) for row in found.results} == {(12, 12, 11)}
    assert all("1 recordings that cannot be read are left out" in row.details["note"] for row in found.results)
    listed = [line.split(": ")[:2] for line in (tmp_path / "left-out.txt").read_text().splitlines()]
    assert listed == [[str(tmp_path / task / "test.jsonl"), "test-1"] for task in ("ks", "sid")]
    for path, content in spoiled.items():
        path.write_bytes(content)
    assert {tuple(row.details["utterances"]) for row in run(tmp_path, tmp_path, "ks", "sid").results} == {(12, 12, 12)}


def test_a_task_given_twice_is_measured_and_shown_once(tmp_path: Path, corpus: Path, calls: list[tuple[str, str, str]]) -> None:
    found = superb((), corpus, protocol="tiny", tasks=("ks", " ks"), options=quick("ks"), out=tmp_path, device="cpu")
    assert len(found.results) == len(calls) == 1


def test_the_shortest_budget(tmp_path: Path, corpus: Path) -> None:
    (row,) = run(corpus, tmp_path, "ks", budget=0.001).results
    assert row.details["updates"] >= 1


def test_a_task_may_be_evaluated_as_any_measure_is(tmp_path: Path, corpus: Path) -> None:
    write_run(tmp_path / "run")
    train, valid, test = (corpus / "ks" / f"{part}.jsonl" for part in ("train", "valid", "test"))
    options = [f"keyword_spotting.{change}" for change in TINY]
    given = {"measures": ["keyword_spotting:tiny"], "options": options, "out": tmp_path, "device": "cpu"}
    found = evaluate([tmp_path / "run"], test, train, valid, **given)
    assert {(row.model, row.layer) for row in found} == {(name, "sum") for name in ("run", "run (untrained)", "logmel", "mfcc")}
    ours = run(corpus, tmp_path, "ks", models=[tmp_path / "run"], options=quick("ks")).results
    assert {(row.model, row.value, row.seconds) for row in ours} < {(row.model, row.value, row.seconds) for row in found}
    with pytest.raises(UserError, match="give --valid-corpus, usually the valid.jsonl beside"):
        evaluate([tmp_path / "run"], test, train, **given, again=True)
    (row,) = (one for one in evaluate([tmp_path / "run"], test, train, valid, **given, layers=["z"]) if one.model == "run")
    assert row.details["layers"] == ["z"]


@pytest.mark.parametrize("beside", ["test-relevant.txt", "documents.jsonl"])
def test_what_lies_beside_manifests_counts_in_an_evaluation_too(tmp_path: Path, calls: list[tuple[str, str, str]], beside: str) -> None:
    write_queries(tmp_path)
    given = {"valid_corpus": tmp_path / "valid-queries.jsonl", "measures": ["query_by_example:tiny"], "out": tmp_path / "out"}
    for _ in range(2):
        evaluate(["mfcc"], tmp_path / "test-queries.jsonl", **given)
    assert len(calls) == 2  # of MFCC and log-mel
    text = (tmp_path / beside).read_text()
    (tmp_path / beside).write_text(text.replace("d1", "d2") if beside.endswith("txt") else "\n".join(text.splitlines()[:-1]) + "\n")
    evaluate(["mfcc"], tmp_path / "test-queries.jsonl", **given)
    assert len(calls) == 4


def test_models_come_one_after_the_other(corpus: Path, tmp_path: Path, calls: list[tuple[str, str, str]]) -> None:
    """So that the features of one are kept for all its tasks."""
    run(corpus, tmp_path, "ks", "qbe", models=["mfcc"])
    models = [model for _, _, model in calls]
    assert models in (["mfcc", "mfcc", "logmel", "logmel"], ["logmel", "logmel", "mfcc", "mfcc"])


@pytest.mark.parametrize("beside", ["test-relevant.txt", "documents.jsonl"])
def test_what_lies_beside_manifests_counts(tmp_path: Path, calls: list[tuple[str, str, str]], beside: str) -> None:
    write_queries(tmp_path / "qbe")
    run(tmp_path, tmp_path, "qbe")
    path = tmp_path / "qbe" / beside
    text = path.read_text()
    path.write_text(text.replace("d1", "d2") if beside.endswith("txt") else "\n".join(text.splitlines()[:-1]) + "\n")
    run(tmp_path, tmp_path, "qbe")
    assert len(calls) == 2


def test_the_miniature_is_made_and_has_its_own_protocol(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[tuple[str, str, str]]
) -> None:
    def make(self: MiniatureSuperb, folder: Path) -> None:  # noqa: ARG001 - as it is called
        (folder / "ks").mkdir(parents=True)
        for part in ("train", "valid", "test"):
            text = (corpus / "ks" / f"{part}.jsonl").read_text()
            (folder / "ks" / f"{part}.jsonl").write_text(text.replace('"audio/', f'"{corpus}/ks/audio/'))

    monkeypatch.setattr(MiniatureSuperb, "make", make)
    superb((), "embedded", out=tmp_path, options=quick("ks"), device="cpu")
    assert (tmp_path / "superb-corpus" / "ks").is_dir()
    assert [protocol.partition("(")[0] for _, protocol, _ in calls] == ["tiny"]


def test_numbers_that_were_chosen_on_other_recordings_are_of_other_data(tmp_path: Path, corpus: Path) -> None:
    shutil.copytree(corpus / "ks", tmp_path / "fewer" / "ks")
    valid = tmp_path / "fewer" / "ks" / "valid.jsonl"
    valid.write_text("".join(valid.read_text().splitlines(keepends=True)[:-1]))
    places = (corpus, tmp_path / "fewer")
    found = [superb(["mfcc"], one, protocol="tiny", tasks=["ks"], options=quick("ks"), out=tmp_path / one.name) for one in places]
    first, second = ({row.data_fingerprint for row in one.results} for one in found)
    assert len(first) == len(second) == 1
    assert first != second
