"""QUESST 2014 on a tiny copy of its layout."""

from pathlib import Path

import pytest

from foresay.errors import UserError
from foresay.workflows.corpus import import_corpus
from reference.tiny_corpora import clip, items, lines

TRUTH = "groundtruth_quesst14_{0}/quesst14_{0}.rttm"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make 3 English documents and 1 Czech one, and 2 queries of each part, one English."""
    source = tmp_path / "quesst14Database"
    places = {
        "utterances": [f"Audio/quesst14_0000{n}.wav" for n in range(4)],
        "dev": [f"dev_queries/quesst14_dev_000{n}.wav" for n in range(2)],
        "eval": [f"eval_queries/quesst14_eval_000{n}.wav" for n in range(2)],
    }
    for part, paths in places.items():
        languages = ["nnenglish"] * (len(paths) - 1) + ["czech"]
        lines(
            source / "scoring" / f"language_key_{part}.lst", *(f"quesst14Database/{a} {b}" for a, b in zip(paths, languages, strict=True))
        )
        for path in paths:
            clip(source / path)
    for part in ("dev", "eval"):
        hits = [(0, 0), (2, 0), (2, 0), (3, 1), (3, 0)]
        rows = (f"LEXEME quesst14_0000{document} 1 0.00 4.5 quesst14_{part}_000{query} lex <NA> <NA>" for document, query in hits)
        lines(source / "scoring" / TRUTH.format(part), f"SPEAKER quesst14_00001 1 quesst14_{part}_0000", "LEXEME quesst14_00001 1", *rows)
    return source


def test_english_only(source: Path, tmp_path: Path) -> None:
    found = import_corpus("quesst14", source, tmp_path / "qbe")
    assert {split: [item.id for item in items(tmp_path / "qbe", split)] for split in ("documents", "valid-queries", "test-queries")} == {
        "documents": ["quesst14_00000", "quesst14_00001", "quesst14_00002"],
        "valid-queries": ["quesst14_dev_0000"],
        "test-queries": ["quesst14_eval_0000"],
    }
    for split, part in (("valid", "dev"), ("test", "eval")):
        relevant = (tmp_path / "qbe" / f"{split}-relevant.txt").read_text()
        assert relevant == f"quesst14_{part}_0000 quesst14_00000\nquesst14_{part}_0000 quesst14_00002\n"
    assert found.pairs == {"valid-relevant.txt": 2, "test-relevant.txt": 2}
    assert not found.skipped


def test_lists_may_lie_beside_the_audio(source: Path, tmp_path: Path) -> None:
    for path in (source / "scoring").glob("*.lst"):
        path.write_text(path.read_text().replace("quesst14Database/", "./").replace(" ", "\t"))
        path.rename(source / path.name)
    assert import_corpus("quesst14", source, tmp_path / "qbe").pairs == {"valid-relevant.txt": 2, "test-relevant.txt": 2}


@pytest.mark.parametrize("name", ["language_key_dev.lst", TRUTH.format("dev"), TRUTH.format("eval")])
def test_a_missing_list(name: str, source: Path, tmp_path: Path) -> None:
    (source / "scoring" / name).unlink()
    with pytest.raises(UserError, match=f"quesst14Database has no scoring/{name}"):
        import_corpus("quesst14", source, tmp_path / "qbe")
    assert not (tmp_path / "qbe").exists()


def test_a_list_of_something_else(source: Path, tmp_path: Path) -> None:
    lines(source / "scoring" / "language_key_eval.lst", "quesst14Database/eval_queries/quesst14_eval_0000.wav czech")
    with pytest.raises(UserError, match=r"language_key_eval\.lst in .* lists no nnenglish, only czech"):
        import_corpus("quesst14", source, tmp_path / "qbe")
    lines(source / "scoring" / "language_key_eval.lst", "eval nnenglish")
    with pytest.raises(UserError, match="holds 'eval nnenglish', not `quesst14Database/FOLDER/FILE.wav LANGUAGE`"):
        import_corpus("quesst14", source, tmp_path / "qbe")


def test_an_unknown_document_is_refused(source: Path, tmp_path: Path) -> None:
    lines(source / "scoring" / TRUTH.format("eval"), "LEXEME quesst14_00009 1 0.00 4.5 quesst14_eval_0000 lex <NA> <NA>")
    with pytest.raises(UserError, match=r"quesst14_eval\.rttm names quesst14_00009, which is no document"):
        import_corpus("quesst14", source, tmp_path / "qbe")


def test_what_is_listed_and_missing_is_skipped(source: Path, tmp_path: Path) -> None:
    (source / "Audio" / "quesst14_00002.wav").unlink()
    found = import_corpus("quesst14", source, tmp_path / "qbe")
    assert [one.path.name for one in found.skipped] == ["quesst14_00002.wav", "valid-relevant.txt", "test-relevant.txt"]
    assert found.pairs == {"valid-relevant.txt": 1, "test-relevant.txt": 1}
