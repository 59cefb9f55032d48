"""Pairs whose outcome is known: by hand-made scores, and by a language of which the model knows every word."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from foresay.contracts import Tokens
from foresay.corpora.manifest import Manifest
from foresay.encoding.labels import make_labels
from foresay.encoding.subjects import Subject
from foresay.errors import UserError
from foresay.evaluation.generation import _units
from foresay.evaluation.generation._pairs import BIGRAM, GAIN, LENGTH, MODEL, UNIGRAM, Pair, find_recordings, judge
from foresay.evaluation.generation._units import TOGETHER, count_units, encode_units, score_symbols, score_units
from foresay.evaluation.generation.swuggy import BANDS, band
from foresay.evaluation.measure import Corpora, Measure, find_measure
from foresay.results import Result
from foresay.statistics.intervals import bootstrap, bootstrap_difference
from reference.ngram_dictionary import DictionaryNGram
from reference.toy_token_model import toy_model, write_units

TEXTS = ["0 1 2 3", "0 1 4", "2 3 0 1", "4 5 0 1 2 3", "0 1 2 3 6"] * 3
LEXICAL = ("filename", "id", "voice", "frequency", "word", "phones", "length", "correct")
SYNTACTIC = ("filename", "id", "voice", "type", "subtype", "transcription", "correct")
WORDS = {  # id: voice: the word and the non-word
    "1": {"a": ("0 1 2 3", "0 2 1 3"), "b": ("0 1 2", "0 2 1")},
    "2": {"a": ("4 5 0", "4 0 5")},
    "3": {"a": ("0 1 4", "0 1 4"), "b": ("3 1", "0 1")},  # a tie, and one that is lost
}
FREQUENCIES = {"1": 5, "2": 0, "3": 21}


def write_gold(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def lexical(tmp_path: Path) -> Corpora:
    """The lexical task in the published layout, and a corpus to count units in."""
    spoken, rows = {}, []
    for name, voices in WORDS.items():
        for voice, members in voices.items():
            for correct, units in zip((1, 0), members, strict=True):
                file = f"{voice}{name}{correct}"
                spoken[f"lexical/dev/{file}"] = units
                frequency = FREQUENCIES[name] if correct else ""
                rows.append((file, name, voice, frequency, "", "", len(units.split()), correct))
    write_gold(tmp_path / "lexical/dev/gold.csv", LEXICAL, rows[::2] + rows[1::2][::-1])
    train = write_units(tmp_path / "train", {str(place): text for place, text in enumerate(TEXTS)})
    return Corpora(write_units(tmp_path, spoken), train)


def subject(*texts: str) -> Subject:
    model = toy_model(*(texts or TEXTS))
    return Subject("toy", model, model.layer_names)


def measured(measure: Measure, corpora: Corpora) -> dict[tuple[str, str], Result]:
    return {(row.layer, row.metric): row for row in measure([subject()], corpora)}


def test_a_pair_is_won_lost_or_tied_and_voices_are_averaged_before_pairs() -> None:
    scores = {"r1": -1.0, "w1": -2.0, "r2": -3.0, "w2": -2.0, "r3": -1.5, "w3": -1.5}
    pairs = [Pair("x", "a", "r1", "w1"), Pair("x", "b", "r1", "w1"), Pair("x", "c", "r2", "w2"), Pair("y", "a", "r3", "w3")]
    found = judge(pairs, scores)
    assert list(found.ids) == ["x", "y"]
    assert found.values.tolist() == pytest.approx([2 / 3, 1 / 2])
    assert found.ties == 1


def test_swuggy_is_what_the_bigrams_of_its_language_say(lexical: Corpora) -> None:
    oracle = DictionaryNGram([text.split() for text in TEXTS], 2)

    def nats(text: str) -> list[float]:
        words = text.split()
        return [np.log(oracle.probability(word, ("<s>", *words)[: place + 1])) for place, word in enumerate(words)]

    found = measured(find_measure("swuggy:repaired"), lexical)
    for metric, pooled in (("accuracy", np.mean), ("accuracy by sum", np.sum)):
        wins = {
            name: np.mean([0.5 + 0.5 * np.sign(round(pooled(nats(w)) - pooled(nats(n)), 5)) for w, n in voices.values()])
            for name, voices in WORDS.items()
        }
        assert found[MODEL, metric].value == pytest.approx(np.mean(list(wins.values())))
        assert found[BIGRAM, metric].value == found[MODEL, metric].value
    assert found[MODEL, "accuracy in vocabulary"].value == pytest.approx(np.mean([1.0, 0.25]))
    assert found[MODEL, "accuracy in vocabulary"].details["pairs"] == 2
    assert found[MODEL, GAIN].value == 0.0


def test_swuggy_says_what_was_counted(lexical: Corpora) -> None:
    found = measured(find_measure("swuggy:repaired"), lexical)
    details = found[MODEL, "accuracy"].details
    assert (details["pairs"], details["voices"], details["comparisons"], details["ties"]) == (3, 2, 5, 1)
    assert details["units_right"] == pytest.approx((4 + 3 + 3 + 3 + 2) / 5)
    assert details["by"]["frequency"] == {"1-5": (1.0, 1), "oov": (1.0, 1), "21-100": (0.25, 1)}
    assert details["by"]["length"] == {"2": (0.0, 1), "3": (5 / 6, 3), "4": (1.0, 1)}
    assert "note" not in details


def test_what_needs_no_model_stands_beside_it(lexical: Corpora) -> None:
    found = measured(find_measure("swuggy:repaired"), lexical)
    assert found[LENGTH, "accuracy"].value == 0.5  # all members are of one length
    assert (LENGTH, "accuracy by sum") not in found
    assert {layer for (layer, _), row in found.items() if "control" not in row.details} == {MODEL}
    unigram = DictionaryNGram([text.split() for text in TEXTS], 1)
    assert unigram.probability("3", ()) < unigram.probability("0", ())
    assert found[UNIGRAM, "accuracy"].details["by"]["frequency"]["21-100"] == (0.25, 1)
    assert found[UNIGRAM, "accuracy"].value == pytest.approx((0.5 + 0.5 + 0.25) / 3)  # orders do not change the sum


def test_counts_name_the_corpus_that_they_are_of(lexical: Corpora) -> None:
    assert lexical.train is not None
    found = measured(find_measure("swuggy:repaired"), lexical)
    learnt = {of for of, row in found.items() if row.details.get("trained_on") == lexical.train.name}
    metrics = ("accuracy", "accuracy in vocabulary", "accuracy by sum")
    assert learnt == {(name, metric) for name in (UNIGRAM, BIGRAM) for metric in metrics} | {(MODEL, GAIN)}


def test_a_corpus_without_what_cannot_be_read_is_no_other_corpus(lexical: Corpora) -> None:
    assert lexical.train is not None
    of = Subject("toy", toy_model(*TEXTS), ("level",), trained_on=frozenset({lexical.train.digest}))
    fewer = lexical.train.without([0])
    assert fewer.digest != lexical.train.digest
    assert fewer.without([0]).whole.digest == lexical.train.digest
    assert _units.said_of_training(of, Corpora(lexical.test, fewer)) == {}
    assert "what it remembers" in _units.said_of_training(of, Corpora(fewer))["note"]


def test_what_bigrams_of_another_corpus_say_is_noted(lexical: Corpora) -> None:
    for digests, said in ((frozenset[str](), False), (frozenset({"another"}), True)):
        of = Subject("toy", toy_model(*TEXTS), ("level",), trained_on=digests)
        (row,) = (row for row in find_measure("swuggy:repaired")([of], lexical) if row.metric == GAIN)
        assert ("toy was trained on another corpus than" in row.details.get("note", "")) is said
        assert row.details["trained_on"] == lexical.train.name if lexical.train else False


def test_a_model_that_knows_another_language_is_another_number(lexical: Corpora) -> None:
    rows = find_measure("swuggy:repaired")([subject("3 2 1 0", "2 1", "0 5 4", "5 0")], lexical)
    accuracies = {row.layer: row.value for row in rows if row.metric == "accuracy"}
    gain = next(row.value for row in rows if row.metric == GAIN)
    assert accuracies[MODEL] < accuracies[BIGRAM]
    assert gain == pytest.approx(accuracies[MODEL] - accuracies[BIGRAM])


def test_bands_of_frequency_as_labelled_and_as_published() -> None:
    right = {0: "oov", 1: "1-5", 5: "1-5", 6: "6-20", 20: "6-20", 21: "21-100", 100: "21-100", 101: ">100"}
    assert {frequency: band(frequency, published=False) for frequency in right} == right
    published = {0: "oov", 1: "1-5", 4: "1-5", 5: "6-20", 19: "6-20", 20: "21-100", 99: "21-100", 100: ">100"}
    assert {frequency: band(frequency, published=True) for frequency in published} == published
    assert set(right.values()) == set(BANDS)


def test_each_protocol_has_its_bands(lexical: Corpora) -> None:
    for protocol, expected in (("repaired", "1-5"), ("official", "6-20")):
        pairs = find_measure(f"swuggy:{protocol}").pairs(lexical.test)
        assert {pair.kinds["frequency"] for pair in pairs if pair.id == "1"} == {expected}  # the word comes 5 times


def syntactic(folder: Path, rows: list[tuple[object, ...]]) -> Corpora:
    """The syntactic task: where rows do not say otherwise, `right` sentences are `0 1 2 3`, and others are not."""
    write_gold(folder / "syntactic/dev/gold.csv", SYNTACTIC, rows)
    spoken = {f"syntactic/dev/{row[0]}": str(row[5] or ("0 1 2 3" if row[-1] else "3 2 1 0")) for row in rows}
    train = write_units(folder / "train", {str(place): text for place, text in enumerate(TEXTS)})
    return Corpora(write_units(folder, spoken), train)


ORDERED = [
    ("r1", 1, "a", "order", "x", "", 1),
    ("w1", 1, "a", "order", "x", "", 0),
    ("r2", 1, "a", "number", "y", "", 1),
    ("w2", 1, "a", "number", "y", "", 0),
]


def test_sblimp_by_type(tmp_path: Path) -> None:
    found = measured(find_measure("sblimp:repaired"), syntactic(tmp_path, ORDERED))
    assert found[MODEL, "accuracy"].value == 1.0
    assert found[MODEL, "accuracy"].details["by"] == {"type": {"number": (1.0, 1), "order": (1.0, 1)}}
    assert found[MODEL, "accuracy"].details["pairs"] == 2


def test_sblimp_in_another_order_pairs_strangers_only_as_published(tmp_path: Path) -> None:
    corpora = syntactic(tmp_path, [ORDERED[0], ORDERED[3], ORDERED[2], ORDERED[1]])
    repaired, official = (find_measure(f"sblimp:{name}").pairs(corpora.test) for name in ("repaired", "official"))
    assert [(pair.right, pair.wrong) for pair in repaired] == [("r1", "w1"), ("r2", "w2")]
    assert [(pair.right, pair.wrong) for pair in official] == [("r1", "w2"), ("r2", "w1")]


def rows_of(*pairs: tuple[str, str]) -> list[tuple[object, ...]]:
    """Rows of pairs of units, right and wrong."""
    return [
        (f"{name}{number}", number, "a", "order", "x", units, correct)
        for number, pair in enumerate(pairs, 1)
        for name, units, correct in zip("rw", pair, (1, 0), strict=True)
    ]


LONG = ("0 1 2 3", "0")
"""Three of five texts begin with 0, and what follows is likelier: four units are the likelier ones on average, and one is in sum."""


def test_the_mean_decides_and_the_sum_and_the_length_stand_beside_it(tmp_path: Path) -> None:
    found = measured(find_measure("sblimp:repaired"), syntactic(tmp_path, rows_of(LONG)))
    assert found[MODEL, "accuracy"].value == found[BIGRAM, "accuracy"].value == 1.0
    for layer, metric in ((MODEL, "accuracy by sum"), (BIGRAM, "accuracy by sum"), (UNIGRAM, "accuracy"), (LENGTH, "accuracy")):
        assert found[layer, metric].value == 0.0


def test_intervals_draw_pairs_again(tmp_path: Path) -> None:
    """Of a model that knows 0 alone; the bigrams find the other four of six pairs."""
    rows = find_measure("sblimp:repaired")([subject("0")], syntactic(tmp_path, rows_of(*[LONG] * 4, *[LONG[::-1]] * 2)))
    found = {(row.layer, row.metric): row for row in rows}
    ours, counted, ones = np.array([0, 0, 0, 0, 1, 1]), np.array([1, 1, 1, 1, 0, 0]), np.ones(6)
    for key, value, interval in (
        ((MODEL, "accuracy"), 1 / 3, bootstrap(ours, ones)),
        ((BIGRAM, "accuracy"), 2 / 3, bootstrap(counted, ones)),
        ((MODEL, GAIN), -1 / 3, bootstrap_difference(ours, ones, counted, ones)),
    ):
        row = found[key]
        assert row.value == pytest.approx(value)
        assert (row.low, row.high) == interval
        assert row.drawn is not None
        assert (row.drawn.what, row.drawn.count) == ("pairs", 6)


def test_five_of_those_that_are_left_out_are_named(tmp_path: Path) -> None:
    corpora = syntactic(tmp_path, rows_of(*[LONG] * 7))
    for lost, named in ((5, "r1, r2, r3, w1, w2"), (6, "r1, r2, r3, w1, w2, …")):
        fewer = Corpora(corpora.test.without(range(lost)), corpora.train)
        details = measured(find_measure("sblimp:repaired"), fewer)[MODEL, "accuracy"].details
        assert details["note"].endswith(f": {named}")


def test_recordings_of_another_folder_are_others(tmp_path: Path) -> None:
    test = write_units(tmp_path, {"lexical/dev/x": "0", "lexical/test/x": "1", "x": "2"})
    assert find_recordings(test, ["x"], "lexical/dev/gold.csv") == {"x": 0}
    assert find_recordings(test.without([0, 1]), ["x"], "lexical/dev/gold.csv") == {"x": 0}


def test_a_pair_without_recording_is_left_out_and_counted_or_refused(tmp_path: Path) -> None:
    corpora = syntactic(tmp_path, ORDERED)
    fewer = Corpora(corpora.test.without([3]), corpora.train)
    details = measured(find_measure("sblimp:repaired"), fewer)[MODEL, "accuracy"].details
    assert (details["pairs"], details["left_out_pairs"]) == (1, 1)
    assert "w2" in details["note"]
    with pytest.raises(UserError, match="w2.*would count their pairs as lost.*sblimp:repaired"):
        measured(find_measure("sblimp:official"), fewer)


def test_a_recording_shorter_than_a_unit_is_left_out(tmp_path: Path) -> None:
    corpora = syntactic(tmp_path, ORDERED)
    lines = (tmp_path / "manifest.jsonl").read_text().splitlines()
    (tmp_path / "manifest.jsonl").write_text("\n".join([*lines[:1], lines[1].replace("0.12", "0.02"), *lines[2:]]))
    details = measured(find_measure("sblimp:repaired"), Corpora(type(corpora.test).open(corpora.test.path), corpora.train))
    assert details[MODEL, "accuracy"].details["left_out_pairs"] == 1


@pytest.mark.parametrize(
    "rows, message",
    [
        (ORDERED[:3], "r2 .*has no counterpart"),
        ([*ORDERED, ("r3", 1, "a", "order", "x", "", 1)], "r1 .*is not the only one with correct = 1"),
        ([*ORDERED[:3], (*ORDERED[3][:-1], "yes")], "w2 is 'yes'"),
    ],
)
def test_rows_that_are_no_pairs_are_refused(tmp_path: Path, rows: list[tuple[object, ...]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_measure("sblimp:repaired").pairs(syntactic(tmp_path, rows).test)


def test_as_many_of_both_are_needed_to_pair_by_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2 correct rows and 1 incorrect"):
        find_measure("sblimp:official").pairs(syntactic(tmp_path, ORDERED[:3]).test)


@pytest.mark.parametrize("frequency", ["often", "", "nan", "inf", "-1"])
def test_a_frequency_must_be_a_number(lexical: Corpora, frequency: str) -> None:
    path = lexical.test.path.parent / "lexical/dev/gold.csv"
    path.write_text(path.read_text().replace(",5,", f",{frequency},"))
    with pytest.raises(UserError, match=f"the frequency of a11 is '{frequency}'"):
        find_measure("swuggy:repaired").pairs(lexical.test)


def test_a_lost_gold_file_and_recordings_of_another_data_set(lexical: Corpora) -> None:
    with pytest.raises(UserError, match="syntactic/dev/gold.csv says which recordings are right, and is not there"):
        find_measure("sblimp:repaired")([subject()], lexical)
    assert lexical.train is not None
    (lexical.train.path.parent / "lexical/dev").mkdir(parents=True)
    gold = "lexical/dev/gold.csv"
    (lexical.train.path.parent / gold).write_text((lexical.test.path.parent / gold).read_text())
    with pytest.raises(UserError, match="has no pair of lexical/dev/gold.csv"):
        find_measure("swuggy:repaired")([subject()], Corpora(lexical.train, lexical.test))


def test_names_with_an_ending_and_a_gold_file_elsewhere(lexical: Corpora, tmp_path: Path) -> None:
    gold = (tmp_path / "lexical/dev/gold.csv").read_text().splitlines()
    elsewhere = tmp_path / "mine.csv"
    elsewhere.write_text("\n".join([gold[0], *(line.replace(",", ".wav,", 1) for line in gold[1:])]))
    measure = find_measure("swuggy:repaired", {"gold": str(elsewhere)})
    assert measure.files == [elsewhere]
    assert measured(measure, lexical)[MODEL, "accuracy"].details["comparisons"] == 5


def test_what_is_no_language_model_is_refused(lexical: Corpora) -> None:
    with pytest.raises(UserError, match="levels is none: train one on units"):
        find_measure("swuggy:repaired")([Subject("levels", toy_model("0 1").tokenizer.encoder, ("level",))], lexical)
    with pytest.raises(UserError, match="give the first with --train-corpus"):
        find_measure("swuggy:repaired")([subject()], Corpora(lexical.test))


def test_units_are_scored_alone_as_in_a_batch(lexical: Corpora) -> None:
    model = toy_model(*TEXTS)
    units = encode_units(Subject("toy", model, ()), lexical.test, "cpu")
    assert [" ".join(map(str, units[place].tolist())) for place in range(4)] == ["0 1 2 3", "0 2 1 3", "0 1 2", "0 2 1"]
    together, counted = score_units(model, units, "cpu"), score_symbols(model.language_model, units)
    for place, own in units.items():
        assert torch.equal(score_units(model, {place: own}, "cpu")[place], together[place])
        assert torch.allclose(counted[place], together[place])
        assert len(own) == len(counted[place]) == len(together[place])


def test_what_the_run_has_written_is_read_and_not_encoded_again(lexical: Corpora, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of these units and this corpus, and of no others."""
    model, other = toy_model(*TEXTS), write_units(tmp_path, {"a": "0 1", "b": "2 2 3"}, "other")
    encoded = encode_units(Subject("toy", model, ()), lexical.test, "cpu")
    make_labels(model.tokenizer, {"train": lexical.test}, tmp_path / "labels")
    subject = Subject("toy", model, (), labels=tmp_path / "labels")
    found = encode_units(subject, other, "cpu")
    assert {place: row.tolist() for place, row in found.items()} == {0: [0, 1], 1: [2, 3]}
    monkeypatch.setattr(type(model.tokenizer.encoder), "features", None)
    for places in (None, {1, 3}):
        written = encode_units(subject, lexical.test, "cpu", places)
        assert written.keys() == (places or encoded.keys())
        assert all(torch.equal(row, encoded[place]) for place, row in written.items())
    about = tmp_path / "labels" / "train" / "labels.toml"
    about.write_text(about.read_text().replace('fingerprint = "', 'fingerprint = "other-', 1))
    with pytest.raises(TypeError, match="not callable"):
        encode_units(subject, lexical.test, "cpu")


