"""A recognizer by states: its own lexicon, a file's, or none; language models of words and of its symbols; times of what it recognizes."""

from pathlib import Path

import pytest
import soundfile
import torch

from foresay.contracts import Encoded
from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.decoding.hmm_search import StateMoves, StateSearch
from foresay.decoding.weights import Weights
from foresay.encoding.search_settings import TOKENS, SearchSettings
from foresay.encoding.searches import Decoder
from foresay.encoding.transcripts import transcribed
from foresay.errors import UserError
from foresay.workflows.language_models import train_ngram
from reference.toy_states import PRONUNCIATIONS, SYMBOLS, ToyStates, spoken

BAT_AT = [0, 0, 3, 3, 1, 2, 2, 4, 5, 0, 1, 2, 4, 4, 5, 0]


def encoded(states: list[int]) -> Encoded:
    waveforms = spoken(states)
    frames = ToyStates().features(waveforms, torch.tensor([waveforms.shape[1]]))
    return Encoded(frames.values["likelihoods"], frames.lengths["likelihoods"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    (place / "words.txt").write_text("bat at\ntab at\nbat at ba\n")
    (place / "phones.txt").write_text("b a t\na t a b\nt a b\n")
    train_ngram([place / "words.txt"], place / "words.arpa", order=2)
    train_ngram([place / "phones.txt"], place / "phones.arpa", order=2)
    (place / "lexicon.txt").write_text("bat\tb a t\nAt\ta t\nat\ta t\n")
    return place


def test_its_own_lexicon_is_searched_without_a_language_model() -> None:
    decoder = Decoder(ToyStates(PRONUNCIATIONS), SearchSettings())
    ((best,),) = decoder(encoded(BAT_AT))
    assert (best.text, best.ends) == ("bat at", (3, 5))
    assert (decoder.words, decoder.width, decoder.notes) == (tuple(PRONUNCIATIONS), TOKENS, [])
    assert decoder.outside(["bat tat"]) == {"tat": 1}
    spelled = {word: [[SYMBOLS.index(phone) for phone in one] for one in several] for word, several in PRONUNCIATIONS.items()}
    for beam in (1, 50):
        by_hand = StateSearch(spelled, StateMoves(ToyStates().topology), scale=0.5, beam=beam, weights=Weights(words=2.0))
        unclear = Encoded(encoded(BAT_AT).frames * 0.05, torch.tensor([16]))
        assert Decoder(ToyStates(PRONUNCIATIONS), SearchSettings(beam=beam, word_weight=2.0))(unclear) == by_hand(unclear)


def test_without_a_lexicon_its_symbols_are_searched(folder: Path) -> None:
    decoder = Decoder(ToyStates(), SearchSettings())
    ((best,),) = decoder(encoded(BAT_AT))
    assert (best.text, best.ends, decoder.outside(["tat"])) == ("b a t a t", (), None)
    with_model = Decoder(ToyStates(PRONUNCIATIONS), SearchSettings(str(folder / "phones.arpa"), 0.5, 0.0))
    ((best,),) = with_model(encoded(BAT_AT))
    assert best.text == "b a t a t"
    assert best.language < 0
    assert with_model.words == ()


def test_a_language_model_of_words_takes_the_lexicon(folder: Path) -> None:
    """Of a recording that says nothing, what the model says comes out; a weight of 0 is the lexicon alone."""
    model, silent = str(folder / "words.arpa"), Encoded(torch.zeros(1, 8, 6), torch.tensor([8]))
    decoder = Decoder(ToyStates(PRONUNCIATIONS), SearchSettings(model, 1.0, 0.0))
    ((best,),) = decoder(encoded(BAT_AT))
    assert best.text == "bat at"
    assert best.score == pytest.approx(best.acoustic + best.language)
    free, weighed = (Decoder(ToyStates(PRONUNCIATIONS), SearchSettings(model, a, 3.0)) for a in (0.0, 2.0))
    alone = Decoder(ToyStates(PRONUNCIATIONS), SearchSettings(word_weight=3.0, beam=TOKENS))
    assert free(silent)[0][0].score == pytest.approx(alone(silent)[0][0].score)
    assert weighed(silent)[0][0].language > free(silent)[0][0].language
    other = Decoder(ToyStates(PRONUNCIATIONS), SearchSettings(model, 1.0, 0.0, str(folder / "lexicon.txt")))
    assert other(encoded(BAT_AT))[0][0].text == "bat at"
    assert other.notes == ["1 of 3 words of the lexicon are unknown to the language model: At"]
    more = Decoder(ToyStates(PRONUNCIATIONS | {"aba": (("a", "b", "a"),)}), SearchSettings(model, 1.0, 0.0))
    assert more.notes == ["1 of 5 words of the lexicon are unknown to the language model: aba"]


def test_what_does_not_fit_is_refused(folder: Path) -> None:
    (folder / "hot.txt").write_text("tat\n")
    with pytest.raises(UserError, match=r"say how the words are pronounced \(--lexicon"):
        Decoder(ToyStates(), SearchSettings(str(folder / "words.arpa"), 1.0, 0.0))
    with pytest.raises(UserError, match="'tat' is not in the lexicon"):
        Decoder(ToyStates(PRONUNCIATIONS), SearchSettings(hot_words=str(folder / "hot.txt"), hot_weight=1.0))
    (folder / "other.txt").write_text("at\tAE T\n")
    with pytest.raises(UserError, match="lexicon spells words in symbols that the vocabulary of 4 phones lacks"):
        Decoder(ToyStates(), SearchSettings(lexicon=str(folder / "other.txt")))


def test_hot_words_are_boosted(folder: Path) -> None:
    (folder / "hot.txt").write_text("at\n")
    decoder = Decoder(ToyStates(PRONUNCIATIONS), SearchSettings(hot_words=str(folder / "hot.txt"), hot_weight=2.0))
    ((best,),) = decoder(encoded(BAT_AT))
    assert best.text == "bat at"
    assert best.score == pytest.approx(best.acoustic + 4)  # of two phones


def test_words_of_a_recording_have_times_and_confidences(tmp_path: Path) -> None:
    items = []
    for name, states in (("long", BAT_AT), ("short", [1, 2, 4, 5]), ("silence", [0] * 5)):
        soundfile.write(tmp_path / f"{name}.wav", spoken(states)[0].numpy(), 16000, subtype="FLOAT")
        items.append(Item(name, audio=tmp_path / f"{name}.wav", duration=len(states) / 100, sample_rate=16000))
    write_manifest(tmp_path / "m.jsonl", items)
    decoder = Decoder(ToyStates(PRONUNCIATIONS), SearchSettings())
    found = {one.id: one for one in transcribed(decoder, Manifest.open(tmp_path / "m.jsonl"), "cpu")}
    assert {name: one.text for name, one in found.items()} == {"long": "bat at", "short": "at", "silence": ""}
    bat, at = found["long"].words
    assert (bat.text, bat.start, bat.end) == ("bat", pytest.approx(0.02), pytest.approx(0.09))
    assert (at.text, at.start, at.end) == ("at", pytest.approx(0.10), pytest.approx(0.15))
    assert 0.8 < bat.confidence < 1
