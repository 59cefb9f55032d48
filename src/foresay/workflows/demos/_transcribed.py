"""The corpus of a demonstration of recognizers: the embedded one, or the user's, and text for its language models."""

from pathlib import Path

from foresay import draws
from foresay.corpora.made.demo import EmbeddedCorpus
from foresay.corpora.made.sentences import write_sentences
from foresay.errors import UserError
from foresay.progress import stage

TEXTS = "texts.txt"
"""What the language models learn from; nothing of it is spoken in the corpus."""
SPEECH = ("unlabelled.jsonl", "train.jsonl")
"""What is pre-trained on: the first that is there."""


def transcribed(corpus: Path | None, parent: Path, minutes: float, texts: Path, sentences: int) -> tuple[Path, Path]:
    """Return the corpus and its texts: those that are given, or `parent / "demo-corpus"` and `texts`, made where they are not there yet.

    Raises:
        UserError: the corpus that is given lacks something.
    """
    if corpus is not None:
        return _checked(corpus), corpus / TEXTS
    corpus = parent / "demo-corpus"
    with stage(f"making a corpus of {minutes:.0f} minutes"):
        EmbeddedCorpus(minutes=minutes).make(corpus)
    write_sentences(texts, sentences, draws.made(0, 0, 1), besides=corpus / "manifest.jsonl")
    return corpus, texts


def _checked(corpus: Path) -> Path:
    missing = [name for name in ("train.jsonl", "valid.jsonl", "test.jsonl", TEXTS) if not (corpus / name).is_file()]
    if missing:
        msg = (
            f"{corpus} lacks {', '.join(missing)}: it takes transcribed speech to train, tune and test on, {TEXTS} for language models, "
            f"a sentence a line, and, if there is more speech without transcripts, {SPEECH[0]} to pre-train on"
        )
        raise UserError(msg)
    return corpus
