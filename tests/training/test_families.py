"""Every family of models learns in two processes what it learns in one: dropped blocks, masked frames, groups, quantizers that never learn.

`test_devices.py` does the same for CPC and ACPC and all their samplers. All in double precision.
"""

from typing import NamedTuple

import pytest
import torch

from reference.two_processes import Job, Measured, alone, together, write_corpus

TOLERANCE = 1e-6
UTTERANCES = ("data.seconds=8.0", "data.longest=1.0", "data.shortest=0.5", "optimizer.warmup=0.0", "trainer.steps=9")
NARROW = ("model.size=32", "model.inner=64", "model.layers=4", "model.heads=2")
WINDOWS = ("data.batch=8", "data.window=9600", "model.channels=32", "optimizer.warmup=2", "trainer.steps=9")
JOBS = (
    Job("wav2vec-tiny", ("model.norm_groups=32",), small=WINDOWS),
    Job("vq-wav2vec-tiny", ("model.norm_groups=32", "model.negative_group=2"), small=WINDOWS),
    Job("wav2vec2-tiny", ("model.group=2", "model.layer_drop=0.4", "model.feature_penalty=10.0"), small=(*UTTERANCES, *NARROW)),
    Job("hubert-tiny", ("model.layer_drop=0.4",), small=(*UTTERANCES, *NARROW)),
    Job("wavlm-tiny", ("model.layer_drop=0.4", "data.mix=0.5"), small=(*UTTERANCES, *NARROW)),
    Job("best-rq-tiny", ("model.layer_drop=0.4", "model.codebooks=2", "model.codes=16"), small=(*UTTERANCES, *NARROW)),
    Job("w2v-bert-tiny", ("model.group=2", "model.layer_drop=0.4"), small=(*UTTERANCES, *NARROW)),
    Job(
        "acpc-bidirectional",
        ("model.dropout=0.0", "model.context_size=32", "model.context_layers=1", "model.negative_group=2", "model.negative_count=16"),
        small=WINDOWS,
    ),
)
SHARDED = tuple(Job(job.recipe, (*job.overrides, "trainer.parallel=shard"), small=job.small) for job in JOBS)


class Done(NamedTuple):
    one: dict[str, Measured]
    two: dict[Job, Measured]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Do everything at once: to start two processes takes longer than all that they do."""
    folder, runs, meeting = (tmp_path_factory.mktemp(name) for name in ("corpus", "runs", "meeting"))
    corpus = write_corpus(folder)
    jobs = (*JOBS, *SHARDED)
    one = alone(JOBS, corpus, runs)
    two = together(jobs, corpus, runs, meeting)
    return Done({job.recipe: measured for job, measured in zip(JOBS, one, strict=True)}, dict(zip(jobs, two, strict=True)))


@pytest.mark.slow
@pytest.mark.parametrize("job", [pytest.param(job, id=" ".join([job.recipe, *job.overrides[-1:]])) for job in (*JOBS, *SHARDED)])
def test_two_processes_learn_what_one_does(done: Done, job: Job) -> None:
    expected, found = done.one[job.recipe], done.two[job]
    # A negative may have the code of the target: which of two equal scores is larger, rounding says.
    tolerances = {"loss": TOLERANCE, "grad_norm": TOLERANCE, "accuracy": 1e-3 if job.recipe == "vq-wav2vec-tiny" else TOLERANCE}
    for name, tolerance in tolerances.items():
        assert [scalars[name] for scalars in found.scalars] == pytest.approx([s[name] for s in expected.scalars], abs=tolerance), name
    assert len(expected.scalars) == 3
    for mine, theirs in ((found.gradient, expected.gradient), (found.weights, expected.weights)):
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            torch.testing.assert_close(mine[name], value, atol=TOLERANCE, rtol=0, msg=name)
