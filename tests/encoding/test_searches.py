"""Searches described by names: which search they are, what is refused or counted before anything is decoded, and laws of their results."""

import dataclasses
from pathlib import Path

import pytest
import torch

from foresay.contracts import Emissions
from foresay.decoding.lexicon_beam import LexiconBeam
from foresay.decoding.moves import CTCMoves
from foresay.decoding.prefix_beam import PrefixBeam
from foresay.decoding.rescoring import sentence_scores
from foresay.decoding.weights import Weights
from foresay.encoding.search_settings import SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.word_times import words_of
from foresay.errors import UserError
from foresay.loading import load, load_language_model
from foresay.models.recognition.ctc import CTC, CTCSettings
from foresay.text.lexicon import Lexicon
from foresay.workflows.language_models import train_ngram

SYMBOLS = ("<blank>", "|", "a", "b", "c", "d")
TEXT = "a bad cab\na cab\na bad dab\ndab a cab\nbad bad cab\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT)
    train_ngram([tmp_path / "text.txt"], tmp_path / "words.arpa", order=3)
    train_ngram([tmp_path / "text.txt"], tmp_path / "letters.arpa", order=4, unit="letters")
    (tmp_path / "lexicon.txt").write_text("a\ta |\nbad\tb a d |\ncab\tc a b |\nad\ta d |\n")  # as fairseq writes it
    return tmp_path


def recognizer(symbols: tuple[str, ...] = SYMBOLS, units: str = "letters", normalization: str = "plain") -> CTC:
    torch.manual_seed(0)
    settings = CTCSettings(symbols, units=units, normalization=normalization)  # type: ignore[arg-type]
    return CTC(settings, load("logmel")).eval()


def emissions(utterances: int = 3, symbols: int = len(SYMBOLS)) -> Emissions:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([30, 17, 24, 9][:utterances])
    return Emissions((2 * torch.randn(utterances, 30, symbols, generator=generator)).log_softmax(-1), lengths)


def weighed(folder: Path, **changed: object) -> SearchSettings:
    return dataclasses.replace(SearchSettings(str(folder / "words.arpa"), 0.8, -0.5, beam=8), **changed)  # type: ignore[arg-type]


def test_nothing_is_the_best_path() -> None:
    found = Decoder(recognizer(), SearchSettings())(emissions())
    path = emissions().log_probabilities[0].argmax(-1).tolist()
    merged = [s for s, before in zip(path, [0, *path[:-1]], strict=True) if s not in {0, before}]
    assert found[0][0].text == recognizer().text_of(merged)
    assert Decoder(recognizer(), SearchSettings()).about == {}


def test_words_of_the_model_are_spelled_in_letters(folder: Path) -> None:
    decoder = Decoder(recognizer(), weighed(folder))
    model = load_language_model(folder / "words.arpa")
    spelled = {word: [tuple(SYMBOLS.index(letter) for letter in word)] for word in model.symbols}
    by_hand = LexiconBeam(spelled, CTCMoves(6), boundary=1, beam=8, weights=Weights(0.8, -0.5), language_model=model)
    assert [[(h.text, h.score) for h in found] for found in decoder(emissions(), 4)] == [
        [(h.text, h.score) for h in found] for found in by_hand(emissions(), 4)
    ]
    assert decoder.about == {"lm": "words.arpa", "lm_weight": 0.8, "word_weight": -0.5, "beam": 8, "words": 4}
    assert decoder.outside(["a bad dog", "dog add"]) == {"dog": 2, "add": 1}


def test_a_model_of_letters_is_searched_by_prefixes(folder: Path) -> None:
    decoder = Decoder(recognizer(), weighed(folder, lm=str(folder / "letters.arpa")))
    model = load_language_model(folder / "letters.arpa")
    by_hand = PrefixBeam(SYMBOLS, beam=8, weights=Weights(0.8, -0.5), language_model=model, boundary=1)
    assert decoder(emissions(), 3) == by_hand(emissions(), recognizer().text_of, 3)
    assert decoder.outside(["a"]) is None


def test_words_that_the_lexicon_lacks_are_written_if_they_have_a_weight(folder: Path) -> None:
    """In letters that no words of the lexicon have in a row: those of the best path."""
    path = torch.tensor([[2, 1, 5, 0, 5, 4, 1, 2]])  # a ddc a
    sure = Emissions(torch.full((1, 8, 6), 0.01).scatter(2, path[..., None], 0.95).log(), torch.tensor([8]))
    search = weighed(folder, lexicon=str(folder / "lexicon.txt"))
    closed, decoder = Decoder(recognizer(), search), Decoder(recognizer(), dataclasses.replace(search, unknown_weight=-2.0))
    assert closed(sure)[0][0].text != "a ddc a"
    ((best,),) = decoder(sure)
    assert (best.text, best.ends) == ("a ddc a", (2, 6, 7))
    words = words_of(recognizer(), sure, best, 1.0)
    assert [word.text for word in words] == ["a", "ddc", "a"]
    assert decoder.outside(["ddc"]) is None
    assert Decoder(recognizer(), dataclasses.replace(search, unknown_weight=-60.0))(sure)[0][0].text == closed(sure)[0][0].text
    assert decoder.settings.likeness != closed.settings.likeness


