"""Continuations in a language whose bigrams are known: the law of temperature, and numbers by their definitions."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from foresay.contracts import TokenModel
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.generation._transcripts import TranscriptScorer
from foresay.evaluation.generation.continuation import (
    ALL,
    AREA,
    AT_PERPLEXITY,
    AUTO,
    FALLS,
    PERPLEXITY,
    RECORDED,
    RISES,
    SELF,
    VERT,
    ContinuationProtocol,
    Continuations,
    _statistic,
    area,
    crossing,
)
from foresay.evaluation.measure import Corpora
from foresay.reports.comparisons import Comparison, Kind, Line, Source
from foresay.reports.continuations import continuations_section
from foresay.results import Result
from reference import bleu_loops
from reference.ngram_dictionary import DictionaryNGram
from reference.toy_token_model import UNITS, toy_model, write_units

PROTOCOL = ContinuationProtocol("toy", prompt=0.09, shortest=0.2, prompts=6, samples=2, temperatures=(0.3, 1.0, 3.0))


def sentences(count: int, length: int = 14) -> list[str]:
    """Draw texts in which a unit is mostly followed by the next or the second next, and rarely by another."""
    random, found = np.random.default_rng(0), []
    for _ in range(count):
        units = [int(random.integers(UNITS))]
        while len(units) < length:
            step = random.choice([1, 2, 3, 5], p=[0.6, 0.3, 0.05, 0.05])
            units.append(int((units[-1] + step) % UNITS))
        found.append(" ".join(map(str, units)))
    return found


TEXTS = sentences(40)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    folder = tmp_path_factory.mktemp("toy")
    train = write_units(folder / "train", {str(place): text for place, text in enumerate(TEXTS)})
    test = {f"t{place}": text for place, text in enumerate(sentences(7, 12))} | {"short": "1 2 3"}
    return Corpora(write_units(folder, test), train)


@pytest.fixture(scope="module")
def rows(corpora: Corpora) -> list[Result]:
    return measured(corpora)


def measured(corpora: Corpora, protocol: ContinuationProtocol = PROTOCOL) -> list[Result]:
    model = toy_model(*TEXTS)
    return Continuations(protocol)([Subject("toy", model, model.layer_names)], corpora)


def values(rows: list[Result]) -> dict[tuple[str, str], float]:
    return {(row.layer, row.metric): row.value for row in rows}


def test_it_stutters_speaks_and_babbles(rows: list[Result]) -> None:
    found = values(rows)
    assert found[ALL, RISES] == 1.0
    assert found["temperature 0.3", AUTO] > found["temperature 3", AUTO]
    assert found["temperature 0.3", PERPLEXITY] < found[RECORDED, PERPLEXITY] < found["temperature 3", PERPLEXITY]
    assert found[ALL, FALLS] < 0


def test_recordings_go_on_as_they_do(rows: list[Result], corpora: Corpora) -> None:
    """The prompt is 9 frames, 3 units; the seventh recording is one too many, and the short one too short."""
    oracle = DictionaryNGram([text.split() for text in TEXTS], 3)
    texts = [text.split() for text in sentences(7, 12)[:6]]
    nats = [-math.log(oracle.probability(text[place], ("<s>", *text)[: place + 1])) for text in texts for place in range(3, 12)]
    found = values(rows)
    assert found[RECORDED, PERPLEXITY] == pytest.approx(math.exp(np.mean(nats)), rel=1e-4)
    follows = [text[3:] for text in texts]
    assert found[RECORDED, SELF] == pytest.approx(np.mean(bleu_loops.self_bleu(follows, 2, geometric=True)))
    assert found[RECORDED, AUTO] == pytest.approx(np.mean([bleu_loops.auto_bleu(text, 2, geometric=True) for text in follows]))
    assert found[RECORDED, VERT] == pytest.approx(math.sqrt(found[RECORDED, SELF] * found[RECORDED, AUTO]))
    details = next(row.details for row in rows if row.layer == RECORDED)
    assert (details["samples"], details["symbols"], details["control"]) == (6, 9.0, True)
    assert corpora.train is not None
    assert {row.details["trained_on"] for row in rows} == {corpora.train.name}


def test_samples_are_counted_and_no_longer_than_recordings_go_on(rows: list[Result]) -> None:
    for row in rows:
        if row.layer.startswith("temperature"):
            assert row.details["samples"] == 12
            assert 0 < row.details["symbols"] <= 9
            assert row.low is not None
            assert row.low <= row.value


def test_the_curve_is_kept_with_its_numbers(rows: list[Result]) -> None:
    found = values(rows)
    details = next(row.details for row in rows if row.metric == AREA)
    assert details["temperatures"] == [0.3, 1.0, 3.0]
    assert details["curve"] == [(found[f"temperature {t}", VERT], found[f"temperature {t}", PERPLEXITY]) for t in ("0.3", "1", "3")]
    assert details[RECORDED] == (found[RECORDED, VERT], found[RECORDED, PERPLEXITY])
    assert found[ALL, AREA] == area(details["curve"])


def test_area_and_crossings_by_hand() -> None:
    curve = [(0.5, 2.0), (0.3, 4.0), (0.1, 16.0)]
    assert area(curve) == pytest.approx(100 * (0.2 * 3 + 0.2 * 10))
    assert crossing(curve, 0.4) == pytest.approx(3.0)
    assert crossing(curve, 0.1) == pytest.approx(16.0)
    assert crossing([(y, x) for x, y in curve], 10.0) == pytest.approx(0.2)
    assert crossing(curve, 0.6) is None
    assert crossing([(0.5, 2.0), (0.5, 4.0)], 0.5) == 2.0


def test_samples_are_compared_with_as_many_as_recordings_are(corpora: Corpora) -> None:
    """Those of other prompts that have their number: with more of them, more n-grams are found again."""
    model = toy_model(*TEXTS)
    measure, subject = Continuations(PROTOCOL), Subject("toy", model, model.layer_names)
    samples = measure._sample(model, measure._prompts(subject, model, corpora.test, "cpu"), 1.0, 0)
    assert [(one.prompt, one.number) for one in samples] == [(prompt, number) for prompt in range(6) for number in range(2)]
    texts = [[str(unit) for unit in one.units.tolist()] for one in samples]
    expected = np.zeros(len(texts))
    for number in range(2):
        expected[number::2] = bleu_loops.self_bleu(texts[number::2], 2, geometric=True)
    found = values(measured(corpora))
    assert found["temperature 1", SELF] == pytest.approx(expected.mean())
    assert found["temperature 1", SELF] < np.mean(bleu_loops.self_bleu(texts, 2, geometric=True))


class WordForWord(TranscriptScorer):
    """Writes each unit as a word, of two nats, as the end is."""

    def transcripts(
        self,
        model: TokenModel,  # noqa: ARG002
        samples: Mapping[str, Sequence[Tensor]],
        device: str,  # noqa: ARG002
    ) -> tuple[dict[str, list[list[str]]], dict[str, tuple[np.ndarray, np.ndarray]]]:
        texts = {name: [[f"w{unit}" for unit in one.tolist()] for one in some] for name, some in samples.items()}
        symbols = {name: np.array([len(words) + 1.0 for words in some]) for name, some in texts.items()}
        return texts, {name: (2.0 * count, count) for name, count in symbols.items()}


def test_transcripts_are_judged_as_units_are(corpora: Corpora) -> None:
    model, measure = toy_model(*TEXTS), Continuations(PROTOCOL)
    measure.scorer = WordForWord("vocoder", "", "recognizer", "language model")
    rows = measure([Subject("toy", model, model.layer_names)], corpora)
    found = values(rows)
    for layer in (RECORDED, "temperature 0.3", "temperature 3"):
        assert found[layer, f"{PERPLEXITY} of transcripts"] == pytest.approx(math.exp(2))
        for metric in (SELF, AUTO, VERT):
            assert found[layer, f"{metric} of transcripts"] == found[layer, metric]
    assert not any("trained_on" in row.details for row in rows if row.metric.endswith("of transcripts"))


def test_perplexity_of_nothing_is_1_and_of_the_impossible_finite() -> None:
    found = _statistic(np.array([[0.0, 0.0, 0.2, 0.8, 2.0], [1e6, 1.0, 0.0, 0.0, 1.0]]))
    assert found[PERPLEXITY][0] == 1.0
    assert np.isfinite(found[PERPLEXITY]).all()
    assert found[VERT].tolist() == pytest.approx([math.sqrt(0.1 * 0.4), 0.0])


def test_points_that_the_curve_does_not_reach_are_not_said(corpora: Corpora) -> None:
    found = values(measured(corpora, ContinuationProtocol("hot", 0.09, 0.2, 6, 2, (50.0, 60.0))))
    assert (ALL, AT_PERPLEXITY) not in found
    assert (ALL, AREA) in found


def test_what_is_drawn_depends_on_the_seed_and_the_prompt_alone(corpora: Corpora) -> None:
    model = toy_model(*TEXTS)
    measure, subject = Continuations(PROTOCOL), Subject("toy", model, model.layer_names)
    prompts = measure._prompts(subject, model, corpora.test, "cpu")
    whole = measure._sample(model, prompts, 1.0, 0)
    assert [one.units.tolist() for one in measure._sample(model, prompts[:2], 1.0, 0)] == [one.units.tolist() for one in whole[:4]]
    assert [one.units.tolist() for one in measure._sample(model, prompts, 1.0, 1)] != [one.units.tolist() for one in whole]


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"prompt": 0.3}, "must be more than prompt"),
        ({"temperatures": (1.0,)}, "two or more are needed"),
        ({"temperatures": (0.0, 1.0)}, "above 0"),
        ({"vocoder": "runs/vocoder"}, "takes? all three"),
    ],
)
def test_protocols_that_make_no_sense(fields: dict[str, object], message: str) -> None:
    known = {"name": "x", "prompt": 0.1, "shortest": 0.2, "prompts": 2, "samples": 1, "temperatures": (0.5, 1.0)}
    with pytest.raises(ValueError, match=message):
        ContinuationProtocol(**{**known, **fields})


def test_recordings_that_are_too_short_are_refused(corpora: Corpora) -> None:
    with pytest.raises(UserError, match="no recording of .* lasts 60"):
        measured(corpora, ContinuationProtocol("long", 3.0, 60.0, 6, 2, (0.5, 1.0)))
    with pytest.raises(UserError, match="in 1 recordings of .* does a unit follow the first 0.09 s, and self-BLEU compares"):
        measured(corpora, ContinuationProtocol("one", 0.09, 0.2, 1, 2, (0.5, 1.0)))
    for prompt, shortest in ((0.35, 0.355), (0.001, 0.2)):  # nothing follows, and nothing comes before
        with pytest.raises(UserError, match=f"in 0 recordings of .* does a unit follow the first {prompt} s"):
            measured(corpora, ContinuationProtocol("long", prompt, shortest, 6, 2, (0.5, 1.0)))


def test_the_law_is_drawn(rows: list[Result]) -> None:
    comparisons = [
        Comparison(Kind("continuation", "toy", row.metric, "c", "test"), (Line(Source(0, "toy", row.layer, 1, 0), row, "toy", None),))
        for row in rows
    ]
    drawn = str(continuations_section(comparisons))
    assert all(word in drawn for word in ("stutters", "babbles", "recorded", "temperature 0.3", "VERT"))
    assert continuations_section([]) is None


def test_protocols_are_found_by_name(tmp_path: Path) -> None:
    assert Continuations.protocols["gslm"].prompt == 3.0
    assert Continuations(Continuations.protocols["tiny"]).files == ()
    with pytest.raises(UserError, match="neither a folder nor a baseline"):
        Continuations(
            ContinuationProtocol("x", 0.1, 0.2, 2, 1, (0.5, 1.0), vocoder=str(tmp_path / "v"), recognizer="r", language_model="m")
        )
