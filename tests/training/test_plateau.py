"""A blank plateau is named with its number, and so is its end; a loss that no plateau has is a fault."""

import pytest

from foresay.errors import UserError
from foresay.training.plateau import PATIENCE, PlateauWatch


def scalars(blank: float, loss: float = 2.9, entropy: float = 2.9) -> dict[str, float]:
    return {"blank": blank, "loss": loss, "symbol_entropy": entropy}


def test_it_is_named_with_its_number_at_each_doubling_and_when_it_ends() -> None:
    watch = PlateauWatch()
    found = [watch.watch(scalars(0.995, 2.93)) for _ in range(9)]
    assert [number for number, message in enumerate(found, 1) if message] == [2, 4, 8]
    assert str(found[1]).startswith("plateau: 99.5% of the frames are blank, at 2.93 nats a symbol")
    assert "no more, costs 2.90. This is no fault" in str(found[1])
    assert "freeze_updates" in str(found[1])
    assert watch.watch(scalars(0.9, 2.0)) == "the plateau is over: 10.0% of the frames have a symbol, at 2.00 nats each"
    assert watch.watch(scalars(0.9, 2.0)) is None
    assert watch.watch(scalars(0.991)) is None  # once is none
    assert watch.watch(scalars(0.99)) is None


def test_a_loss_far_below_the_entropy_without_a_symbol_is_a_fault_if_it_stays() -> None:
    watch = PlateauWatch()
    for _ in range(PATIENCE - 1):
        watch.watch(scalars(1.0, 2.3))
    watch.watch(scalars(1.0, 2.4))  # not far below 2.9
    for _ in range(PATIENCE - 1):
        watch.watch(scalars(1.0, 2.3))
    with pytest.raises(UserError, match=r"100\.0% of the frames are blank.*2\.30 nats.*the blank is not symbol 0"):
        watch.watch(scalars(1.0, 2.3))


def test_other_models_have_none_and_a_resumed_run_goes_on() -> None:
    watch, resumed = PlateauWatch(), PlateauWatch()
    assert watch.watch({"loss": 2.0, "accuracy": 0.1}) is None
    for _ in range(3):
        watch.watch(scalars(1.0, 1.0))
    resumed.restore(watch.state())
    assert str(resumed.watch(scalars(1.0, 1.0))).startswith("plateau")
    assert resumed.state() == {"length": 4, "low": 4}
    resumed.restore({})  # of an older version
    assert resumed.state() == {"length": 0, "low": 0}
