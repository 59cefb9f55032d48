"""Models of a few numbers, for laws of the training loop: two terms that count different things, and two players."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.contracts import Batch, Losses, Term, Trainable
from foresay.training.devices import Process
from foresay.training.parallel import whole
from foresay.training.recipe import Recipe, read_recipe
from foresay.training.update import Read, Updater


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """Nothing to set."""


class TwoTerms(Trainable):
    """Of four numbers an utterance, those with label 1 count in term `a`, and utterances that begin with label 2 in term `b`."""

    settings = NoSettings()

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 3)
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(torch.linspace(-1, 1 + number, parameter.numel()).view_as(parameter))

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:  # noqa: ARG002
        """Two terms, of weights 1 and 0.3."""
        assert batch.waveforms is not None
        assert batch.labels is not None
        hidden = torch.tanh(self.layer(batch.waveforms[..., None].to(self.layer.weight)))  # (B, 4, 3)
        one, other = batch.labels == 1, batch.labels[:, 0] == 2
        a = Term((hidden.square().sum(-1) * one).sum(), one.sum())
        b = Term((hidden.sum((1, 2)).square() * other).sum(), float(other.sum()), weight=0.3)
        return Losses({"a": a, "b": b}, {"accuracy": (hidden.sum(-1) * one).sum() / one.sum()}, {"accuracy": "a"})


class OneTerm(TwoTerms):
    """Term `a` alone."""

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """One term."""
        losses = super().forward(batch, step, phase)
        return Losses({"a": losses.terms["a"]}, losses.scalars)


class TinyGAN(Trainable):
    """A discriminator and a generator of 48 samples (arXiv:1406.2661)."""

    settings = NoSettings()
    phases = ("discriminator", "generator")

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 48))
        self.discriminator = nn.Sequential(nn.Linear(48, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def trained(self, phase: str) -> Iterable[nn.Parameter]:
        """Each player has its own."""
        return getattr(self, phase).parameters()  # type: ignore[no-any-return]

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:  # noqa: ARG002
        """Distinguish real from generated; or, as the generator, be taken for real."""
        assert batch.waveforms is not None
        assert batch.keys is not None
        real = batch.waveforms[:, ::100][:, :48]
        noise = torch.stack([torch.randn(4, generator=torch.Generator().manual_seed(key)) for key in batch.keys.tolist()])
        made = self.generator(noise.to(real))
        if phase == "generator":
            return Losses({"fooled": _real_or_not(self.discriminator(made), real=True)}, {"spread": made.detach().std()})
        scores = self.discriminator(made.detach())
        terms = {"real": _real_or_not(self.discriminator(real), real=True), "made": _real_or_not(scores, real=False)}
        return Losses(terms, {"accuracy": (scores < 0).float().mean()})


def _real_or_not(scores: Tensor, *, real: bool) -> Term:
    return Term(F.softplus(-scores if real else scores).sum(), len(scores))


def toy_batch(labels: Sequence[Sequence[int]]) -> Batch:
    """Make a batch of (B, 4) labels; its numbers depend on their place."""
    waveforms = torch.linspace(-2, 2, 4 * len(labels)).view(-1, 4)
    ids = tuple(map(str, range(len(labels))))
    return Batch(ids, waveforms, torch.full((len(labels),), 4), torch.arange(len(labels)), labels=torch.tensor(labels))


def cut(batch: Batch, sizes: Sequence[int]) -> list[Batch]:
    """Cut a batch into parts of so many utterances."""
    ends = list(itertools.accumulate(sizes, initial=0))
    parts = []
    for begin, end in itertools.pairwise(ends):
        values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
        parts.append(Batch(**{name: value if value is None else value[begin:end] for name, value in values.items()}))
    return parts


def toy_recipe(*overrides: str) -> Recipe:
    """A recipe whose model is of no account."""
    return read_recipe("acpc", ("trainer.steps=10", "trainer.clip=0.0", "optimizer.lr=0.1", "optimizer.warmup=0.0", *overrides))


def one_update(model: Trainable, batches: Sequence[Batch], place: Process, *overrides: str) -> tuple[Read, dict[str, Tensor]]:
    """Do one update: what came of it, and the gradient."""
    updater = Updater(model, toy_recipe(*overrides), 10, place)
    (read,) = updater.read([updater.begin(batches, 0)])
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return read, whole(gradients, place)


LABELS = ((1, 1, 0, 1), (2, 0, 0, 1), (2, 0, 0, 0), (0, 1, 1, 1), (1, 0, 0, 0), (2, 1, 1, 1))
SHARES = (((1, 2), (1, 2)), ((2, 2), (1, 1)), ((3,), (3,)))
"""Utterances of each micro-batch of each of two devices."""


def shared_updates(place: Process, parallel: str = "replicate") -> list[dict[str, Tensor]]:
    """Gradients of one global batch, cut up in several ways among two devices; or, alone, whole."""
    gradients = []
    for shares in SHARES:
        first = len(shares[0])
        parts = cut(toy_batch(LABELS), [size for sizes in shares for size in sizes])
        mine = [toy_batch(LABELS)] if place.world == 1 else (parts[:first], parts[first:])[place.rank]
        gradients.append(one_update(TwoTerms().double(), mine, place, f"trainer.parallel={parallel}")[1])
    return gradients


def played(place: Process, parallel: str = "replicate") -> dict[str, Tensor]:
    """Weights of the two players after three updates of eight utterances, which two devices share."""
    torch.manual_seed(0)
    model = TinyGAN().double()
    updater = Updater(model, toy_recipe(f"trainer.parallel={parallel}"), 10, place)
    waveforms = torch.sin(torch.arange(4800) * torch.linspace(0.001, 0.01, 8)[:, None]).double()
    both = Batch(tuple("abcdefgh"), waveforms, torch.full((8,), 4800), torch.arange(8))
    mine = [both] if place.world == 1 else cut(both, (2, 2, 2, 2))[2 * place.rank : 2 * place.rank + 2]
    updater.read([updater.begin(mine, step) for step in range(3)])
    return whole(model.state_dict(), place)
