"""Files that are small and would become large: refused before they do."""

import zipfile
from pathlib import Path

import pytest
import torch

from foresay.errors import UserError
from foresay.hub._pickles import only_tensors, plain, read_pickle
from foresay.hub.fairseq import _strides


@pytest.mark.parametrize(
    "text", ["[(96, 10, 5)] * 999999999", "[(1, 2, 3)] * 40 * 40", "[" * 5000, "[(1, 2, 3)] + " * 99 + "[]", "()" * 999]
)
def test_convolutions_without_end(text: str) -> None:
    with pytest.raises(UserError, match="states its convolutions as"):
        _strides(text, Path("file.pt"))


def test_convolutions_as_they_are_written() -> None:
    assert _strides("[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2", Path("file.pt")) == [5, 2, 2, 2, 2, 2, 2]


def test_an_archive_that_unpacks_to_more_than_it_is(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "whole.pt")
    assert read_pickle(tmp_path / "whole.pt")["a"].shape == (1_000_000,)
    with zipfile.ZipFile(tmp_path / "whole.pt") as source, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.namelist():
            target.writestr(entry, source.read(entry))
    with pytest.raises(UserError, match="would unpack to 4,0"):
        read_pickle(tmp_path / "bomb.pt")


def test_a_view_that_repeats_one_number(tmp_path: Path) -> None:
    state = {"weight": torch.zeros(1).expand(10**6, 10**6)}
    with pytest.raises(UserError, match=r"the tensor weight is \[1000000, 1000000\], and holds fewer numbers"):
        only_tensors(state, tmp_path)
    shared = torch.arange(6.0)
    assert only_tensors({"a": shared.view(2, 3).T, "b": shared[:3]}, tmp_path)


def test_settings_in_each_other_or_without_end() -> None:
    ring: list[object] = []
    ring.append(ring)
    laughs: list[object] = ["ha"]
    for _ in range(40):
        laughs = [laughs] * 10
    for settings in (ring, laughs):
        with pytest.raises(UserError, match="too many, or nested too deeply"):
            plain({"args": settings})
