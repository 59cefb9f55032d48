"""Measures are found by their file's name."""

import dataclasses
import importlib

import pytest

from foresay.errors import UserError
from foresay.evaluation.linear_probe import CONVERGED, PAPER
from foresay.evaluation.measure import Measure, find_measure
from foresay.evaluation.probe import Probe
from foresay.settings import list_names, to_table


@pytest.mark.parametrize("protocol", [PAPER, CONVERGED])
def test_a_measure_is_named_with_its_protocol(protocol: object) -> None:
    measure = find_measure(f"probe:{protocol.name}")
    assert isinstance(measure, Probe)
    assert measure.protocol is protocol


@pytest.mark.parametrize("name", ["prob:paper", "probe:papre", "probe", "example:paper", "", ":", "probe:paper:"])
def test_an_unknown_measure_names_the_nearest(name: str) -> None:
    with pytest.raises(UserError, match=r"there is no measure .*probe:converged, .*probe:paper"):
        find_measure(name)


def test_ones_own_module_is_a_measure_too(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "mine.py").write_text(
        "from foresay.evaluation.linear_probe import PAPER\nfrom foresay.evaluation.measure import Measure\n"
        "class Mine(Measure):\n    name = 'mine'\n    protocols = {'only': PAPER}\n"
        "    def __init__(self, protocol): super().__init__(protocol)\n    def __call__(self, *_, **__): return []\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert type(find_measure("my_lab.mine")).__name__ == "Mine"
    assert find_measure("my_lab.mine:only")([], None) == []


def test_any_protocol_can_be_changed() -> None:
    """Numbers measured otherwise bear another name, so that no measure may look at its protocol's."""
    for file in list_names("foresay.evaluation"):
        importlib.import_module(f"foresay.evaluation.{file.replace('-', '_')}")
    found = [cls for cls in Measure.__subclasses__() if cls.__module__.startswith("foresay.evaluation.")]
    assert len(found) > 10
    for cls in found:
        for name, protocol in cls.protocols.items():
            fields = [f.name for f in dataclasses.fields(protocol) if f.name != "name" and getattr(protocol, f.name) is not None]
            field = fields[0] if fields else "name"
            changed = find_measure(f"{cls.name}:{name}", {field: to_table(protocol)[field]})
            assert changed.protocol.name.startswith(f"{name}({field}=")
