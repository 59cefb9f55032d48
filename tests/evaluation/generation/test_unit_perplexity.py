"""Perplexity of units: bits are those of the probabilities, per unit and per second, beside n-grams of the training units."""

import math
from pathlib import Path

import pytest
import torch

from foresay.contracts import TokenModel
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.generation.unit_perplexity import UnitPerplexity, bits_of
from foresay.evaluation.measure import Corpora, find_measure
from foresay.loading import load
from foresay.models.generation.ngram import NGram, NGramSettings
from foresay.results import Result
from foresay.text.perplexity import perplexity
from reference.toy_token_model import HOP, LASTS, toy_model, write_units

TRAIN = {"a": "0 1 2 1 0 3", "b": "0 1 2 3 2 1", "c": "4 1 2 1 2 5", "d": "0 3 2 1 0 1", "e": "2 1 0 6"}
TEST = {"u": "0 1 2 1", "v": "0 3 2 1 2 1 0", "w": "4 1 0", "x": "2 1 2 3 7", "y": "1 2 1 2"}


def measured(folder: Path, test: dict[str, str] = TEST) -> dict[tuple[str, str], Result]:
    corpora = Corpora(write_units(folder, test, "test"), write_units(folder, TRAIN, "train"))
    subject = Subject("toy", toy_model(*TRAIN.values()), ("level",))
    return {(row.layer, row.metric): row for row in find_measure("unit_perplexity")([subject], corpora, seed=3)}


def test_bits_are_those_of_ngrams_of_the_training_units(tmp_path: Path) -> None:
    """By `text/perplexity.py` on the texts, which knows nothing of recordings; the toy is a bigram itself."""
    found = measured(tmp_path)
    units, seconds = (
        sum(len(text.split()) for text in TEST.values()),
        sum(len(text.split()) for text in TEST.values()) * LASTS * HOP / 16_000,
    )
    for name, order in (("unigram", 1), ("bigram", 2), ("trigram", 3), ("language model", 2)):
        model = NGram(NGramSettings(order)).eval()
        model.learn(TRAIN.values())
        known = perplexity(model, [text.split() for text in TEST.values()], 0)
        bits = (known.nats + known.nats_unknown) / math.log(2)
        assert found[name, "bits per unit"].value == pytest.approx(bits / units, rel=1e-6)
        assert found[name, "bits per second"].value == pytest.approx(bits / seconds, rel=1e-6)
        assert found[name, "perplexity"].value == pytest.approx(known.of(ends=False, unknown=True), rel=1e-6)
        low, high = found[name, "bits per unit"].low, found[name, "bits per unit"].high
        assert low is not None
        assert high is not None
        assert low < bits / units < high
        assert low * units / seconds == pytest.approx(found[name, "bits per second"].low, rel=1e-6)  # all last equally long
    assert found["language model", "bits per unit below bigram"].value == pytest.approx(0, abs=1e-6)
    assert {row.layer for row in found.values() if not row.details.get("control")} == {"language model"}
    details = found["unigram", "bits per unit"].details
    assert (details["units"], details["trained_units"]) == (units, sum(len(text.split()) for text in TRAIN.values()))
    assert details["seconds"] == pytest.approx(seconds, abs=0.005)


def test_what_is_saved_is_the_difference_of_both(tmp_path: Path) -> None:
    corpora = Corpora(write_units(tmp_path, TEST, "test"), write_units(tmp_path, TRAIN, "train"))
    rows = find_measure("unit_perplexity")([Subject("toy", toy_model(*TEST.values()), ("level",))], corpora)
    found = {(row.layer, row.metric): row for row in rows}
    bigram, model = (found[name, "bits per unit"].value for name in ("bigram", "language model"))
    saved = found["language model", "bits per unit below bigram"]
    assert saved.value == pytest.approx(bigram - model)
    assert saved.value > 0.1  # it has learnt from what is tested
    assert saved.low is not None
    assert saved.low > 0
    assert saved.direction == "higher"
    assert {found["bigram", metric].direction for metric in ("bits per unit", "perplexity")} == {"none"}  # of other units, other numbers
    assert found["bigram", "bits per second"].direction == "lower"


