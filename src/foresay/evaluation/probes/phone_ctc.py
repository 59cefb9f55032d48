"""Phone recognition by a linear layer and CTC: can the sequence of phones be read off, when nobody says where each one is?

    every recording -> model (eval mode) -> layer (T, D), standardized -> linear (T, C + 1) -> CTC loss against its phones in order
    test            -> likeliest class of each frame -> merged, blanks dropped -> edit distance to the phones

Rivière et al. (arXiv:2002.02848, section 3) rate CPC on Common Voice so: phone error rate = edits / phones of the reference. The phones
are those of the manifest, repetitions merged, silence included if it is labelled. Decoding is greedy: with no language model a
beam finds next to nothing more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from time import perf_counter
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from foresay import draws
from foresay.corpora.manifest import Item, Manifest
from foresay.corpora.phones import checked_phones
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.progress import ProgressBar
from foresay.results import Metric, Result
from foresay.settings import require_positive
from foresay.statistics.edit_distance import edit_distance
from foresay.statistics.intervals import bootstrap


@dataclass(frozen=True)
class CTCProtocol:
    """How the layer learns."""

    name: str
    learning_rate: float = 2e-3
    batch: int = 8
    """Recordings an update."""
    epochs: int = 200
    held_out: float = 0.1
    """Share of the training recordings that only decide when to stop."""
    patience: int = 5
    """Epochs without gain on them before training stops."""

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate", "batch", "epochs", "held_out", "patience")
        if self.held_out >= 1:
            msg = f"held_out is a share of the recordings, below 1, not {self.held_out}"
            raise ValueError(msg)


class Utterance(NamedTuple):
    """A recording to learn from or to test on."""

    features: Tensor
    """(T, D)."""
    phones: Tensor
    """(P,) from 1; 0 is the blank."""
    name: str = ""
    """The recording's id."""


class PhoneCTC(Measure[CTCProtocol]):
    """Phone error rate of a linear CTC probe on every layer."""

    name = "phone_ctc"
    protocols: ClassVar[Mapping[str, CTCProtocol]] = {"converged": CTCProtocol("converged")}
    metrics: ClassVar[Mapping[str, Metric]] = {"phone error rate": Metric("lower", "%", headline=True)}

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Train on `corpora.train`, test on `corpora.test`.

        Raises:
            UserError: a corpus is missing or has no phones.
        """
        train, test, classes = _phones(corpora)
        results = []
        for subject in with_untrained(subjects):
            started = perf_counter()
            learnt, tested = (_encode(subject, manifest, classes, device) for manifest in (train, test))
            for layer in subject.layers:
                probe, epochs = fit_ctc(learnt[layer], len(classes), self.protocol, seed=seed, title=f"{subject.name}, {layer}")
                for split, corpus, part in (("train", train, learnt[layer]), ("test", test, tested[layer])):
                    errors = [edit_distance(one.phones.tolist(), probe.decode(one.features)) for one in part]
                    phones = [len(one.phones) for one in part]
                    rate, interval = sum(errors) / sum(phones), bootstrap(errors, phones, seed=seed)
                    about = {"classes": len(classes), "phones": sum(phones), "epochs": epochs, "trained_on": train.name}
                    where = Where(split, corpus, seed, started)
                    over = Population("utterances", [one.name for one in part])
                    results.append(self.row(subject, layer, "phone error rate", rate, interval, where._replace(over=over), **about))
        return results


class CTCProbe(nn.Module):
    """A linear layer over standardized frames; class 0 is the blank."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.linear = nn.Linear(len(mean), classes + 1).to(mean)

    def forward(self, features: Tensor) -> Tensor:
        """(…, T, D) -> log-probabilities (…, T, C + 1)."""
        return self.linear((features - self.mean) / self.scale).log_softmax(dim=-1)

    @torch.no_grad()
    def decode(self, features: Tensor) -> list[int]:
        """The likeliest class of each frame of (T, D), merged, without blanks."""
        return [label for label, _ in groupby(self(features).argmax(dim=-1).tolist()) if label]


def fit_ctc(utterances: Sequence[Utterance], classes: int, protocol: CTCProtocol, *, seed: int, title: str) -> tuple[CTCProbe, int]:
    """Train until the held-out recordings gain nothing; return the best probe and the epochs it took.

    Recordings with fewer frames than their phones need cannot be learnt from and are left out.
    """
    random = draws.stream("CTC", seed)
    order = random.permutation(len(utterances))
    held_out = max(1, round(protocol.held_out * len(order)))
    stop, learn = ([utterances[i] for i in part] for part in (order[:held_out], order[held_out:]))
    if not learn:
        msg = "the CTC probe needs at least two labelled recordings to learn from: one of them says when to stop"
        raise UserError(msg)
    frames = torch.cat([one.features for one in learn])
    with draws.torch_seeded("CTC, initially", seed):
        probe = CTCProbe(frames.mean(dim=0), frames.std(dim=0).clamp(min=1e-5), classes)
    optimizer = torch.optim.Adam(probe.parameters(), protocol.learning_rate)
    best, kept, since, done = np.inf, probe.state_dict(), 0, 0
    for epoch in ProgressBar(range(protocol.epochs), f"CTC probe, {title}", "epoch"):
        for part in np.array_split(random.permutation(len(learn)), max(1, len(learn) // protocol.batch)):
            optimizer.zero_grad()
            cast("Any", _loss(probe, [learn[i] for i in part])).backward()
            optimizer.step()
        with torch.no_grad():
            loss = float(_loss(probe, stop))
        since = 0 if loss < best else since + 1
        if since == 0:
            best, done, kept = loss, epoch + 1, {name: value.clone() for name, value in probe.state_dict().items()}
        if since == protocol.patience:
            break
    probe.load_state_dict(kept)
    return probe, done


def _loss(probe: CTCProbe, utterances: Sequence[Utterance]) -> Tensor:
    """CTC loss, a mean over phones and then over recordings."""
    scores = probe(pad_sequence([one.features for one in utterances], batch_first=True)).transpose(0, 1)
    frames, phones = (torch.tensor([len(one[part]) for one in utterances]) for part in (0, 1))
    return F.ctc_loss(scores, torch.cat([one.phones for one in utterances]), frames, phones, zero_infinity=True)


def _encode(subject: Subject, manifest: Manifest, classes: Mapping[str, int], device: str) -> dict[str, list[Utterance]]:
    """Layer -> recordings that have phones and at least one frame. Phones that were not trained on are one class, which is never named."""
    encoded: dict[str, list[Utterance]] = {layer: [] for layer in subject.layers}
    for recording in encode_recordings(subject, manifest, device):
        phones = torch.tensor([classes.get(label, len(classes)) + 1 for label in _sequence(recording.item)])
        for layer, features in recording.features.items():
            if len(phones) and len(features):
                encoded[layer].append(Utterance(features, phones, recording.item.id))
    return encoded


def _sequence(item: Item) -> list[str]:
    """Phones of a recording in order, repetitions merged."""
    return [label for label, _ in groupby(interval.label for interval in item.phones or ())]


def _phones(corpora: Corpora) -> tuple[Manifest, Manifest, dict[str, int]]:
    train, test = corpora.both("the CTC probe")
    labels = {manifest: checked_phones(manifest) for manifest in (train, test)}
    for manifest, phones in labels.items():
        if not phones:
            msg = f"{manifest.name} has no phones: import it with phones, or align its text (`foresay corpus align`)"
            raise UserError(msg)
    return train, test, {label: number for number, label in enumerate(labels[train])}
