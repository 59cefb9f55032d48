"""Random draws: no two purposes share a stream, none ignores the seed, and nobody else makes a generator."""

import ast
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor

from foresay import draws
from foresay.layers.dropout import layers_kept
from foresay.masking import SpanMask
from foresay.models.representation.best_rq import BestRQSettings
from foresay.negatives.within_group import Reference
from foresay.objectives.hybrid_contrastive import HybridContrast
from foresay.objectives.masked_contrastive import draw_distractors
from foresay.quantizers.gumbel import gumbel_noise
from foresay.quantizers.kmeans import KMeans
from foresay.quantizers.random_projection import RandomProjectionQuantizer
from foresay.training.recipe import read_recipe
from house.tree import SOURCES, functions, name, nodes

PURPOSES: tuple[draws.Purpose, ...] = tuple(
    purpose for kind in (draws.PlanPurpose, draws.LearningPurpose, draws.MeasuringPurpose) for purpose in get_args(kind)
)
NUMBERS = ((0,), (1,), (7,), (2**62,), (0, 0), (0, 1), (1, 0), (3, 2), (0, 0, 1), (1, 0, 0))
MAKERS = {"default_rng", "Generator", "manual_seed", "manual_seed_all", "SeedSequence", "PCG64", "RandomState", "fork_rng"}
MODULES = {"torch", "np.random", "torch.random", "torch.cuda"}
TORCH_DRAWS = {"rand", "randn", "randint", "randperm", "normal", "multinomial", "bernoulli", "rand_like", "randn_like", "randint_like"}


def test_no_two_purposes_share_a_stream() -> None:
    assert len(set(PURPOSES)) == len(PURPOSES)
    first = [int(draws.bits(purpose, *numbers, count=1)[0]) for purpose in PURPOSES for numbers in NUMBERS]
    assert len(set(first)) == len(first)
    torchs = [float(torch.rand((), dtype=torch.float64, generator=draws.generator(purpose, 7))) for purpose in PURPOSES]
    numpys = [float(draws.stream(purpose, 7).random()) for purpose in PURPOSES]
    assert len({*torchs, *numpys}) == 2 * len(PURPOSES)


def test_no_purpose_ends_as_another_which_numbers_could_complete() -> None:
    assert not [pair for pair in itertools.permutations(PURPOSES, 2) if pair[0].endswith(pair[1])]


def test_a_stream_is_what_it_was() -> None:
    """Plans are drawn from these bits: a run must go on with another version of the package as it began."""
    assert draws.bits("keys", 0, 3, count=2).tolist() == [11238890165266647160, 16709994479237460837]
    assert draws.seed("weights", 1) == 5311017286120565045


def test_torchs_own_stream_is_seeded_and_given_back() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with draws.torch_seeded("weights", 3):
        drawn = torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)
    draws.seed_torch("weights", 3)
    assert torch.equal(torch.rand(4), drawn)


def _kept(seed: int) -> Tensor:
    return torch.stack([kept for step in range(20) if (kept := layers_kept((seed, step), 12, 0.5)) is not None])


def _mask(seed: int) -> Tensor:
    return SpanMask(0.065, 10)([200], _key(seed))


def _key(seed: int) -> Tensor:
    return torch.tensor([draws.seed("keys", seed, 0)])


def _distractors(seed: int) -> Tensor:
    return draw_distractors(torch.arange(30)[None], (30,), _key(seed), same=20)


def _negatives(seed: int) -> Tensor:
    return Reference(9, 1, 4).drawn(30, _key(seed), 20, 5).rows


def _codes(seed: int) -> Tensor:
    return gumbel_noise((30, 2, 8), _key(seed), torch.zeros(()))


def _perturbed(seed: int) -> Tensor:
    noise = HybridContrast(4, 1, queue=0).draw(9, _key(seed)).noise
    assert noise is not None
    return noise


def _clusters(seed: int) -> Tensor:
    kmeans = KMeans(5, 3)
    kmeans.fit(torch.arange(600.0).view(200, 3).sin(), seed=seed)
    return kmeans.centers


def _weights(seed: int) -> Tensor:
    with draws.torch_seeded("weights", seed):
        return torch.cat([p.flatten() for p in read_recipe("demo-cpc").build_model().parameters()])


def _random_projection(seed: int) -> Tensor:
    assert BestRQSettings().quantizer_seed is None
    with draws.torch_seeded("weights", seed):
        return RandomProjectionQuantizer(8, 16).projections


DRAWS = [_kept, _mask, _distractors, _negatives, _codes, _perturbed, _clusters, _weights, _random_projection]


@pytest.mark.parametrize("draw", DRAWS, ids=lambda draw: draw.__name__)
def test_no_draw_ignores_the_seed(draw: Callable[[int], Tensor]) -> None:
    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))


def test_perturbations_of_sounds_and_pictures_differ() -> None:
    contrast = HybridContrast(4, 1, queue=0)
    audio, images = (contrast.draw(9, torch.tensor([5]), purpose).noise for purpose in ("perturbed audio", "perturbed images"))
    assert audio is not None
    assert images is not None
    assert not torch.equal(audio, images)


def test_nobody_else_makes_a_generator() -> None:
    others = [path for path in SOURCES if path.name != "draws.py"]
    assert not [place for path in others for place, call in _calls(path) if _called(call) in MAKERS]
    imports = [node for path in others for node in nodes(path) if isinstance(node, ast.Import)]
    assert not {"random", "secrets", "numpy.random"} & {alias.name for node in imports for alias in node.names}


def test_torch_draws_without_a_generator_only_what_a_run_begins_with() -> None:
    """Initial weights: their stream is that of the run. What dropout draws goes through `layers/dropout.py`."""
    others = [path for path in SOURCES if path.name != "doctor.py"]
    drawn = [(place, call) for path in others for place, call in _calls(path, but_in="__init__") if _called(call) in TORCH_DRAWS]
    assert not [place for place, call in drawn if "generator" not in {word.arg for word in call.keywords}]


def _calls(path: Path, but_in: str = "") -> list[tuple[str, ast.Call]]:
    left_out = {id(node) for function in functions(path) if function.name == but_in for node in ast.walk(function)}
    calls = [node for node in nodes(path) if isinstance(node, ast.Call) and id(node) not in left_out]
    return [(f"{name(path)}:{node.lineno}", node) for node in calls]


def _called(call: ast.Call) -> str:
    """`torch.rand(4)` -> "rand"; of a method of what is not a module's name, nothing: `stream.normal(…)` is no draw of torch's."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id
    if isinstance(function, ast.Attribute) and function.attr in MAKERS | TORCH_DRAWS and ast.unparse(function.value) in MODULES:
        return function.attr
    return ""


@pytest.mark.filterwarnings("ignore:Dynamo does not know")
def test_a_compiled_model_draws_what_another_draws() -> None:
    """The compiler follows NumPy's operations as if they were torch's, which has no shift of unsigned numbers."""

    def drawn(values: torch.Tensor) -> torch.Tensor:
        return values + torch.rand(3, generator=draws.generator("negatives", 7))

    torch.testing.assert_close(torch.compile(drawn, backend="eager")(torch.zeros(3)), drawn(torch.zeros(3)), rtol=0, atol=0)
