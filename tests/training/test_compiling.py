"""Compiled, every model is one graph that computes what the model does, for batches of all lengths; its recurrent contexts break it."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from foresay.building import find_model
from foresay.contracts import Batch, SpeechModel, Trainable
from foresay.errors import UserError
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.settings import parts_of
from foresay.training.compiling import compile_model
from foresay.training.recipe import read_recipe
from reference.listed import models_of
from reference.toy_models import TwoTerms

pytestmark = [  # of torch, about its own doing
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]
CPC = ("model.channels=32", "model.context_size=32", "model.negative_count=4", "model.negative_group=2", "model.dropout=0.0")
STILL = tuple(f"model.{where}=0.0" for where in ("dropout", "attention_dropout", "activation_dropout", "input_dropout"))
NARROW = ("model.size=32", "model.inner=32", "model.layers=2", "model.heads=2", "model.layer_drop=0.4")
RECIPES: dict[str, tuple[str, ...]] = {
    "acpc": ("demo-acpc", *CPC, "model.predictions=2", "model.matched=3"),
    "cpc": ("demo-cpc", *CPC, "model.predictions=2"),
    "bidirectional_acpc": ("acpc-bidirectional", *CPC, "model.predictions=2", "model.matched=3"),
    "wav2vec": ("vq-wav2vec-tiny", "model.negative_group=2"),
    "wav2vec2": ("wav2vec2-tiny", *NARROW, *STILL, "model.group=2", "model.target_dropout=0.0"),
    "hubert": ("hubert-tiny", *NARROW, *STILL),
    "wavlm": ("wavlm-tiny", *NARROW, *STILL),
    "best_rq": ("best-rq-tiny", *NARROW, *STILL[:2]),
    "w2v_bert": ("w2v-bert-tiny", *NARROW, *STILL[:2], "model.group=2", "model.contrastive_layers=1"),
    "transformer_lm": ("transformer-lm-tiny", "model.size=32", "model.inner=32", STILL[0]),
    "multimodal_cpc": ("mmcpc-digits", "model.negative_group=2", "model.audio_negatives={queue = 8}"),
}
RECURRENT = {"cpc": 1, "acpc": 1, "bidirectional_acpc": 2, "multimodal_cpc": 1}
"""Places where a graph is broken, for PyTorch compiles no recurrent network."""
QUICK = ("best_rq",)
"""Of the others it takes the compiler more than two seconds to read what they do."""
VARIED = ("wav2vec2", "hubert", "wavlm", "best_rq", "w2v_bert")
"""What is trained on utterances of any length."""
DROPPED = 7
"""An update in which LayerDrop leaves one of the two blocks out."""


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """Let the compiler load what it takes."""
    torch.compile(torch.neg, backend="eager")(torch.zeros(1))


@pytest.fixture(autouse=True)
def _no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where anybody collects logs, as pytest does, the compiler writes long ones of all that it does."""
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)


def _model(name: str) -> SpeechModel:
    torch.manual_seed(0)
    return read_recipe(*_recipe_of(name)).build_model().train()


def _recipe_of(name: str) -> tuple[str, list[str]]:
    recipe, *overrides = RECIPES[name]
    return recipe, overrides


def _batch(model: SpeechModel, groups: int = 1, samples: int = 12_000, *, unequal: bool = False) -> Batch:
    if model.needs == ("text",):
        return Batch(("0", "1"), text=("a bc", "d"))
    size = groups * max(2, model.group)
    lengths = samples - 700 * (torch.arange(size) % 2) * unequal
    waveforms = 0.1 * torch.randn(size, samples) * (torch.arange(samples) < lengths[:, None])
    frames = int(model.frame_count(lengths, model.layer_names[-1]).max())
    batch = Batch(tuple(map(str, range(size))), waveforms, lengths, keys=torch.arange(size))
    images = torch.rand(size, 3, 32, 32) if "image" in model.needs else None
    return replace(batch, labels=torch.arange(size * frames).view(size, frames) % 5, images=images)


class Counting:
    """A backend that runs graphs as they are, and counts them."""

    def __init__(self) -> None:
        torch.compiler.reset()
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, _given: list[Any]) -> Callable[..., Any]:
        self.graphs += 1
        return graph.forward