def test_counts_of_another_corpus_than_the_model_learnt_from_are_said(tmp_path: Path) -> None:
    corpora = Corpora(write_units(tmp_path, TEST, "test"), write_units(tmp_path, TRAIN, "train"))
    assert corpora.train is not None
    for digests, said in ((frozenset[str](), False), (frozenset({corpora.train.digest}), False), (frozenset({"another"}), True)):
        subject = Subject("toy", toy_model(*TRAIN.values()), ("level",), trained_on=digests)
        found = {(row.layer, row.metric): row.details for row in find_measure("unit_perplexity")([subject], corpora)}
        note = found["language model", "bits per unit below bigram"].get("note", "")
        assert ("toy was trained on another corpus than" in note) is said
    remembered = Subject("toy", toy_model(*TRAIN.values()), ("level",), trained_on=frozenset({corpora.train.digest, corpora.test.digest}))
    notes = [row.details["note"] for row in find_measure("unit_perplexity")([remembered], corpora) if "note" in row.details]
    assert notes == [f"toy was trained on {corpora.test.name}, on which it is tested: this is what it remembers."]
    learnt = {of for of, details in found.items() if details.get("trained_on") == corpora.train.name}
    assert learnt == {of for of in found if of[0] != "language model"} | {("language model", "bits per unit below bigram")}


def test_recordings_that_are_too_short_for_a_unit_are_counted(tmp_path: Path) -> None:
    spoken = TEST | {"z": "1"}  # one lasts just a unit
    found = measured(tmp_path, spoken)
    short = write_units(tmp_path / "more", spoken, "test")
    manifest = (tmp_path / "more" / "test.jsonl").read_text()
    line = manifest.splitlines()[0].replace('"duration": 0.12', '"duration": 0.005').replace('"u"', '"short"')
    (tmp_path / "more" / "test.jsonl").write_text(f"{manifest}{line}\n")
    again = type(short).open(tmp_path / "more" / "test.jsonl")
    corpora = Corpora(again, write_units(tmp_path, TRAIN, "train"))
    rows = find_measure("unit_perplexity")([Subject("toy", toy_model(*TRAIN.values()), ("level",))], corpora, seed=3)
    more = {(row.layer, row.metric): row for row in rows}
    for metric in ("bits per unit", "bits per second"):
        assert more["bigram", metric].value == found["bigram", metric].value
    assert more["bigram", "bits per unit"].details["left_out"] == 1
    assert "1 of 7 recordings are left out, which last less than a unit, such as short" in more["bigram", "bits per unit"].details["note"]
    assert "note" not in found["bigram", "bits per unit"].details
    seconds = sum(len(text.split()) for text in spoken.values()) * LASTS * HOP / 16_000
    assert found["bigram", "bits per unit"].details["seconds"] == more["bigram", "bits per unit"].details["seconds"] == round(seconds, 2)


def test_recordings_that_are_longer_than_the_model_reads_at_once_are_counted(tmp_path: Path) -> None:
    corpora = Corpora(write_units(tmp_path, TEST, "test"), write_units(tmp_path, TRAIN, "train"))
    model = toy_model(*TRAIN.values())
    model.window = 4
    rows = find_measure("unit_perplexity")([Subject("toy", model, ("level",))], corpora)
    noted = {row.layer: row.details for row in rows if "in_windows" in row.details}
    assert list(noted) == ["language model"]
    assert noted["language model"]["in_windows"] == 2
    assert "2 of 5 recordings are of more units than the 4 that the model reads at once" in noted["language model"]["note"]


def test_it_serves_language_models_of_units_and_refuses_others(tmp_path: Path) -> None:
    corpora = Corpora(write_units(tmp_path, TEST, "test"), write_units(tmp_path, TRAIN, "train"))
    measure = find_measure("unit_perplexity:modelled")
    assert isinstance(measure, UnitPerplexity)
    model = toy_model("0 1")
    assert isinstance(model, TokenModel)
    assert measure.serves(model, corpora)
    assert not measure.serves(load("mfcc"), corpora)
    with pytest.raises(UserError, match="mfcc is none: train one on units"):
        measure([Subject("mfcc", load("mfcc"), ("mfcc",))], corpora)
    with pytest.raises(UserError, match="--train-corpus"):
        measure([Subject("toy", model, ("level",))], Corpora(corpora.test))


def test_bits_are_nats_by_the_logarithm_of_two() -> None:
    shares = torch.tensor([0.5, 0.25, 0.125])
    assert bits_of(shares.log()) == pytest.approx(6)
