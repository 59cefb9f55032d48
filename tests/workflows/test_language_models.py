"""Language models of texts: written, read again, measured, and kept clear of what they are tested on."""

from pathlib import Path

import pytest
import torch

from foresay.cli import main
from foresay.corpora.manifest import Item, write_manifest
from foresay.errors import UserError
from foresay.loading import load, load_language_model
from foresay.models.generation.ngram import NGram
from foresay.workflows.language_models import measure_perplexity, read_sentences, train_ngram
from foresay.workflows.train import run_recipe

TEXT = "the cat sat on the mat\n\nthe dog sat\na cat and a dog\n"


def _text(folder: Path, text: str = TEXT, name: str = "text.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _manifest(folder: Path, *texts: str | None) -> Path:
    items = [Item(id=str(number), image=folder / "no.png", text=text) for number, text in enumerate(texts)]
    write_manifest(folder / "test.jsonl", items)
    return folder / "test.jsonl"


def test_a_folder_and_a_file_hold_the_same_model(tmp_path: Path) -> None:
    done = train_ngram([_text(tmp_path)], tmp_path / "new" / "lm", order=3)
    for name in ("lm.arpa", "lm.arpa.gz"):
        train_ngram([_text(tmp_path)], tmp_path / name, order=3)
    assert (tmp_path / "lm.arpa.gz").read_bytes()[:8] == b"\x1f\x8b\x08\0\0\0\0\0"  # no name and no time
    assert (done.sentences, done.words, done.vocabulary) == (3, 14, 8)
    assert done.ngrams[0] == 11
    models = [load_language_model(tmp_path / name) for name in ("new/lm", "lm.arpa", "lm.arpa.gz")]
    for model in models:
        assert isinstance(model, NGram)
        assert model.settings.order == 3
        assert all(torch.equal(mine, models[0].get_buffer(name)) for name, mine in model.named_buffers())  # type: ignore[attr-defined]
    assert load(tmp_path / "new" / "lm").symbols == models[1].symbols
    found = [measure_perplexity(tmp_path / name, _text(tmp_path)) for name in ("new/lm", "lm.arpa")]
    assert found[0] == found[1]
    assert (found[0].sentences, found[0].words, found[0].symbols, found[0].unknown) == (3, 14, 14, 0)


def test_where_all_of_a_text_is_tested_on_nothing_is_learnt(tmp_path: Path) -> None:
    tested = _manifest(tmp_path, "the cat sat", "a dog")
    with pytest.raises(UserError, match="all 2 sentences overlap with transcripts to be tested on"):
        train_ngram([tested], tmp_path / "lm", exclude=[tested])


def test_letters_are_measured_per_word(tmp_path: Path) -> None:
    train_ngram([_text(tmp_path)], tmp_path / "lm.arpa", unit="letters")
    found = measure_perplexity(tmp_path / "lm.arpa", _text(tmp_path, "a cat\nbat\n", "other.txt"))
    assert (found.words, found.symbols, found.unknown) == (3, 8, 1)
    assert found.per_word > found.of(ends=True, unknown=True)


def test_texts_are_normalized_and_what_is_dropped_is_counted(tmp_path: Path) -> None:
    done = train_ngram([_text(tmp_path, "The cat, 2 cats.\n")], tmp_path / "lm", normalization="librispeech", outside="drop")
    assert load_language_model(done.place).symbols == ("CAT", "CATS", "THE")
    assert done.dropped == {",": 1, ".": 1, "2": 1}
    with pytest.raises(UserError, match=r"sentence 1 has '2' \(DIGIT TWO\)"):
        train_ngram([_text(tmp_path, "The cat, 2 cats.\n")], tmp_path / "other", normalization="librispeech")
    assert measure_perplexity(done.place, _text(tmp_path, "the cat"), normalization="librispeech").unknown == 0


def test_a_folder_keeps_the_normalization_of_its_texts_and_refuses_another(tmp_path: Path) -> None:
    place = train_ngram([_text(tmp_path, "The cat, two cats.\n")], tmp_path / "lm", normalization="librispeech").place
    model = load_language_model(place)
    assert model.normalization == "librispeech"
    assert model.split("The cat!") == ["THE", "CAT"]
    assert measure_perplexity(place, _text(tmp_path, "the cat")).unknown == 0
    with pytest.raises(UserError, match=r"sentence 1 has '2' \(DIGIT TWO\)"):
        measure_perplexity(place, _text(tmp_path, "2 cats"))
    assert measure_perplexity(place, _text(tmp_path, "2 cats"), outside="drop").symbols == 1
    with pytest.raises(UserError, match="is of texts normalized by 'librispeech', and these are normalized by 'plain'"):
        measure_perplexity(place, _text(tmp_path, "the cat"), normalization="plain")
    train_ngram([_text(tmp_path, "The cat\n")], tmp_path / "lm.arpa", normalization="librispeech")
    assert load_language_model(tmp_path / "lm.arpa").normalization is None
    assert measure_perplexity(tmp_path / "lm.arpa", _text(tmp_path, "the cat"), normalization="librispeech").unknown == 0
    assert measure_perplexity(tmp_path / "lm.arpa", _text(tmp_path, "the cat")).unknown == 2


def test_a_recipe_counts_a_text_file_and_normalizes_it(tmp_path: Path) -> None:
    text = _text(tmp_path, "The cat, two cats.\n")
    run_recipe("train", "ngram", text, tmp_path / "run", overrides=("model.normalization=plain", "model.order=2"))
    assert load_language_model(tmp_path / "run").symbols == ("cat", "cats", "the", "two")
    with pytest.raises(UserError, match="an n-gram model learns no subwords"):
        run_recipe("train", "ngram", text, tmp_path / "other", overrides=("model.unit=bpe",))


def test_sentences_that_overlap_with_what_is_tested_are_left_out_and_listed(tmp_path: Path) -> None:
    long = "one two three four five six seven eight nine"
    tested = _manifest(tmp_path, "The dog SAT!", None, long)
    within = f"he said {long.removeprefix('one ').upper()} and left"
    seven = long.removesuffix(" eight nine") + " and no more"
    done = train_ngram([_text(tmp_path, f"{TEXT}{within}\n{seven}\n")], tmp_path / "lm", exclude=[tested])
    assert done.overlapping == ("the dog sat", within)
    assert done.sentences == 3
    assert "eight" not in load_language_model(done.place).symbols
    assert "seven" in load_language_model(done.place).symbols


def test_texts_of_a_manifest_are_read(tmp_path: Path) -> None:
    assert list(read_sentences(_manifest(tmp_path, "a b", None, "c"))) == ["a b", "c"]
    with pytest.raises(UserError, match="has no texts: none of its 2 items"):
        list(read_sentences(_manifest(tmp_path, None, None)))


def test_what_is_no_language_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mfcc is an MFCC, which predicts no symbols"):
        load_language_model("mfcc")
    with pytest.raises(UserError, match=r"no ARPA file by its name"):
        load_language_model(_text(tmp_path))
    (tmp_path / "full").mkdir()
    _text(tmp_path / "full")
    with pytest.raises(UserError, match="is there already"):
        train_ngram([_text(tmp_path)], tmp_path / "full")
    with pytest.raises(UserError, match="n-grams have from 1 to 6 words"):
        train_ngram([_text(tmp_path)], tmp_path / "lm", order=9)
    with pytest.raises(UserError, match="no text to count"):
        train_ngram([_text(tmp_path, "\n \n")], tmp_path / "lm")
    assert not (tmp_path / "lm").exists()


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, tested = str(_text(tmp_path)), str(_manifest(tmp_path, "the dog sat", "a bird, and a cat"))
    arpa = str(tmp_path / "lm.arpa")
    assert (
        main(["lm", "train", text, "--out", arpa, "--order", "2", "--prune", "0", "1", "--exclude", tested, "--normalization", "en"]) == 0
    )
    said = capsys.readouterr().out
    assert "2 sentences, 11 words; 8 different words" in said
    assert "of order 2" in said
    assert "left out, for they overlap with the transcripts to be tested on: 1\n  the dog sat" in said
    assert main(["lm", "perplexity", arpa, tested, "--normalization", "en"]) == 0
    said = capsys.readouterr().out
    assert "2 sentences, 8 words, 8 symbols, of which the model does not know 1 (12.5 %)" in said
    assert "with the ends of sentences" in said
    assert main(["lm"]) == 2
    assert main(["lm", "--help"]) == 0
    assert "foresay lm perplexity runs/4gram" in capsys.readouterr().out
    assert main(["lm", "trian"]) == 2
    assert 'did you mean "train"' in capsys.readouterr().err
