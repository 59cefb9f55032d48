"""The lecture's recognizers on the embedded corpus: CTC, attention, a transducer and HMMs, from the same transcripts, with the same text.

All learn from features made by hand and transcripts alone, without pre-training. The control learns from the texts of other recordings:
what it gets right, letters, words and the language model get right without any audio. The report shows where each finds the text of the
same utterance.
"""

from dataclasses import dataclass
from pathlib import Path

from foresay.progress import stage
from foresay.workflows.demos import Demo, Scale, Shown
from foresay.workflows.demos._transcribed import TEXTS, transcribed
from foresay.workflows.experiment import transcribed_minutes
from foresay.workflows.recognizers import Recognizers, lecture
from foresay.workflows.report import report


@dataclass(frozen=True)
class RecognizersScale:
    """How much is done."""

    corpus: float
    """Minutes of speech made."""
    minutes: float
    """Of it with transcripts that is learnt from."""
    share: float
    """Of the updates of the recipes."""
    sentences: int
    """For the language models."""


SCALES = {
    "full": RecognizersScale(40.0, 30.0, share=1.0, sentences=20_000),
    "tiny": RecognizersScale(12.0, 5.0, share=0.2, sentences=2_000),
}


class RecognizersDemo(Demo):
    """The recognizers of the lecture."""

    def __call__(self, parent: Path, scale: Scale, corpus: Path | None = None) -> Shown:
        """Make the corpus, train all, measure them, and write the table and the report.

        Raises:
            UserError: a corpus is given that lacks something.
        """
        size, place = SCALES[scale], parent / "recognizers"
        made = corpus is None
        corpus, texts = transcribed(corpus, parent, size.corpus, place / TEXTS, size.sentences)
        experiment = Recognizers(corpus, place, lecture(size.share), (min(size.minutes, transcribed_minutes(corpus)),), texts, made)
        experiment.do()
        runs = tuple(experiment.runs.values())
        with stage("writing the report"):
            page = report(runs, place / "report.html")
        found = [row for rates in experiment.results().values() for row in rates.values()]
        return Shown(corpus, runs, page, found, experiment.table(), (f"foresay errors {' '.join(map(str, runs))}",))