def test_unknown_words_are_refused_where_there_are_none(folder: Path) -> None:
    with pytest.raises(UserError, match="and no words that are known"):
        SearchSettings(beam=8, unknown_weight=-1.0)
    with pytest.raises(UserError, match="outweighs whatever was said"):
        weighed(folder, unknown_weight=-1e9)
    with pytest.raises(UserError, match="writes between boundaries, in a search over words"):
        Decoder(recognizer(), weighed(folder, lm=str(folder / "letters.arpa"), unknown_weight=-1.0))
    (folder / "phones.txt").write_text("ab\ta b\n")
    phones = recognizer(("<blank>", "a", "b"), "phones")
    with pytest.raises(UserError, match="writes between boundaries, in a search over words"):
        Decoder(phones, SearchSettings(lexicon=str(folder / "phones.txt"), unknown_weight=-1.0))


def test_a_weight_of_zero_is_the_lexicon_alone(folder: Path) -> None:
    """Of a wide beam: what is one history without a model is several with one."""
    lexicon = str(folder / "lexicon.txt")
    with_model = Decoder(recognizer(), weighed(folder, lm_weight=0.0, lexicon=lexicon, beam=500))
    without = Decoder(
        recognizer(), SearchSettings(lexicon=lexicon, word_weight=-0.5, beam=500)
    )  # what is one state with no model is several with one
    assert [found[0].text for found in with_model(emissions())] == [found[0].text for found in without(emissions())]
    assert with_model.notes == ["1 of 4 words of the lexicon are unknown to the language model: ad"]
    assert Lexicon.read(lexicon).words == without.words


def test_a_second_model_adds_its_score_whatever_its_symbols(folder: Path) -> None:
    first = Decoder(recognizer(), weighed(folder))
    second = Decoder(recognizer(), weighed(folder, rescore=str(folder / "letters.arpa"), rescore_weight=0.6, rescore_word_weight=0.25))
    letters = load_language_model(folder / "letters.arpa")
    for plain, ranked in zip(first(emissions(), 8), second(emissions(), 8), strict=True):
        expected = {
            h.text: h.score + 0.6 * sentence_scores(letters, [letters.split(h.text)]).item() + 0.25 * len(h.text.split()) for h in plain
        }
        assert {h.text: h.score for h in ranked} == pytest.approx(expected, abs=1e-4)
        assert [h.score for h in ranked] == sorted((h.score for h in ranked), reverse=True)
    assert second(emissions(), 2) == [found[:2] for found in second(emissions(), 8)]


@pytest.mark.parametrize("name", ["words.arpa", "letters.arpa"])
def test_batch_mates_change_nothing(folder: Path, name: str) -> None:
    decoder = Decoder(recognizer(), weighed(folder, lm=str(folder / name)))
    scores, lengths = emissions()
    together = decoder(Emissions(scores, lengths), 3)
    for row, length in enumerate(lengths.tolist()):
        assert decoder(Emissions(scores[row : row + 1, :length], lengths[row : row + 1]), 3)[0] == together[row]


def test_hot_words_come_in_with_their_spelling(folder: Path) -> None:
    (folder / "hot.txt").write_text("Dada dad\n\n")
    hot = {"hot_words": str(folder / "hot.txt"), "hot_weight": 20.0}
    for changed in (hot, hot | {"lm": str(folder / "letters.arpa")}):
        decoder = Decoder(recognizer(), weighed(folder, **changed))
        assert all("dada dad" in found[0].text for found in decoder(emissions()))
    assert "dada" not in Decoder(recognizer(), weighed(folder)).words
    (folder / "hot.txt").write_text("...\n")
    with pytest.raises(UserError, match="holds a line without letters"):
        Decoder(recognizer(), weighed(folder, **hot))


