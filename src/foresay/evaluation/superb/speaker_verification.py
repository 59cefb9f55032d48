"""SUPERB speaker verification: are two utterances of one speaker, whom nobody learnt? (VoxCeleb1 and its trials)

An x-vector and softmax with an additive margin (AM-softmax, Wang et al., arXiv:1801.05599); the score of a trial is the cosine of two
embeddings. The other head has no TDNN. The trials lie beside the manifests, `valid-trials.txt` and `test-trials.txt`, with lines
`1 ID ID` (one speaker) and `0 ID ID` (two).

As published there is no validation set, and the checkpoint with the least error on the test is reported: so does the protocol `superb`.
The reference takes 8 s of each recording at random to learn from, without silences; here it is the whole one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.corpora.item import UNKNOWN
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.superb._task import PUBLISHED, HeadGroup, HeadStart, LabelledPart, SuperbProtocol, SuperbTask, protocols
from foresay.evaluation.superb.features import FeatureBatch, Features
from foresay.evaluation.superb.layer_sum import LayerSum
from foresay.evaluation.superb.scores import HeadScores, of_trials
from foresay.evaluation.superb.x_vector import TDNN, XVectorHead
from foresay.files import text_lines
from foresay.results import Metric
from foresay.statistics.verification import PRIORS

STATISTICS = "statistics"
SCALE, MARGIN = 30.0, 0.4
"""Of AM-softmax."""


class SpeakerVerification(SuperbTask):
    """Equal error rate of trials."""

    name = "speaker_verification"
    folder = "asv"
    decay = 0.01
    metrics: ClassVar[Mapping[str, Metric]] = {
        "EER": Metric("lower", "%", headline=True),
        **{f"minDCF({prior})": Metric("lower") for prior in PRIORS},
    }
    protocols: ClassVar[Mapping[str, SuperbProtocol]] = protocols(
        SuperbProtocol(
            "superb", updates=200_000, batch=50, size=512, hidden=1500, checks=10, heads=(PUBLISHED, STATISTICS), chosen_on="test"
        ),
        tiny={"updates": 300, "batch": 16, "size": 32, "hidden": 64, "frame": 0.03, "checks": 6, "rates": (3e-3, 1e-3), "single": False},
    )

    def classes(self, train: Manifest) -> tuple[str, ...]:
        """List the speakers to learn from."""
        found = tuple(sorted(set(train.speakers) - {UNKNOWN}))
        if len(found) < 2:  # noqa: PLR2004 - one differs from nobody
            msg = f'{train.name} has {len(found)} speakers, and {self.name} learns how they differ: its items need the key "speaker"'
            raise UserError(msg)
        return found

    def answers(self, manifest: Manifest, classes: Sequence[str]) -> Mapping[int, Any]:
        """Return the number of the speaker of each recording to learn from."""
        numbers = {name: number for number, name in enumerate(classes)}
        known = [numbers.get(name) for name in manifest.speakers]
        return {place: number for place, code in enumerate(manifest.speaker_codes) if (number := known[code]) is not None}

    def part(self, manifest: Manifest, features: Features, classes: Sequence[str], *, learnt: bool) -> LabelledPart:
        """Join recordings with their speakers; or, to be scored, with the second places of the trials whose first they are.

        Raises:
            UserError: there are no trials, or they do not fit the recordings.
        """
        if learnt:
            return super().part(manifest, features, classes, learnt=learnt)
        trials = read_trials(manifest)
        seconds: dict[int, list[int]] = {place: [] for trial in trials for place in trial}
        for first, second in trials:
            seconds[first].append(second)
        if short := [manifest.ids[place] for place in seconds if place not in features.counts]:
            msg = f"{_some(short)} of the trials of {manifest.name} are shorter than a frame. {FEWER}"
            raise UserError(msg)
        if known := {_speaker(manifest, place) for place in seconds} & set(classes):
            msg = f"{_some(sorted(known))} speak in {manifest.name} and in the corpus to learn from: verification is of speakers not learnt"
            raise UserError(msg)
        return LabelledPart(manifest, features, seconds)

    def head(self, kind: str, layers: int, size: int, classes: int, start: HeadStart, *, normed: bool) -> nn.Module:
        """Build an x-vector, or the same without a TDNN."""
        own, hidden = self.protocol.size, self.protocol.hidden
        frames, pooled = (TDNN(size, own, hidden), hidden) if kind == PUBLISHED else (nn.Linear(size, own), own)
        return XVectorHead(LayerSum(layers, start.only), frames, (pooled, own), classes, normed=normed)

    def loss(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[Any], classes: Sequence[str]) -> Tensor:  # noqa: ARG002
        """AM-softmax of cosines with speakers: (G, B, C) -> (G,)."""
        heads, count, speakers = outputs.shape
        right = torch.tensor(answers, device=outputs.device)
        margins = MARGIN * F.one_hot(right, speakers)
        losses = F.cross_entropy(SCALE * (outputs - margins).flatten(0, 1), right.repeat(heads), reduction="none")
        return losses.view(heads, count).mean(1)

    def scores(self, group: HeadGroup, part: LabelledPart, classes: Sequence[str], *, kept: bool) -> dict[str, HeadScores]:  # noqa: ARG002
        """Compare the embeddings of each trial by their cosine. What is not finite counts 0, as if they were at right angles."""
        places, embedded = [], []
        for some, _, outputs in self.judged(group, part, kept=kept):
            places += some
            embedded.append(F.normalize(outputs, dim=-1))
        rows = {place: row for row, place in enumerate(places)}
        trials = [(first, second) for first, seconds in part.answers.items() for second in seconds]
        one, other = torch.tensor([[rows[place] for place in trial] for trial in trials]).T
        cosines = torch.stack([(vectors[one] * vectors[other]).sum(-1) for vectors in torch.cat(embedded, 1)]).nan_to_num(0.0)
        speakers = [[_speaker(part.manifest, place) for place in trial] for trial in trials]
        return of_trials(cosines.cpu().double().numpy(), np.array(speakers))


FEWER = "An error rate of fewer trials cannot be compared: give all recordings, or a list without these trials"


def read_trials(manifest: Manifest) -> list[tuple[int, int]]:
    """Read the trials beside a manifest: the places of two recordings each.

    Raises:
        UserError: there are none, or a line is no trial, names what the manifest lacks, or contradicts its speakers.
    """
    path = manifest.path.with_name(f"{manifest.path.stem}-trials.txt")
    if not path.is_file():
        msg = f"{path} is missing: verification needs lines `1 ID ID` of one speaker and `0 ID ID` of two, IDs of items of {manifest.name}"
        raise UserError(msg)
    lines = [(number, line.split()) for number, line in enumerate(text_lines(path), 1) if line.strip()]
    for number, parts in lines:
        if len(parts) != 3 or parts[0] not in {"0", "1"}:  # noqa: PLR2004 - a mark and two items
            msg = f"{path}, line {number}: {' '.join(parts)[:80]!r} is no trial. It is `1 ID ID` (one speaker) or `0 ID ID` (two)"
            raise UserError(msg)
    places = {name: place for place, name in enumerate(manifest.ids)}
    if unknown := list(dict.fromkeys(name for _, (_, *both) in lines for name in both if name not in places)):
        msg = f"{path} names {_some(unknown)}, which {manifest.name} lacks, or which cannot be read. {FEWER}"
        raise UserError(msg)
    trials = [(places[one], places[other]) for _, (_, one, other) in lines]
    for (number, (mark, *both)), trial in zip(lines, trials, strict=True):
        one, other = (_speaker(manifest, place) for place in trial)
        if UNKNOWN in {one, other} or (one == other) != (mark == "1"):
            msg = (
                f"{path}, line {number}: {mark} {' '.join(both)} does not fit the speakers in {manifest.name}, {one} and {other}. "
                "1 is one speaker, 0 is two, and each item must say who speaks: are the list and the manifest of one corpus?"
            )
            raise UserError(msg)
    if len(marks := {mark for _, (mark, *_) in lines}) < 2:  # noqa: PLR2004 - both kinds
        kind = "one speaker" if "1" in marks else "two speakers"
        msg = f"{path} has {len(lines)} trials, all of {kind}, and errors are of both kinds: was it cut?"
        raise UserError(msg)
    return trials


def _speaker(manifest: Manifest, place: int) -> str:
    return manifest.speakers[manifest.speaker_codes[place]]


def _some(names: Sequence[str]) -> str:
    """Name the first of some things."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")  # noqa: PLR2004
