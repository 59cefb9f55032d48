"""Measures are found by their file's name."""

import dataclasses
import math
from pathlib import Path

import pytest

from foresay.errors import UserError
from foresay.evaluation.measure import Measure, find_measure
from foresay.evaluation.probes.linear_probe import CONVERGED, PAPER
from foresay.evaluation.probes.probe import Probe
from foresay.fingerprint import of_file
from foresay.settings import find_class, list_names, to_table


@pytest.mark.parametrize("protocol", [PAPER, CONVERGED])
def test_a_measure_is_named_with_its_protocol(protocol: object) -> None:
    measure = find_measure(f"probe:{protocol.name}")
    assert isinstance(measure, Probe)
    assert measure.protocol is protocol


def measures() -> list[type[Measure]]:
    return [find_class("foresay.evaluation", name, Measure) for name in list_names("foresay.evaluation", "Measure")]


@pytest.mark.parametrize("name", ["prob:paper", "probe:papre", "probe", "example:paper", "", ":", "probe:paper:"])
def test_an_unknown_measure_names_the_nearest(name: str) -> None:
    with pytest.raises(UserError, match=r"there is no measure .*probe:converged, .*probe:paper"):
        find_measure(name)


def test_ones_own_module_is_a_measure_too(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "mine.py").write_text(
        "from foresay.evaluation.probes.linear_probe import PAPER\nfrom foresay.evaluation.measure import Measure\n"
        "class Mine(Measure):\n    name = 'mine'\n    protocols = {'only': PAPER}\n"
        "    def __call__(self, *_, **__): return []\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert type(find_measure("my_lab.mine")).__name__ == "Mine"
    assert find_measure("my_lab.mine:only")([], None) == []


SIGNED = {
    "abx.max_size_group",
    "abx.max_x_across",
    "probe.patience",
    "query_by_example.threshold",
    "robustness.snr",
    "segmentation.delays",
    "segmentation.shares",
}
"""What may be 0 or less, or is checked when it is needed: ABX's sizes when they are asked for, patience where utterances are held out."""


def test_numbers_that_make_no_sense_are_refused_in_any_protocol() -> None:
    tried = 0
    for cls in measures():
        for name, protocol in cls.protocols.items():
            for field, value in to_table(protocol).items():
                number = next(iter(value), None) if isinstance(value, list) else value
                if isinstance(number, bool | str | None) or f"{cls.name}.{field}" in SIGNED:
                    continue
                bad = [-1] if isinstance(number, int) else [-1.0, math.nan, math.inf]
                for one in bad if field in {"held_out", "betas", "dropout"} else [0 * number, *bad]:
                    tried += 1
                    with pytest.raises(
                        UserError, match=rf"settings of \[{cls.name}\] do not fit: .*{field}|{cls.name}.{field} = .* is no number"
                    ):
                        find_measure(f"{cls.name}:{name}", {field: [one] * len(value) if isinstance(value, list) else one})
    assert tried > 50


@pytest.mark.parametrize(
    "measure, options",
    [
        ("probe:converged", {"patience": 0}),  # stopped after an epoch, even if that one gained
        ("phone_ctc:converged", {"patience": 0}),
        ("probe:paper", {"held_out": 1.0}),
        ("phone_ctc:converged", {"held_out": 1.0}),
        ("robustness:speech-5db", {"snr": math.nan}),
        ("segmentation:20ms", {"shares": [1.0]}),
        ("segmentation:20ms", {"delays": []}),
        ("segmentation:20ms", {"delays": [math.inf]}),
        ("clusters:curve", {"clusters": []}),
    ],
)
def test_and_so_are_these(measure: str, options: dict[str, object]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        find_measure(measure, options)


def test_any_protocol_can_be_changed() -> None:
    """Numbers measured otherwise bear another name, so that no measure may look at its protocol's."""
    assert len(measures()) > 10
    for cls in measures():
        for name, protocol in cls.protocols.items():
            fields = [f.name for f in dataclasses.fields(protocol) if f.name != "name" and getattr(protocol, f.name) is not None]
            field = fields[0] if fields else "name"
            changed = find_measure(f"{cls.name}:{name}", {field: to_table(protocol)[field]})
            assert changed.protocol.name.startswith(f"{name}({field}=")


@pytest.mark.parametrize("name", ["nowhere.item", ".", "a\0b"])
def test_a_file_of_a_measure_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        of_file(tmp_path / name)
