"""The phone probe on a language whose answers are known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foresay.contracts import Frames
from foresay.corpora.manifest import Manifest
from foresay.corpora.plans.windows import BatchPlan, DataSettings
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora
from foresay.evaluation.probes.linear_probe import CONVERGED, PAPER, ProbeProtocol
from foresay.evaluation.probes.probe import GAIN, MAJORITY, Probe
from foresay.results import Result
from reference.levels import PHONES, RATE, Levels, trained, write_corpus

QUICK_PAPER = replace(PAPER, learning_rate=0.05, window=0.5)
"""The paper's, with a rate that learns a few seconds of audio in ten epochs."""
QUICK = replace(CONVERGED, learning_rate=0.05, epochs=40)
"""The same for the other; what is perfectly separable never stops to gain."""


@pytest.fixture
def corpora(tmp_path: Path) -> Corpora:
    return Corpora(test=write_corpus(tmp_path / "test.jsonl", 6, seed=2), train=write_corpus(tmp_path / "train.jsonl", 12, seed=1))


def levels(layers: Sequence[str] = ("level", "nothing"), step: int = 500) -> Subject:
    model = trained()
    copy = Levels(model.settings).eval()
    return Subject("levels", model, tuple(layers), step, Subject("levels (untrained)", copy, tuple(layers)))


def find(results: Sequence[Result], model: str, layer: str, split: str = "test", metric: str = "accuracy") -> Result:
    (found,) = [r for r in results if (r.model, r.layer, r.split, r.metric) == (model, layer, split, metric)]
    return found


PROTOCOLS = (QUICK_PAPER, QUICK, replace(QUICK_PAPER, joined=False, batch=2), replace(QUICK, window=30.0))


@pytest.fixture(params=PROTOCOLS)
def rated(request: pytest.FixtureRequest, corpora: Corpora) -> tuple[ProbeProtocol, list[Result]]:
    return request.param, Probe(request.param)([levels()], corpora)