def test_units_of_other_audio_behind_the_same_lines_are_not_read(tmp_path: Path) -> None:
    """As of a corpus that was spoken again by a synthesizer, or to which noise was added: its manifest says the same."""
    model, labels = toy_model(*TEXTS), tmp_path / "labels"
    recorded, spoken = (write_units(tmp_path / name, {"a": units}) for name, units in (("recorded", "0 1 2"), ("spoken", "5 6 7")))
    assert recorded.digest == spoken.digest
    make_labels(model.tokenizer, {"train": recorded}, labels)
    assert encode_units(Subject("toy", model, (), labels=labels), spoken, "cpu")[0].tolist() == [5, 6, 7]
    assert encode_units(Subject("toy", model, (), labels=labels), recorded, "cpu")[0].tolist() == [0, 1, 2]


def test_units_that_lack_a_recording_which_can_be_read_by_now_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foresay.corpora.manifest.SOUNDED", 1)  # the first: of a large corpus, the one that is missing is seldom among them
    model, manifest = toy_model(*TEXTS), write_units(tmp_path, {"a": "0 1 2", "b": "3 4"})
    content = (tmp_path / "b.flac").read_bytes()
    (tmp_path / "b.flac").write_bytes(b"not copied yet")
    make_labels(model.tokenizer, {"train": manifest}, tmp_path / "labels")
    (tmp_path / "b.flac").write_bytes(content)
    again = Manifest.open(manifest.path)
    found = encode_units(Subject("toy", model, (), labels=tmp_path / "labels"), again, "cpu")
    assert {place: units.tolist() for place, units in found.items()} == {0: [0, 1, 2], 1: [3, 4]}