@pytest.mark.parametrize(
    "given, message",
    [
        ({"lm": "x.arpa"}, r"lm without lm weight \(--lm-weight\)"),
        ({"lm": "x.arpa", "lm_weight": 0.5}, r"lm without word weight"),
        ({"lm": "x.arpa", "lm_weight": 2.9, "word_weight": 0.0}, r"2\.9 / ln 10 = 1\.26"),
        ({"lm": "x.arpa", "lm_weight": -1.0, "word_weight": 0.0}, r"0 or more"),
        ({"lm_weight": 0.5}, r"a weight of lm, and none of these is given"),
        ({"hot_words": "x"}, r"hot words without hot weight"),
        ({"rescore": "x"}, r"rescore without rescore weight"),
        ({"rescore": "x", "rescore_weight": 3.0}, r"3 / ln 10"),
        ({"beam": 0}, r"beam must be 1 or more"),
    ],
)
def test_no_weight_has_a_default(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SearchSettings(**given)  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused_before_anything_is_decoded(folder: Path) -> None:
    (folder / "capitals.txt").write_text(TEXT.upper())
    train_ngram([folder / "capitals.txt"], folder / "capitals.arpa", order=2)
    with pytest.raises(UserError, match=r"spell 0 of 4 words of .* not such as 'A'; normalized as the recognizer's texts it would be 'a'"):
        Decoder(recognizer(), weighed(folder, lm=str(folder / "capitals.arpa")))
    with pytest.raises(UserError, match="capital against small letters"):
        Decoder(recognizer(), weighed(folder, rescore=str(folder / "capitals.arpa"), rescore_weight=0.5))
    with pytest.raises(UserError, match="spell 0 of 4 words"):
        Decoder(recognizer(), SearchSettings(beam=4, rescore=str(folder / "capitals.arpa"), rescore_weight=0.5))
    with pytest.raises(UserError, match="or a model of letters"):
        Decoder(recognizer(), weighed(folder, lm=str(folder / "letters.arpa"), lexicon=str(folder / "lexicon.txt")))
    with pytest.raises(UserError, match="say how the words are pronounced"):
        Decoder(recognizer(("<blank>", "AH", "B", "K"), "phones"), weighed(folder))
    (folder / "shouted.txt").write_text("BAD\tb a d\nCAB\tc a b\n")
    with pytest.raises(UserError, match="not written as the recognizer's texts are, such as 'BAD': these are normalized, 'bad'"):
        Decoder(recognizer(), SearchSettings(lexicon=str(folder / "shouted.txt")))
    (folder / "phones.txt").write_text("bad\tB AE D\n")
    with pytest.raises(UserError, match="phones against letters"):
        Decoder(recognizer(), SearchSettings(lexicon=str(folder / "phones.txt")))
    with pytest.raises(UserError, match="neither a folder nor a baseline"):
        Decoder(recognizer(), weighed(folder, lm=str(folder / "nowhere")))


def test_words_that_cannot_be_spelled_are_counted(folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT + "a zoo\n")
    train_ngram([folder / "text.txt"], folder / "zoo.arpa", order=2)
    decoder = Decoder(recognizer(), weighed(folder, lm=str(folder / "zoo.arpa")))
    (note,) = decoder.notes
    assert note.startswith("1 of 5 words of the language model ")
    assert note.endswith("are left out, for the recognizer lacks their letters: zoo")


def test_a_model_of_which_few_words_can_be_spelled_is_refused(folder: Path) -> None:
    (folder / "text.txt").write_text("a zoo is a house\n")
    train_ngram([folder / "text.txt"], folder / "zoo.arpa", order=2)
    with pytest.raises(UserError, match=r"spell 1 of 4 words of .* not such as 'house'\. Usual causes"):
        Decoder(recognizer(), weighed(folder, lm=str(folder / "zoo.arpa")))


def test_symbols_in_angle_brackets_are_never_written() -> None:
    symbols = ("<blank>", "<unk>", *SYMBOLS[1:])
    found = Decoder(recognizer(symbols), SearchSettings(beam=20))(emissions(symbols=7), 20)
    assert all(1 not in hypothesis.tokens for hypotheses in found for hypothesis in hypotheses)
    (greedy, *_), *_ = Decoder(recognizer(symbols), SearchSettings())(emissions(symbols=7))
    assert 1 in greedy.tokens


def test_phones_are_words_by_a_lexicon(folder: Path) -> None:
    (folder / "phones.txt").write_text("bad\tB AE D\ncab\tK AE B\na\tAH\n")
    phones = recognizer(("<blank>", "AE", "AH", "B", "D", "K"), "phones")
    decoder = Decoder(phones, weighed(folder, lexicon=str(folder / "phones.txt")))
    scores = torch.full((1, 10, 6), 0.02).scatter(2, torch.tensor([[5, 1, 0, 3, 2, 3, 1, 1, 4, 0]])[..., None], 0.9).log()
    (found,) = decoder(Emissions(scores, torch.tensor([10])))
    assert found[0].text == "cab a bad"
    assert found[0].ends == (3, 4, 7)


def test_a_language_model_of_texts_that_were_normalized_otherwise_is_refused(folder: Path) -> None:
    train_ngram([folder / "text.txt"], folder / "plain", normalization="plain")
    train_ngram([folder / "text.txt"], folder / "en", normalization="en")
    Decoder(recognizer(), weighed(folder, lm=str(folder / "plain")))
    for changed in ({"lm": str(folder / "en")}, {"rescore": str(folder / "en"), "rescore_weight": 1.0}):
        with pytest.raises(UserError, match="en is of texts normalized by 'en', and these are normalized by 'plain'"):
            Decoder(recognizer(), weighed(folder, **changed))


@pytest.mark.parametrize("settings", [{"word_weight": 1.0}, {"rescore_word_weight": 1.0, "beam": 4}])
def test_a_word_weight_of_nothing_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match="word weight"):
        SearchSettings(**settings)  # type: ignore[arg-type]
