"""SUPERB diarization: who of two speaks when? (Libri2Mix)

An LSTM over frames, and a logit for each speaker and frame, learnt with permutation-invariant loss; the other head is linear in each frame.
The answer is the `turns` of an item. Frames become turns by a threshold and a median filter. The error rate is that of time, without a
collar, overlaps counted (`statistics/diarization_error.py`).

The reference tries five thresholds and two filters on the test and reports the best: so does the protocol `superb`; `clean` tries them on
valid. There, recordings are cut every 2,000 frames; here they are whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from foresay.corpora.item import Interval
from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.evaluation.superb._task import PUBLISHED, HeadGroup, HeadStart, LabelledPart, SuperbProtocol, SuperbTask, protocols
from foresay.evaluation.superb.features import CorpusFeatures, FeatureBatch, Features
from foresay.evaluation.superb.heads import FrameHead, summed
from foresay.evaluation.superb.layer_sum import LayerSum
from foresay.evaluation.superb.scores import Counted, Floats, HeadScores, joined
from foresay.layers.recurrence import recur
from foresay.objectives.permutation_invariant import permutation_invariant_loss
from foresay.results import Metric
from foresay.statistics.diarization_error import MEDIANS, THRESHOLDS, active_speakers, errors_of_turns, turns_of_frames

LINEAR = "linear"
RATE, MISSED, FALSE_ALARM, CONFUSED = "diarization error rate", "share missed", "share made up", "share confused"


class Decision(NamedTuple):
    """How probabilities become turns."""

    threshold: float
    median: int
    """Frames of the filter."""


PLAIN = Decision(0.5, 1)
"""While heads learn."""
DECISIONS = tuple(Decision(threshold, median) for median in MEDIANS for threshold in THRESHOLDS)


class TimedTurns(NamedTuple):
    """What a recording is scored by."""

    turns: tuple[Interval, ...]
    start: float
    """Seconds, where its first frame begins."""
    seconds: float
    """Of a frame."""

    def errors(self, posteriors: Floats, decision: Decision) -> tuple[float, ...]:
        """Decide who speaks in each frame (T, S): seconds of errors, missed, made up, confused, and of speech."""
        frames = active_speakers(posteriors, threshold=decision.threshold, median=decision.median)
        turns = [(self.start + begin, self.start + end, speaker) for begin, end, speaker in turns_of_frames(frames, self.seconds)]
        found = errors_of_turns(self.turns, turns, collar=0.0, overlaps=True)
        return found.errors, *found


class Diarization(SuperbTask):
    """Diarization error rate. The classes are the outputs, `1`, `2`, as many as a recording to learn from has speakers."""

    name = "diarization"
    folder = "sd"
    alone = frozenset({PUBLISHED})
    metrics: ClassVar[Mapping[str, Metric]] = {
        RATE: Metric("lower", "%", headline=True),
        **dict.fromkeys((MISSED, FALSE_ALARM, CONFUSED), Metric("lower", "%")),
    }
    protocols: ClassVar[Mapping[str, SuperbProtocol]] = protocols(
        SuperbProtocol("superb", updates=30_000, batch=32, hidden=512, heads=(PUBLISHED, LINEAR), decided_on="test"),
        tiny={"updates": 150, "batch": 8, "size": 32, "hidden": 32, "frame": 0.03, "checks": 5, "rates": (1e-1, 1e-2, 1e-3)},
    )

    def classes(self, train: Manifest) -> tuple[str, ...]:
        """Count the speakers of a recording, the most there are."""
        most = max((len(_speakers(turns)) for turns in self.answers(train, ()).values()), default=0)
        if not most:
            msg = f"nobody speaks in the turns of {train.name}: {self.name} learns who speaks when"
            raise UserError(msg)
        return tuple(str(number) for number in range(1, most + 1))

    def answers(self, manifest: Manifest, classes: Sequence[str]) -> Mapping[int, tuple[Interval, ...]]:  # noqa: ARG002
        """Return the turns of each recording."""
        turns = {place: item.turns for place, item in enumerate(manifest) if item.turns is not None}
        if lacking := [name for place, name in enumerate(manifest.ids) if place not in turns]:
            msg = (
                f'{len(lacking)} of {len(manifest)} items of {manifest.name} lack the key "turns", {lacking[0]} the first: '
                "[[start, end, speaker], …] in seconds, or [] where nobody speaks. Is it a manifest for another task?"
            )
            raise UserError(msg)
        return turns

    def part(self, manifest: Manifest, features: Features, classes: Sequence[str], *, learnt: bool) -> LabelledPart:
        """Join recordings with who speaks in each frame, or, to be scored, with their turns and the times of frames."""
        frames, turns = cast(CorpusFeatures, features), self.answers(manifest, classes)
        answers: Mapping[int, Any] = {
            place: frames_of(turns[place], frames.start + frames.seconds * np.arange(0.5, count), len(classes))
            if learnt
            else TimedTurns(turns[place], frames.start, frames.seconds)
            for place, count in frames.counts.items()
        }
        return LabelledPart(manifest, features, answers)

    def head(self, kind: str, layers: int, size: int, classes: int, start: HeadStart, *, normed: bool) -> nn.Module:
        """Build an LSTM, or linear layers."""
        added = LayerSum(layers, start.only)
        if kind == PUBLISHED:
            return ForwardHead(added, (size, self.protocol.hidden, classes), normed=normed)
        return FrameHead(added, (size, self.protocol.size, classes), normed=normed)

    def loss(self, outputs: Tensor, given: FeatureBatch, answers: Sequence[Tensor], classes: Sequence[str]) -> Tensor:  # noqa: ARG002
        """Permutation-invariant binary cross-entropy of a frame: (G, B, T, S) -> (G,)."""
        targets = pad_sequence(list(answers), batch_first=True).to(outputs.device)
        sums = permutation_invariant_loss(outputs, targets, given.lengths.to(outputs.device)).sums
        return sums.sum(-1) / given.lengths.sum()

    def scores(self, group: HeadGroup, part: LabelledPart, classes: Sequence[str], *, kept: bool) -> dict[str, HeadScores]:  # noqa: ARG002
        """Score turns, by the plain decision or by the one that was made for each head."""
        decisions = [Decision(**one) for one in group.decided] if kept else [PLAIN] * len(group.heads)
        return self._scored(group, part, [decisions], kept=kept)[0]

    def decide(self, group: HeadGroup, part: LabelledPart, classes: Sequence[str]) -> None:  # noqa: ARG002
        """Decide on a threshold and a filter for each head."""
        found = self._scored(group, part, [[one] * len(group.heads) for one in DECISIONS], kept=True)
        best = np.stack([scores[RATE].values for scores in found]).argmin(0)
        group.decided = [DECISIONS[place]._asdict() for place in best]

    def _scored(
        self, group: HeadGroup, part: LabelledPart, ways: Sequence[Sequence[Decision]], *, kept: bool
    ) -> list[dict[str, HeadScores]]:
        """Score all heads in several ways, each a decision a head."""
        counted: list[list[Counted]] = [[] for _ in ways]
        places = []
        for some, given, outputs in self.judged(group, part, kept=kept):
            places += some
            posteriors = [[rows[:count] for rows, count in zip(head, given.lengths.tolist(), strict=True)] for head in _numbers(outputs)]
            for batches, decisions in zip(counted, ways, strict=True):
                batches.append(_counted([part.answers[place] for place in some], posteriors, decisions))
        return [joined(batches, part.manifest, places) for batches in counted]


class ForwardHead(nn.Module):
    """Scores each frame: LSTM, linear. Not computed in one call for all heads."""

    def __init__(self, added: LayerSum, sizes: tuple[int, int, int], *, normed: bool) -> None:
        """`sizes`: D, units of the LSTM, classes C."""
        super().__init__()
        size, hidden, classes = sizes
        self.sum, self.normed = added, normed
        self.lstm, self.output = nn.LSTM(size, hidden, batch_first=True), nn.Linear(hidden, classes)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002 - what follows an utterance changes nothing in it
        """(B, T, L, D) -> scores (B, T, C)."""
        scores: Tensor = self.output(recur(self.lstm, summed(self.sum, frames, normed=self.normed))[0])
        return scores


def frames_of(turns: Sequence[Interval], centers: Floats, outputs: int) -> Tensor:
    """Say who speaks at these times (T,): (T, outputs), the speakers of a recording in the order of their names, then nobody."""
    speaking = np.zeros((len(centers), outputs), dtype=np.float32)
    columns = {speaker: column for column, speaker in enumerate(_speakers(turns))}
    for start, end, speaker in turns:
        speaking[(start <= centers) & (centers < end), columns[speaker]] = 1.0
    return torch.from_numpy(speaking)


def _speakers(turns: Sequence[Interval]) -> list[str]:
    return sorted({turn.label for turn in turns})


def _numbers(outputs: Tensor) -> Floats:
    numbers: Floats = outputs.sigmoid().cpu().double().numpy()
    return numbers


def _counted(answers: Sequence[TimedTurns], posteriors: Sequence[Sequence[Floats]], decisions: Sequence[Decision]) -> Counted:
    """Count the seconds of a batch, by the decision of each head."""
    seconds = np.array(
        [
            [answer.errors(rows, decision) for answer, rows in zip(answers, head, strict=True)]
            for head, decision in zip(posteriors, decisions, strict=True)
        ]
    )  # (G, B, 5)
    return {metric: (seconds[..., place], seconds[..., -1]) for place, metric in enumerate((RATE, MISSED, FALSE_ALARM, CONFUSED))}
