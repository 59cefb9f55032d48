"""A recognizer from few labels, on the embedded corpus: pre-train, fine-tune on minutes of transcripts, decode with language models.

Aligned CPC is trained on all speech without its transcripts. Then recognizers of letters are trained on 1, 3 and 10 minutes with theirs:
on that encoder, which stays as it is, and with the same network from scratch, encoder and all, with as many updates of the same audio.
"""

from dataclasses import dataclass
from pathlib import Path

from foresay.corpora.manifest import Manifest
from foresay.progress import stage
from foresay.workflows.demos import Demo, Scale, Shown
from foresay.workflows.demos._transcribed import SPEECH, TEXTS, transcribed
from foresay.workflows.experiment import Command
from foresay.workflows.few_labels import EncoderChoice, FewLabels
from foresay.workflows.report import report

PAST, FUTURE = 'data.augment_past=["gain"]', 'data.augment_future=["gain"]'
"""Recordings to come may be louder or softer than those that are learnt from."""


@dataclass(frozen=True)
class Size:
    """How much is done."""

    corpus: float
    """Minutes of speech made."""
    labelled: tuple[float, ...]
    """Minutes of it with transcripts."""
    pretraining: int
    """Updates, of half an hour of speech."""
    recognizers: int
    transformer: int
    sentences: int
    """For the language models."""


SIZES = {
    "full": Size(40.0, (1.0, 3.0, 10.0), pretraining=800, recognizers=800, transformer=400, sentences=20_000),
    "tiny": Size(12.0, (1.0, 5.0), pretraining=200, recognizers=300, transformer=50, sentences=2_000),
}


class RecognitionDemo(Demo):
    """Recognizers from few labels."""

    def __call__(self, parent: Path, scale: Scale, corpus: Path | None = None) -> Shown:
        """Make the corpus, train all, measure them, and write the table and the report.

        Raises:
            UserError: a corpus is given that lacks something.
        """
        size, place = SIZES[scale], parent / "recognition"
        corpus, texts = transcribed(corpus, parent, size.corpus, place / TEXTS, size.sentences)
        pretrained = place / "acpc"
        experiment = FewLabels(
            corpus,
            place,
            (
                EncoderChoice("pretrained", str(pretrained)),
                EncoderChoice("scratch", f"untrained:{pretrained}", ("model.freeze=nothing", "model.encoder_rate=0.3", PAST)),
            ),
            size.labelled,
            texts,
            recipes=("ctc-tiny",) * len(size.labelled),
            overrides=("data.seconds=10", "data.longest=10", f"trainer.steps={size.recognizers}"),
            transformer=(f"trainer.steps={size.transformer}",),
        )
        speech = next(path for name in SPEECH if (path := corpus / name).is_file())
        data = ("--corpus", str(speech), "--valid", str(corpus / "valid.jsonl"))
        # Half the channels of demo-acpc: recognition loses little, and every update takes a third of the time.
        smaller = ("--set", "model.channels=64", "--set", f"trainer.steps={updates(size, speech)}", "--set", PAST, "--set", FUTURE)
        experiment.do([Command(("pretrain", "demo-acpc", *data, "--run", str(pretrained), *smaller))])
        runs = tuple(experiment.runs.values())
        with stage("writing the report"):
            page = report(runs, place / "report.html")
        best = experiment.run(experiment.encoders[0], size.labelled[-1])
        return Shown(
            corpus,
            runs,
            page,
            [row for rates in experiment.results("test").values() for row in rates.values()],
            experiment.table("test"),
            (
                f"foresay transcribe {best} {corpus / 'test.jsonl'} --search {best / 'transformer.toml'}",
                f"foresay errors {best} {experiment.run(experiment.encoders[1], size.labelled[-1])}",
            ),
        )


def updates(size: Size, speech: Path) -> int:
    """Return how many updates of pre-training as much speech is worth: of more than half an hour more, up to three times as many."""
    half_hours = round(float(Manifest.open(speech).durations.sum()) / 1800, 1)
    return round(size.pretraining * min(max(half_hours, 1), 3))
