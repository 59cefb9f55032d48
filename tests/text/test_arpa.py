"""ARPA files: written and read again the same; what other toolkits write; what cannot be."""

import gzip
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foresay.errors import UserError
from foresay.models.generation._kneser_ney import estimate
from foresay.text.arpa import read_arpa, write_arpa
from foresay.text.ngram_tables import NGrams

TOY = """\
# of SRILM

\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-0.5 <unk>
-99\t<s>\t-0.25
-0.4\tcat\t-0.125
-0.6\t</s>
-0.3 the  -0.5

\\2-grams:
-0.1\tthe cat\t0.0
-0.2\t<s> the\t-0.75
-inf\tcat </s>

\\3-grams:
-0.05\t<s> the cat

\\end\\
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "toy.arpa"
    path.write_bytes(text.encode())
    return path


def _grams(sentences: list[list[int]], order: int) -> NGrams:
    words = ("a", "b\N{NO-BREAK SPACE}c", "\N{GREEK SMALL LETTER ALPHA}")
    stream = [token for sentence in sentences for token in (5, *sentence, 4)]
    return estimate(np.array(stream), words, order).grams


def _same(one: NGrams, other: NGrams) -> bool:
    tables = [(*grams.keys, *grams.log_probabilities, *grams.backoffs) for grams in (one, other)]
    return one.words == other.words and all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(*tables, strict=True))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=8), st.integers(1, 5))
def test_written_and_read_again_it_is_the_same(tmp_path_factory: pytest.TempPathFactory, sentences: list[list[int]], order: int) -> None:
    path = tmp_path_factory.mktemp("arpa") / "model.arpa"
    grams = _grams(sentences, order)
    write_arpa(grams, path)
    read = read_arpa(path)
    assert _same(grams, read)
    write_arpa(read, path.with_name("again.arpa"))
    assert path.read_bytes() == path.with_name("again.arpa").read_bytes()


def test_a_file_of_another_toolkit_by_hand(tmp_path: Path) -> None:
    grams = read_arpa(_file(tmp_path, TOY))
    ten = math.log(10)
    assert grams.words == ("cat", "the")  # <unk> 2, </s> 3, <s> 4
    assert [keys.tolist() for keys in grams.keys] == [[0, 1, 2, 3, 4], [0 * 5 + 3, 1 * 5 + 0, 4 * 5 + 1], [2 * 5 + 0]]
    assert grams.log_probabilities[0].tolist() == pytest.approx([-0.4 * ten, -0.3 * ten, -0.5 * ten, -0.6 * ten, -99 * ten])
    assert grams.log_probabilities[1].tolist() == pytest.approx([-99 * ten, -0.1 * ten, -0.2 * ten])
    assert grams.log_probabilities[2].tolist() == pytest.approx([-0.05 * ten])
    assert grams.backoffs[0].tolist() == pytest.approx([-0.125 * ten, -0.5 * ten, 0, 0, -0.25 * ten])
    assert grams.backoffs[1].tolist() == pytest.approx([0, 0, -0.75 * ten])


def test_what_is_written_by_hand(tmp_path: Path) -> None:
    grams = read_arpa(_file(tmp_path, TOY))
    write_arpa(grams, tmp_path / "written.arpa")
    written = (tmp_path / "written.arpa").read_text(encoding="utf-8")
    assert written.startswith("\\data\\\nngram 1=5\nngram 2=3\nngram 3=1\n\n\\1-grams:\n-0.4")
    assert "\n-0.4\tcat\t-0.125" in written
    assert "\t</s>\n" in written
    assert "\tthe cat\t0\n" in written
    assert written.endswith("\t<s> the cat\n\n\\end\\\n")


def test_gzipped_with_other_line_ends_and_another_name_of_the_unknown_word(tmp_path: Path) -> None:
    zipped = tmp_path / "toy.arpa.gz"
    zipped.write_bytes(gzip.compress(TOY.replace("\n", "\r\n").replace("<unk>", "<UNK>").encode()))
    assert _same(read_arpa(zipped), read_arpa(_file(tmp_path, TOY)))


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda t: t.replace("\\end\\\n", ""), r"ends before \\end\\: it was cut short"),
        (lambda t: t[:150], r"ends before .3-grams"),
        (lambda t: t.replace("ngram 2=3", "ngram 2=4"), "has 3 2-grams, and its header says 4"),
        (lambda t: t.replace("ngram 2=3\n", ""), r"line 5: 'ngram 3=1' where `ngram 2=.*no order is left out"),
        (lambda t: t.replace("\\2-grams:", "\\3-grams:"), r"line 15: .* where \\2-grams: was expected"),
        (lambda t: t.replace("\\data\\", "iARPA\n\\data\\"), "iARPA of IRSTLM"),
        (lambda _: "hello\n", "is no ARPA file.*'hello'"),
        (lambda _: "", "is no ARPA file"),
        (lambda t: t.replace("-0.4\t", "0.4\t"), "line 11: log10 p is 0.4"),
        (lambda t: t.replace("-0.4\t", "nan\t"), "line 11: log10 p is nan"),
        (lambda t: t.replace("-0.4\t", "x\t"), "line 11: 'x' is no number"),
        (lambda t: t.replace("<unk>", "unk"), "lacks <unk>"),
        (lambda t: t.replace("</s>", "<end>"), "lacks </s>"),
        (lambda t: t.replace("<s>", "<begin>"), "lacks <s>"),
        (lambda t: t.replace("<s> the\t", "<s> dog\t"), "line 17: 'dog' is not among the 1-grams"),
        (lambda t: t.replace("<s> the\t", "the cat\t"), "lines 16 and 17: the same 2-gram 'the cat'"),
        (lambda t: t.replace("<s> the cat", "the the cat"), r"line 21: 'the the cat' begins with 'the the', .*\(1 are like it"),
        (lambda t: t.replace("<s> the\t-0.75", "<s> the"), "line 17: '<s> the' has no back-off weight"),
        (lambda t: t.replace("-0.05\t<s> the cat", "-0.05\t<s> cat"), "line 21: .* is no 3-gram"),
        (lambda t: t.replace("-0.05\t<s> the cat", "-0.05\t<s> the the cat cat"), "line 21: .* is no 3-gram"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, change: Callable[[str], str], why: str) -> None:
    with pytest.raises(UserError, match=why):
        read_arpa(_file(tmp_path, change(TOY)))


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "toy.arpa"
    for content, why in {
        b"mmap lm http://kheafield.com/code format version 5\n\0": "binary file of KenLM.*give the ARPA file",
        gzip.compress(TOY.encode()): "is gzipped, and its name does not end in .gz",
        TOY.encode().replace(b"cat", b"c\xe4t"): "damaged, or no ARPA file in UTF-8",
    }.items():
        path.write_bytes(content)
        with pytest.raises(UserError, match=why):
            read_arpa(path)
    path.with_suffix(".gz").write_bytes(TOY.encode())
    with pytest.raises(UserError, match="not gzipped, though its name ends in .gz"):
        read_arpa(path.with_suffix(".gz"))
    path.with_suffix(".gz").write_bytes(gzip.compress(TOY.encode())[:-20])
    with pytest.raises(UserError, match="damaged"):
        read_arpa(path.with_suffix(".gz"))
    with pytest.raises(UserError, match="No such file"):
        read_arpa(tmp_path / "none.arpa")


def test_unknown_words_in_capitals_stand_in_longer_n_grams_too(tmp_path: Path) -> None:
    longer = TOY.replace("cat </s>", "the <unk>")
    assert _same(read_arpa(_file(tmp_path, longer)), read_arpa(_file(tmp_path, longer.replace("<unk>", "<UNK>"))))


def test_a_byte_order_mark_is_no_text_and_an_endless_back_off_weight_no_number(tmp_path: Path) -> None:
    assert _same(read_arpa(_file(tmp_path, f"\ufeff{TOY}")), read_arpa(_file(tmp_path, TOY)))
    with pytest.raises(UserError, match="back-off weight is inf, which must be finite"):
        read_arpa(_file(tmp_path, TOY.replace("the  -0.5", "the  inf")))
