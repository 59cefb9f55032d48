"""What torchrun says to its processes by the environment, and what others say there."""

import pytest
import torch

from foresay.errors import UserError
from foresay.training.devices import find_process

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def say(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "variables, message",
    [
        ({"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_ADDR and MASTER_PORT is not set"),
        ({"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}, "but RANK is not set"),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": ""}, "but MASTER_PORT is not set"),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "http"}, "MASTER_PORT='http', and a whole number"),
        ({"RANK": "0", "WORLD_SIZE": "two"}, "WORLD_SIZE='two', and a whole number is needed"),
        ({"RANK": "-1", "WORLD_SIZE": "1"}, "RANK='-1', and a whole number is needed"),
        ({"RANK": "1"}, "RANK=1 and WORLD_SIZE=1 do not fit"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "WORLD_SIZE=0 do not fit"),
        ({"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}, "RANK=2 and WORLD_SIZE=2 do not fit"),
    ],
)
def test_half_of_it_is_named(variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, **variables)
    with pytest.raises(UserError, match=f"{message}.*torchrun sets these variables"):
        find_process("cpu")


def test_nothing_of_it_or_a_world_of_one_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    for variables in ({}, {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}, {"WORLD_SIZE": ""}):
        say(monkeypatch, **variables)
        place = find_process("cpu")
        assert (place.rank, place.world) == (0, 1)


@pytest.mark.parametrize("local, message", [("x", "LOCAL_RANK='x'"), ("7", "device 'cuda:7' cannot be used here")])
def test_a_device_beyond_those_there_are(local: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, LOCAL_RANK=local)
    if torch.cuda.device_count() > 7:
        pytest.skip("there is such a device")
    with pytest.raises(UserError, match=message):
        find_process("cuda")


def test_processes_that_cannot_meet_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, RANK="0", WORLD_SIZE="2", MASTER_ADDR="localhost", MASTER_PORT="99999")
    with pytest.raises(UserError, match=r"the 2 processes of this job could not meet at localhost:99999"):
        find_process("cpu")
