"""Commands on the page that measure it again."""

from pathlib import Path

from foresay.reports.provenance import _commands
from foresay.reports.record import Record
from foresay.results import Result


def result(measure: str, protocol: str) -> Result:
    return Result("run", measure, protocol, "accuracy", "sum", "test", 0.5, None, None, "x/test", 7, 0, 1.0)


def test_tasks_of_superb_are_measured_by_their_own_command() -> None:
    rows = [
        result("keyword_spotting", "tiny(heads=['published', 'statistics'], updates=20)"),
        result("query_by_example", "tiny"),
        result("keyword_spotting", "clean(layers=L1 L2)"),
        result("probe", "converged(epochs=2, held_out=0.1)"),
    ]
    record = Record(name="run", folder=Path("run"), recipe={}, data={}, lines=(), results=tuple(rows), examples=())
    _, *measuring, _ = _commands(record)
    assert measuring == [
        (
            "foresay superb run --corpus SUPERB --protocol tiny --tasks ks,qbe "
            "--option 'ks.heads=['\"'\"'published'\"'\"', '\"'\"'statistics'\"'\"']' --option ks.updates=20"
        ),
        "foresay superb run --corpus SUPERB --protocol clean --layers L1,L2 --tasks ks",
        (
            "foresay evaluate run --corpus TEST.jsonl --train-corpus TRAIN.jsonl --measures probe:converged "
            "--option probe.epochs=2 --option probe.held_out=0.1"
        ),
    ]
    alone = Record(name="run", folder=Path("run"), recipe={}, data={}, lines=(), results=tuple(rows[:1]), examples=())
    assert not any("foresay evaluate" in command for command in _commands(alone))
