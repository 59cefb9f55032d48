"""Numbers that make no sense, in every numeric setting: refused by name, or what they usually mean; never a traceback."""

import dataclasses
import types
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
import torch

from foresay.building import taken_apart
from foresay.contracts import Batch, SpeechModel
from foresay.errors import UserError
from foresay.training.built_in import built_in
from foresay.training.recipe import Recipe, read_recipe

NEVER = ("-1", "nan", "inf", "-inf", str(2**70))
"""What no setting can be."""
MODELS = (
    "demo-acpc",
    "demo-cpc",
    "acpc-bidirectional",
    "mmcpc-digits",
    "wav2vec-tiny",
    "vq-wav2vec-tiny",
    "wav2vec2-tiny",
    "hubert-tiny",
    "wavlm-tiny",
    "best-rq-tiny",
    "w2v-bert-tiny",
)
SMALL = {"acpc-bidirectional": ("model.channels=32", "model.context_size=32", "model.context_layers=1", "model.negative_group=2")}


def numeric(settings: object) -> Iterator[tuple[str, str]]:
    """Yield the numeric settings of a dataclass, and the value that is to be replaced: alone, or of each element of a tuple."""
    for name, kind in get_type_hints(type(settings)).items():
        plain = next(t for t in get_args(kind) if t is not type(None)) if get_origin(kind) in {Union, types.UnionType} else kind
        if plain in {int, float}:
            yield name, "{}"
        elif get_origin(plain) is tuple and get_args(plain)[0] in {int, float}:
            value: tuple[Any, ...] = getattr(settings, name)
            yield name, "[" + ", ".join(["{}", *map(str, value[1:])]) + "]"


def sections(recipe: Recipe) -> Iterator[tuple[str, object]]:
    yield from (("model", recipe.model_settings), ("data", recipe.data), ("optimizer", recipe.optimizer), ("trainer", recipe.trainer))
    for part, table in recipe.parts.items():
        if isinstance(table, Mapping):
            yield f"parts.{part}", taken_apart(table)[1]


@pytest.mark.parametrize("name", [n for n in sorted(built_in()) if n in MODELS])
def test_what_no_setting_can_be_is_refused_by_name(name: str) -> None:
    missed = []
    for section, settings in sections(read_recipe(name)):
        for field, form in numeric(settings):
            for value in NEVER:
                try:
                    read_recipe(name, [f"{section}.{field}={form.format(value)}"])
                except UserError as error:
                    if field not in str(error):
                        missed.append(f"{section}.{field}={value}: {error}")
                else:
                    missed.append(f"{section}.{field}={value}")
    assert missed == []


def one_step(model: SpeechModel, seconds: float = 1.5) -> None:
    """Do a forward and backward pass over noise."""
    samples = int(seconds * model.sample_rate) // 160 * 160
    size = max(2, model.group)
    lengths = torch.full((size,), samples)
    counts = model.frame_count(lengths[:1], model.layer_names[-1]) if "audio" in model.modalities else torch.tensor([1])
    batch = Batch(
        tuple(map(str, range(size))),
        0.1 * torch.randn(size, samples),
        lengths,
        keys=torch.arange(size),
        labels=torch.zeros(size, int(counts[0]), dtype=torch.int64),
        images=torch.rand(size, 3, 32, 32),
    )
    model.updates = 10
    model(batch, 0).total().backward()
    model.after_step(0)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("value", ["0", "1", "1000000000000"])
def test_nought_one_and_a_million_millions_build_and_do_a_step_or_are_refused(name: str, value: str) -> None:
    missed = []
    for field, form in numeric(read_recipe(name).model_settings):
        if field == "sample_rate" and value != "0":
            continue  # any rate is one
        torch.manual_seed(0)
        try:
            one_step(read_recipe(name, [*SMALL.get(name, ()), f"model.{field}={form.format(value)}"]).build_model())
        except UserError:
            continue
        except Exception as error:  # noqa: BLE001 - all are to be listed
            missed.append(f"{field}={form.format(value)}: {type(error).__name__}: {str(error)[:150]}")
    assert missed == []


@dataclasses.dataclass(frozen=True)
class _Numbers:
    one: int = 1
    some: tuple[float, ...] = (1.0,)
    perhaps: float | None = None
    word: str = ""


def test_numeric_settings_are_found() -> None:
    assert list(numeric(_Numbers())) == [("one", "{}"), ("some", "[{}]"), ("perhaps", "{}")]