def test_every_model_is_here() -> None:
    """Those with an encoder or other parts are compiled below, or compute their loss as a whole."""
    compiled = {name for name in models_of(Trainable) if not parts_of(find_model(name))}
    assert {name.replace("-", "_") for name in compiled} == set(RECIPES)


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RECIPES])
def test_a_model_is_one_graph_and_computes_what_it_does_uncompiled(name: str) -> None:
    plain, compiled, counting = _model(name), _model(name), Counting()
    compile_model(compiled, any_length=False, backend=counting)
    batch = _batch(plain)
    expected, found = plain(batch, DROPPED), compiled(batch, DROPPED)
    assert counting.graphs == 1 + RECURRENT.get(name, 0)
    assert {n: float(t.count) for n, t in found.terms.items()} == {n: float(t.count) for n, t in expected.terms.items()}
    torch.testing.assert_close({n: t.sum for n, t in found.terms.items()}, {n: t.sum for n, t in expected.terms.items()})
    torch.testing.assert_close(found.scalars, expected.scalars)
    expected.total().backward()
    found.total().backward()
    for (parameter, theirs), ours in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=lambda text, at=parameter: f"{at}: {text}")


@pytest.mark.slow
@pytest.mark.parametrize("step", [0, DROPPED])
def test_a_recognizer_is_one_graph_where_its_encoder_masks(step: int) -> None:
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        settings = CTCSettings(("<blank>", "|", "a", "b"), freeze_updates=3, layer_drop=0.4, activation_dropout=0.0)
        encoder = read_recipe(*_recipe_of("hubert")).build_model().eval()
        assert isinstance(encoder, SpeechModel)
        models.append(CTC(settings, encoder).train())
    plain, compiled = models
    counting = Counting()
    compile_model(compiled, any_length=True, backend=counting)
    for samples in (12_000, 15_000, 16_100):
        batch = replace(_batch(encoder, samples=samples, unequal=True), text=("ab", "ba a"))
        expected, found = plain(batch, step), compiled(batch, step)
        torch.testing.assert_close(found.total(), expected.total())
        expected.total().backward()
        found.total().backward()
    assert counting.graphs == 1
    for (name, parameter), ours in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, parameter.grad, rtol=1e-4, atol=1e-4, msg=lambda text, at=name: f"{at}: {text}")


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIED)
def test_other_lengths_need_no_other_graph(name: str) -> None:
    model, counting = _model(name), Counting()
    compile_model(model, any_length=True, backend=counting)
    for batch in _kinds(model, 12_000, 13_100, 14_560):
        model(batch, 1).total().backward()
    warm = counting.graphs
    assert warm <= 4  # of one group and of several, equally long or not
    for step, batch in enumerate(_kinds(model, 12_320, 15_873, 19_200, 21_120), start=2):  # other draws of LayerDrop, other temperatures
        model(batch, step).total().backward()
    assert counting.graphs == warm


def _kinds(model: SpeechModel, *samples: int) -> Iterator[Batch]:
    for length in samples:
        for groups in (1, 2, 3):
            for unequal in (True, False):
                yield _batch(model, groups, length, unequal=unequal)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wav2vec2", "cpc"])
def test_as_a_whole_a_model_has_one_break_more_for_what_is_drawn(name: str) -> None:
    torch.compiler.reset()
    model = _model(name)
    assert torch._dynamo.explain(lambda batch: model(batch, DROPPED).total())(_batch(model)).graph_break_count == 1 + RECURRENT.get(name, 0)


def test_what_is_no_function_of_tensors_is_refused() -> None:
    with pytest.raises(UserError, match=r"TwoTerms cannot be compiled.*trainer\.compile=false"):
        compile_model(TwoTerms(), any_length=False)


@pytest.mark.slow
def test_a_compiler_that_is_missing_is_explained() -> None:
    def missing(_graph: torch.fx.GraphModule, _given: list[Any]) -> Callable[..., Any]:
        msg = "No working C++ compiler found"
        raise RuntimeError(msg)

    torch.compiler.reset()
    model = _model("hubert")
    compile_model(model, any_length=False, backend=missing)
    with pytest.raises(UserError, match=r"HuBERT could not be compiled: .*No working C\+\+ compiler found.*trainer\.compile=false"):
        model(_batch(model), 1)
