"""`foresay corpus`: what is printed, and the exit codes."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.cli import main
from reference.tiny_corpora import clip, lines


@pytest.fixture
def corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Import six digits of two speakers and something that is none."""
    source = tmp_path / "digits"
    source.mkdir()
    for n, name in enumerate(("0_eva_0", "1_eva_1", "2_eva_9", "3_adam_3", "4_adam_7", "5_adam_8")):
        soundfile.write(source / f"{name}.wav", np.random.default_rng(n).uniform(-0.5, 0.5, 4000), 8000)
    (source / "about.wav").touch()
    assert main(["corpus", "import", "digits", str(source), str(tmp_path / "corpus")]) == 0
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert printed == [
        str(tmp_path / "corpus"),
        "manifest.jsonl 6 items 3.0 s 2 speakers all transcribed",
        "train.jsonl 3 items 1.5 s 2 speakers all transcribed",
        "test.jsonl 3 items 1.5 s 2 speakers all transcribed",
        "skipped 1:",
        f"{source / 'about.wav'}: its name is not DIGIT_SPEAKER_TAKE.wav",
        f"all that was not used, and why: {tmp_path / 'corpus' / 'skipped.tsv'}",
        "note: speakers in test: adam, eva",
        "note: speakers in both train and test: 2 (adam, eva)",
    ]
    return tmp_path / "corpus" / "manifest.jsonl"


def test_check_ends_with_2_if_something_cannot_be_used(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "check", str(corpus)]) == 0
    assert capsys.readouterr().out.splitlines() == ["corpus: 6 items, 3.0 s, all decoded", "everything can be used"]
    (corpus.parent.parent / "digits" / "0_eva_0.wav").unlink()
    assert main(["corpus", "check", str(corpus)]) == 2
    printed = capsys.readouterr().out
    assert "      1  missing: CANNOT BE USED" in printed
    assert "0_eva_0: there is no file" in printed
    assert "1 item cannot be used: mend what is wrong, or delete those lines from the manifest" in printed


def test_the_end_of_a_check_agrees_with_what_was_found(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(corpus.parent.parent / "digits" / "0_eva_0.wav", np.zeros(4000), 8000)
    assert main(["corpus", "check", str(corpus)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "everything can be decoded, but check what is doubtful: 1 silent"
    lines = corpus.read_text().splitlines()
    lines[1] = lines[1].replace("}", ', "phones": [[0, 250, "w"], [250, 500, "n"]]}')
    corpus.write_text("\n".join(lines))
    assert main(["corpus", "check", str(corpus)]) == 2
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "the phones of 1 item cannot be used: import the corpus again with the right times",
        "the rest can be decoded, but check what is doubtful: 1 silent",
    ]


def test_stats(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "stats", str(corpus)]) == 0
    printed = capsys.readouterr().out
    assert "  per item      0.50 to 0.50 s, median 0.50 s" in printed
    assert "  labels        0 1, 1 1, 2 1, 3 1, 4 1, 5 1" in printed


@pytest.mark.parametrize(
    "words, code, printed",
    [
        ([], 2, "usage: foresay corpus make|import|align|pack|check|stats"),
        (["--help"], 0, "usage: foresay corpus make|import|align|pack|check|stats"),
        (["make"], 2, "usage: foresay corpus make CORPUS DEST"),
        (["make", "--help"], 0, "sines         Sines of two classes, low and high"),
        (["import"], 2, "usage: foresay corpus import CORPUS SRC DEST"),
        (["import", "--help"], 0, "  LibriSpeech, and what is laid out like it"),
        (["chek"], 2, 'foresay: foresay corpus chek: did you mean "check"?'),
        (["import", "timt", "a", "b"], 2, "there is no corpus 'timt': did you mean \"timit\"?"),
        (["import", "folder", "a", "b", "--split", "train"], 2, "--split takes NAME=FILE, such as train=train_split.txt, not 'train'"),
        (["make", "timit", "x"], 2, "there is no corpus 'timit' that can be made: Known: bars, "),
        (["stats", "gone.jsonl"], 2, "there is no manifest"),
    ],
)
def test_help_and_mistakes(words: list[str], code: int, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", *words]) == code
    captured = capsys.readouterr()
    assert printed in captured.out + captured.err


def test_a_made_corpus_is_described_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["corpus", "make", "sines", str(tmp_path / "sines"), "--train", "4", "--test", "2"]
    for first_line in ("made", "was there already"):
        assert main(words) == 0
        printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        assert printed[0].endswith(first_line)
        assert printed[1:] == [
            "train.jsonl 4 items 4.0 s 1 speaker 0 transcribed, 4 not",
            "test.jsonl 2 items 2.0 s 1 speaker 0 transcribed, 2 not",
            "manifest.jsonl 6 items 6.0 s 1 speaker 0 transcribed, 6 not",
        ]


@pytest.mark.parametrize("words", [["make", "demo"], ["make", "bars"], ["make", "digit-pairs"], ["import", "timit"], ["check"], ["stats"]])
def test_every_action_shows_its_own_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["corpus", *words, "--help"])
    assert f"usage: foresay corpus {' '.join(words)} " in capsys.readouterr().out


@pytest.mark.parametrize("words", [["import", "digits", "CORPUS", "to"], ["align", "CORPUS", "to.jsonl"], ["check", "CORPUS"]])
def test_somebody_must_do_the_work(words: list[str], corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = corpus.parent.parent / "digits" if words[0] == "import" else corpus
    assert main(["corpus", *(str(source) if word == "CORPUS" else word for word in words), "--workers", "0"]) == 2
    assert "workers must be 1 or more, not 0" in capsys.readouterr().err


def test_pairs_beside_the_manifests_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"id1000{speaker}/{video}/00001" for speaker in range(4) for video in ("va", "vb")]
    for name in names:
        clip(tmp_path / "vox" / "wav" / f"{name}.wav")
    lines(tmp_path / "vox" / "veri_test2.txt", f"1 {names[6]}.wav {names[7]}.wav")
    words = ["corpus", "import", "voxceleb1", str(tmp_path / "vox"), str(tmp_path / "asv"), "--task", "asv", "--valid-speakers", "2"]
    assert main(words) == 0
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert printed[5:7] == ["valid-trials.txt 6 pairs", "test-trials.txt 1 pair"]


def test_two_lists_of_one_split_are_refused(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = [corpus.parent.parent / name for name in ("one.txt", "two.txt")]
    for number, path in enumerate(lists):
        path.write_text(f"{number}_eva_{number}\n")
    splits = [word for path in lists for word in ("--split", f"train={path}")]
    assert main(["corpus", "import", "digits", str(corpus.parent.parent / "digits"), str(corpus.parent / "to"), *splits]) == 2
    assert "--split train was given twice" in capsys.readouterr().err
    assert not (corpus.parent / "to").exists()
