"""`torch.compile` of a model: one graph of all that it computes on the device, for batches of any length.

    forward  =  prepare: what is drawn and counted, on the host, as it is  -->  compute: tensors to losses, compiled

The sizes of what is prepared (utterances, samples, masked frames, …) are marked as varying: the first batch is compiled for all lengths.
What remains are kinds of batches: of one utterance or several, equally long or not, in training or in evaluation. PyTorch does not
compile recurrent networks: a model with one is as many graphs as there are parts before, between and after them.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch._dynamo import maybe_mark_dynamic
from torch._dynamo.exc import TorchDynamoException
from torch.utils._pytree import tree_leaves

from foresay.contracts import Trainable
from foresay.errors import UserError

Backend: TypeAlias = str | Callable[..., Any]
"""What makes programs of graphs: PyTorch's own is the `inductor`."""

KINDS = 64
"""Graphs of one function at most; beyond, something that should be a tensor is a number that changes."""


def compile_model(model: Trainable, *, any_length: bool, backend: Backend = "inductor") -> None:
    """Compile what a model computes on the device, in place; the names of its parameters stay. Call this before it is spread.

    `any_length`: batches differ in length. Where they do not, programs for exactly one are faster.

    Raises:
        UserError: the model is not divided into what is prepared and what is computed; or, with the first batch, it cannot be compiled.
    """
    name = type(model).__name__
    if type(model).compute is Trainable.compute:
        msg = f"{name} cannot be compiled: its loss is no function `compute` of tensors alone. Train with trainer.compile=false"
        raise UserError(msg)
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    limits: dict[str, Any] = {"recompile_limit": KINDS}  # which PyTorch's types do not know
    run = torch.compile(model.compute, fullgraph=not recurrent, backend=backend, **limits)

    def compute(*given: Any) -> Any:  # noqa: ANN401 - the model's own
        if any_length:
            _mark(given)
        try:
            return run(*given)
        except TorchDynamoException as error:
            why = " ".join(str(error).partition("\n\n")[0].split())
            msg = (
                f"{name} could not be compiled: {why}. Usual causes: no C++ compiler (g++, clang), which it takes on a CPU, or no Triton, "
                "which it takes on a GPU. Install it, or train with trainer.compile=false, which computes the same"
            )
            raise UserError(msg) from error

    model.compute = compute  # type: ignore[method-assign]


def _mark(given: tuple[Any, ...]) -> None:
    for value in tree_leaves(given):
        if isinstance(value, Tensor):
            for dimension in range(value.dim()):
                maybe_mark_dynamic(value, dimension)