def test_what_features_encode_is_found_and_the_rest_is_guessed(corpora: Corpora, rated: tuple[ProbeProtocol, list[Result]]) -> None:
    protocol, results = rated
    assert len(results) == 2 * 2 * 2 + 2 + 2  # (trained and not) x layers x splits, gains, majority class

    found = find(results, "levels", "level")
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    assert found.details["frames"] == sum(int(d * RATE) // 160 for d in corpora.test.durations)
    assert (found.corpus, found.step, found.protocol, found.details["classes"]) == (corpora.test.name, 500, protocol.name, 4)
    assert found.details["trained_on"] == corpora.train.name

    guessed = find(results, MAJORITY, "none")
    assert abs(find(results, "levels", "nothing").value - guessed.value) < 0.005  # all frames get the class that is most frequent
    assert abs(find(results, "levels (untrained)", "level").value - guessed.value) < 0.005
    assert find(results, "levels (untrained)", "level").step is None

    gained, none = (find(results, "levels", layer, metric=GAIN) for layer in ("level", "nothing"))
    assert gained.value == found.value - find(results, "levels (untrained)", "level").value
    assert gained.low is not None
    assert 0 < gained.low <= gained.value <= gained.high
    assert (none.value, none.low, none.high) == (0.0, 0.0, 0.0)


def test_accuracy_in_training_is_that_of_the_last_epoch_in_the_papers_protocol(corpora: Corpora) -> None:
    results = Probe(replace(QUICK_PAPER, epochs=3))([levels(["level"])], corpora)
    learnt = find(results, "levels", "level", split="train")
    plan = BatchPlan(corpora.train, DataSettings(window=8000, sampler="uniform", batch=8), seed=0)
    assert learnt.details["updates"] == sum(plan.steps(epoch) for epoch in range(3))
    assert learnt.details["frames"] == plan.steps(2) * 8 * 50
    assert learnt.corpus == corpora.train.name


def test_company_and_order_change_no_number(corpora: Corpora) -> None:
    probe = Probe(replace(PAPER, window=0.5, epochs=2))
    together = probe([levels()], corpora)
    alone = probe([levels(["nothing"])], corpora)
    for split in ("train", "test"):
        for model in ("levels", "levels (untrained)", MAJORITY):
            layer = "none" if model == MAJORITY else "nothing"
            first, second = (find(results, model, layer, split) for results in (together, alone))
            assert replace(first, seconds=0) == replace(second, seconds=0)


def test_a_seed_decides_everything(corpora: Corpora) -> None:
    probe = Probe(replace(PAPER, window=0.5, epochs=1))
    first, same, other = (find(probe([levels(["level"])], corpora, seed=seed), "levels", "level") for seed in (0, 0, 2))
    assert first.value == same.value
    assert first.value != other.value


def test_models_of_different_rates_are_measured_side_by_side(corpora: Corpora) -> None:
    class Slow(Levels):
        sample_rate = 8000
        first_center = 39

        def features(self, waveforms: torch.Tensor, lengths: torch.Tensor, layers: Sequence[str] | None = None) -> Frames:
            frames = super().features(waveforms, lengths, layers)
            return Frames(frames.values, frames.lengths, dict.fromkeys(frames.values, 50.0))

    slow = Slow(trained().settings)
    slow.load_state_dict(trained().state_dict())
    results = Probe(QUICK)([Subject("slow", slow.eval(), ("level",)), levels(["level"])], corpora)
    assert find(results, "levels", "level").value == 1.0
    assert find(results, "slow", "level").value > 0.95  # resampling blurs the edges of phones
    assert find(results, "slow", "level").details["frames"] == sum(int(n) // 160 for n in corpora.test.lengths(8000))


def test_phones_that_training_never_showed_are_errors_and_are_reported(tmp_path: Path) -> None:
    train = write_corpus(tmp_path / "train.jsonl", 12, seed=1)
    test = write_corpus(tmp_path / "test.jsonl", 6, seed=2, phones=(*PHONES, "q"))
    found = find(Probe(QUICK)([levels(["level"])], Corpora(test, train)), "levels", "level")
    unseen = sum(phone.end - phone.start for item in test for phone in item.phones or () if phone.label == "q")
    assert found.details["unseen_phones"] == ["q"]
    assert abs(1.0 - found.value - unseen / test.durations.sum()) < 0.01


def test_without_phones_it_says_what_is_missing(tmp_path: Path) -> None:
    silent = write_corpus(tmp_path / "bare.jsonl", 2, labelled=False)
    train = write_corpus(tmp_path / "train.jsonl", 12)
    for corpora in (Corpora(silent, train), Corpora(train, silent)):
        with pytest.raises(UserError, match=r"bare has no phone times: no item of it has `phones`.*--phones"):
            Probe(PAPER)([levels()], corpora)


def test_a_corpus_to_learn_on_is_needed_and_is_another(tmp_path: Path) -> None:
    test = write_corpus(tmp_path / "test.jsonl", 2)
    with pytest.raises(UserError, match="--train-corpus"):
        Probe(PAPER)([levels()], Corpora(test))
    with pytest.raises(UserError, match="given for training and for testing"):
        Probe(PAPER)([levels()], Corpora(test, Manifest.open(test.path)))


def test_two_phone_sets_are_not_compared(tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("timit39", "timit61")}
    for name, path in paths.items():
        write_corpus(path, 2)
        path.write_text(f'{{"foresay": 1, "phone_set": "{name}"}}\n{path.read_text()}')
    with pytest.raises(UserError, match="labelled with the phones of timit39, .* with those of timit61"):
        Probe(PAPER)([levels()], Corpora(Manifest.open(paths["timit61"]), Manifest.open(paths["timit39"])))


def test_too_little_to_learn_from_is_reported(tmp_path: Path) -> None:
    corpora = Corpora(write_corpus(tmp_path / "test.jsonl", 2), write_corpus(tmp_path / "train.jsonl", 3, seed=1))
    with pytest.raises(UserError, match=r"train has .* s of audio, too little for the probe `paper`, .* 8 windows of 1.28 s"):
        Probe(PAPER)([levels()], corpora)
    assert find(Probe(QUICK)([levels()], corpora), "levels", "level").value > 0.9


def test_phones_between_all_frames_are_reported(tmp_path: Path) -> None:
    train = write_corpus(tmp_path / "train.jsonl", 12)
    test = write_corpus(tmp_path / "test.jsonl", 2)
    text = test.path.read_text().replace('"phones": [[0.0, ', '"phones": [[0.0, 0.001, "a"]], "was": [[0.0, ')
    test.path.write_text(text)
    with pytest.raises(UserError, match="no frame of .*test of levels, layer level, has a phone"):
        Probe(QUICK)([levels()], Corpora(Manifest.open(test.path), train))
