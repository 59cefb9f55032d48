"""Training on several devices: each with a copy of the model (DDP), or each with a share of it (FSDP).

    replicate    every device has the whole model; gradients are averaged once an update                              (DDP)
    shard        every device keeps its share of the weights and of the optimizer's state; the weights are put
                 together for the time of an update, and of the gradient each device is given its share again         (FSDP2)

The update is the same. Checkpoints are whole in either case, so a run may go on in the other way and on another number of devices.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from foresay.contracts import Trainable
from foresay.settings import parts_of
from foresay.training.devices import Process

Parallel: TypeAlias = Literal["replicate", "shard"]


def spread(model: Trainable, place: Process, parallel: Parallel) -> nn.Module:
    """Let all devices train one model; return the module to call for its loss.

    The model keeps its methods and the names of its parameters. Call this before the optimizer is built: sharding replaces the parameters.
    """
    if place.world == 1:
        return model
    if parallel == "replicate" and len(model.phases) > 1:
        return model  # DDP waits for the gradient of every parameter, and a phase has only those of its own: `average_gradients`
    if parallel == "shard":
        fully_shard(model, mesh=init_device_mesh(place.device.type, (place.world,)))  # in place
        return model
    # What a model takes of a part seldom depends on all of its parameters: an encoder has heads, of its own pre-training.
    replicated = DistributedDataParallel(model, gradient_as_bucket_view=True, find_unused_parameters=bool(parts_of(type(model))))
    replicated.broadcast_buffers = False  # the constructor's argument for it changed its name between versions of torch
    return replicated


def exchanging_gradients(module: nn.Module, *, now: bool) -> contextlib.AbstractContextManager[None]:
    """Exchange gradients in this forward and backward pass, or only add them up."""
    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(now)
    if isinstance(module, DistributedDataParallel) and not now:
        return module.no_sync()
    return contextlib.nullcontext()


def backward(module: nn.Module, loss: Tensor, parameters: Sequence[nn.Parameter] | None) -> None:
    """Add the gradient of a loss () to that of the parameters; None: of all.

    Where the model is sharded, to that of all: the parameters are shares of what the loss was computed with, and cannot be asked alone.
    """
    if parameters is None or isinstance(module, FSDPModule):
        loss.backward()
    else:
        loss.backward(inputs=list(parameters))


def average_gradients(parameters: Sequence[nn.Parameter], place: Process) -> None:
    """Average the gradients that every device has of a whole model's parameters: where DDP does not."""
    for gradient in [p.grad for p in parameters if p.grad is not None]:
        if place.world > 1 and not isinstance(gradient, DTensor):
            place.added(gradient.div_(place.world))


def clip_gradient(parameters: Sequence[nn.Parameter], limit: float) -> Tensor:
    """Scale the gradient down to the norm `limit`, taken over the parameters on all devices; return the norm () that it had."""
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm


def whole(state: Any, place: Process) -> Any:  # noqa: ANN401 - a state dict: tensors, and whatever else, in dictionaries in dictionaries
    """Put the shares of all devices together, for the one that leads. All must ask, or they wait for each other."""
    if isinstance(state, dict):
        return {name: whole(value, place) for name, value in state.items()}
    if isinstance(state, DTensor):
        together = state.full_tensor()
        return together.cpu() if place.leads else None
    return state


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load whole weights into a model that may be sharded."""
    kept = model.state_dict()
    model.load_state_dict({name: _cut(value, kept.get(name)) for name, value in weights.items()})


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load an optimizer's whole state; what has a parameter's shape is cut as the parameter is."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    cut = {
        number: {name: _cut(value, parameters[number]) if value.shape == parameters[number].shape else value for name, value in own.items()}
        for number, own in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": cut})


def _cut(value: Tensor, kept: Tensor | None) -> Tensor:
    """Cut a tensor that every device has whole as `kept` is cut."""
    if isinstance(kept, DTensor):
        return distribute_tensor(value.to(kept.device), kept.device_mesh, kept.placements, src_data_rank=None)
    return value