def test_the_same_units_are_equally_likely_whatever_is_scored_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else ties would be decided by rounding, which differs with the shape of a batch."""
    model, shapes = toy_model(*TEXTS), []
    exact = model.log_probabilities

    def rounded(tokens: Tokens) -> torch.Tensor:
        shapes.append(tuple(tokens.ids.shape))
        return exact(tokens) + 1e-6 * len(shapes)

    monkeypatch.setattr(model, "log_probabilities", rounded)
    units = {place: torch.tensor([0, 1, 2, 3] if place % 2 else [0, 2, 1, 3]) for place in range(2 * TOGETHER)}
    scores = score_units(model, units, "cpu")
    assert shapes == [(2, 1, 4)]
    assert all(torch.equal(scores[place], scores[place % 2]) for place in units)
    assert not torch.equal(scores[0], scores[1])


def test_long_recordings_are_scored_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What attention takes grows with the square of the longest."""
    model, shapes = toy_model(*TEXTS), []
    exact = model.log_probabilities

    def noted(tokens: Tokens) -> torch.Tensor:
        shapes.append((len(tokens.ids), tokens.ids.shape[2]))
        return exact(tokens)

    monkeypatch.setattr(model, "log_probabilities", noted)
    monkeypatch.setattr(_units, "ATTENDED", 300)
    lengths = [20, 12, 12, 11, 3, 2, 10, 9]
    units = {place: torch.arange(length) % 7 for place, length in enumerate(lengths)}
    units[2] = torch.arange(1, 13) % 7
    scores = score_units(model, units, "cpu")
    assert shapes == [(1, 20), (2, 12), (2, 11), (3, 9)]
    assert [len(scores[place]) for place in range(8)] == lengths


def test_a_unit_that_was_never_met_is_unknown_to_the_counts() -> None:
    ngram = count_units({0: torch.tensor([0, 1, 0])}, 2)
    (scores,) = score_symbols(ngram, {7: torch.tensor([0, 5])}).values()
    expected, state = ngram.advance(torch.tensor([ngram.start]), torch.tensor([0]))
    assert scores.tolist() == pytest.approx([float(expected), float(ngram.advance(state, torch.tensor([-1]))[0])])


def test_what_is_served(lexical: Corpora) -> None:
    model = toy_model("0 1")
    assert find_measure("swuggy:official").serves(model, lexical)
    assert not find_measure("swuggy:official").serves(model.tokenizer.encoder, lexical)
