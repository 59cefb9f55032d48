"""Heads that learn side by side from the same batches: many learning rates, starts and layers for the price of the features of one.

    heads of one kind, G of them --> weights (G, …) --> one call for all, over the same batch --> outputs (G, B, …) --> losses (G,)
                                                                                                        |
    each head has its own learning rate, gradient clip and Adam <-- gradient of the sum of all losses --+

The gradient of the sum with respect to a head is the gradient of its own loss: each learns as if it were alone.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from foresay import draws

BETAS, EPS = (0.9, 0.999), 1e-8
"""Of Adam (Kingma and Ba, arXiv:1412.6980)."""
CLIP = 1.0
"""Largest norm of a head's gradient (SUPERB)."""


class SideBySide:
    """G heads of one kind, at work or learning."""

    def __init__(
        self,
        heads: Sequence[nn.Module],
        rates: Sequence[float],
        *,
        decay: float = 0.0,
        seed: int = 0,
        grouped: bool = True,
        device: str = "cpu",
    ) -> None:
        """Take heads that differ in their weights alone, with the learning rate of each.

        `decay`: of AdamW, decoupled. `seed`: of dropout, which is the same for all heads. `grouped`: whether one call computes all heads;
        what PyTorch cannot compute so, such as an LSTM, is called head by head.
        """
        self._head, self._grouped, self._decay, self._seed = heads[0].to(device), grouped, decay, seed
        parameters = [dict(head.named_parameters()) for head in heads]
        self.weights = {name: torch.stack([one[name].detach().to(device) for one in parameters]).requires_grad_() for name in parameters[0]}
        self.best = {name: values.detach().clone() for name, values in self.weights.items()}
        """The weights that were kept."""
        self._rates = torch.tensor(rates, device=device)
        self._means, self._squares = (
            {name: torch.zeros_like(values, requires_grad=False) for name, values in self.weights.items()} for _ in range(2)
        )
        self.updates = 0

    def __len__(self) -> int:
        """Count the heads: G."""
        return len(self._rates)

    def __call__(self, *given: Any) -> Tensor:  # noqa: ANN401 - what the head takes
        """Give all heads the same batch: outputs (G, B, …)."""
        return self._call(self.weights, *given)

    @torch.no_grad()
    def judged(self, *given: Any, kept: bool) -> Tensor:  # noqa: ANN401 - what the head takes
        """Give all heads the same batch, without dropout, each as it is now or, `kept`, with the weights that were kept: (G, B, …)."""
        self._head.eval()
        outputs = self._call(self.best if kept else self.weights, *given)
        self._head.train()
        return outputs

    def update(self, losses: Tensor) -> None:
        """Let each head learn by its own loss (G,): clip its gradient, and take a step of Adam. What is not finite counts as 0."""
        gradients = torch.autograd.grad(losses.sum(), list(self.weights.values()))
        self.updates += 1
        with torch.no_grad():
            norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
            clip = torch.where(norms.isfinite(), (CLIP / (norms + 1e-6)).clamp(max=1.0), 0.0)
            for name, gradient in zip(self.weights, gradients, strict=True):
                self._step(name, gradient.nan_to_num(0.0, 0.0, 0.0).mul_(_rows(clip, gradient)))

    @torch.no_grad()
    def keep(self, which: Tensor) -> None:
        """Keep the weights of some heads (G,) bool as they are now."""
        for name, values in self.weights.items():
            self.best[name] = torch.where(_rows(which.to(values.device), values), values, self.best[name]).detach()

    def _call(self, weights: dict[str, Tensor], *given: Any) -> Tensor:  # noqa: ANN401 - what the head takes
        if self._grouped:
            called: Tensor = vmap(lambda own: functional_call(self._head, own, given), randomness="same")(weights)
            return called
        outputs = []
        for place in range(len(self)):
            with draws.torch_seeded("dropout", self._seed, self.updates):
                outputs.append(functional_call(self._head, {name: values[place] for name, values in weights.items()}, given))
        return torch.stack(outputs)

    def _step(self, name: str, gradient: Tensor) -> None:
        """Adam for all heads at once, in as few passes over their weights as there can be."""
        mean, square, values, rates = self._means[name], self._squares[name], self.weights[name], _rows(self._rates, gradient)
        mean.lerp_(gradient, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        spread = square.sqrt().div_((1 - BETAS[1] ** self.updates) ** 0.5).add_(EPS)
        if self._decay:
            values.mul_(1 - rates * self._decay)
        values.sub_((mean * (rates / (1 - BETAS[0] ** self.updates))).div_(spread))


def _rows(values: Tensor, like: Tensor) -> Tensor:
    """Give each head's number (G,) to all its weights, as in (G, …)."""
    return values.view(-1, *[1] * (like.ndim - 1))
