"""wav2vec 2.0 ("A Framework for Self-Supervised Learning of Speech Representations", arXiv:2006.11477): its recognizers, with numbers.

    Tables 9, 10    minutes of labels x language models, beside the same network from scratch
    Tables 11, 12   the most frequent errors, and transcripts with their errors in capitals, by minutes of labels
    Table 13        settings of the pre-training changed one at a time: error rates without a language model

Figure 3 is `foresay evaluate RUN --measures codes:phones` (docs/papers.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foresay import draws
from foresay.corpora.made.demo import EmbeddedCorpus
from foresay.corpora.made.sentences import write_sentences
from foresay.errors import UserError
from foresay.progress import stage
from foresay.reports.error_analysis import KINDS, table_11, utterances
from foresay.workflows.errors import errors
from foresay.workflows.experiment import CER, WER, difference, rate, rates
from foresay.workflows.few_labels import EncoderChoice, FewLabels
from foresay.workflows.reproductions import Measuring, Reproduction, Training
from foresay.workflows.reproductions._tables import markdown
from foresay.workflows.side_by_side import side_by_side

BASELINE, SCRATCH = "pretrained", "scratch"
ABLATIONS: dict[str, tuple[str, ...]] = {
    "continuous targets": ("model.quantized_targets=false",),
    "continuous targets, + MLP": ("model.quantized_targets=false", "model.target_mlp=true"),
    "continuous targets, + separate encoders": ("model.quantized_targets=false", "model.target_mlp=true", "model.separate_encoders=true"),
    "no diversity penalty": ("model.diversity=0",),
    "diversity penalty .2": ("model.diversity=0.2",),
    "no gradient from the quantizer": ("model.quantizer_gradient=false",),
    "K = 200": ("model.negative_count=200",),
    "K = 50, and 50 from the batch": ("model.negative_count=50", "model.batch_negative_count=50"),
    "negatives from any time step": ("model.negatives=any",),
    "no Gumbel noise": ("model.gumbel_noise=false",),
    "U = 1": ("model.edge_steps=1",),
    "U = 10": ("model.edge_steps=10",),
}
"""Rows of Table 13, and what they change."""
PUBLISHED_13 = {
    "continuous targets": 8.58,
    "continuous targets, + MLP": 8.51,
    "continuous targets, + separate encoders": 8.90,
    "no diversity penalty": 8.48,
    "diversity penalty .2": 8.58,
    "no gradient from the quantizer": 8.41,
    "K = 200": 8.12,
    "K = 50, and 50 from the batch": 8.79,
    "negatives from any time step": 8.07,
    "no Gumbel noise": 8.73,
    "U = 1": 9.53,
    "U = 10": 8.07,
}
"""Average error rates on dev-clean and dev-other after 100 hours of labels, in %; of the baseline, 7.97."""
PUBLISHED_9 = {
    "10 min": ("46.9 / 50.9", "9.1 / 15.6", "6.9 / 12.9"),
    "1 h": ("24.5 / 29.7", "5.5 / 11.3", "4.0 / 9.0"),
    "10 h": ("11.1 / 17.6", "4.3 / 9.5", "3.2 / 7.8"),
    "100 h": ("6.1 / 13.3", "3.4 / 8.0", "2.6 / 6.3"),
    "960 h (Table 10)": ("3.4 / 8.5", "2.6 / 6.1", "2.1 / 4.8"),
}
"""BASE, pre-trained on LibriSpeech: test-clean / test-other without a language model, with a 4-gram, with a Transformer, in %."""


@dataclass(frozen=True)
class Scale:
    """How much is done."""

    pretraining: str
    """Recipe."""
    overrides: tuple[str, ...]
    """Of the pre-training."""
    minutes: tuple[float, ...]
    recipes: tuple[str, ...]
    """Of the recognizers, by minutes."""
    finetuning: tuple[str, ...]
    """Overrides of all of them."""
    scratch: tuple[str, ...]
    """Overrides of those from scratch."""
    ablations: tuple[str, ...]
    tests: tuple[str, ...] = ("test",)
    order: int = 4
    transformer: tuple[str, ...] = ()


WHOLE = ("model.freeze=nothing", "model.freeze_updates=0")
TINY = ("model.layer=L2", "model.stack=1", "data.seconds=10", "data.longest=10", "trainer.steps=600")
"""Of recognizers on a small encoder: of its three blocks the second knows most of phones (docs/transformers.md)."""
SCALES = {
    "demo": Scale(
        "wav2vec2-tiny",
        ("trainer.steps=500",),
        (1.0, 3.0, 10.0),
        ("ctc-tiny",) * 3,
        TINY,
        (*WHOLE, "model.encoder_rate=0.3"),
        ("no diversity penalty", "continuous targets"),
        order=3,
        transformer=("trainer.steps=400",),
    ),
    "cpu": Scale(
        "wav2vec2-tiny",
        (),
        (1.0, 3.0, 10.0),
        ("ctc-tiny",) * 3,
        TINY,
        (*WHOLE, "model.encoder_rate=0.3"),
        (),
        order=3,
        transformer=("trainer.steps=400",),
    ),
    "small": Scale(
        "wav2vec2-base",
        ("trainer.steps=100000",),
        (10.0, 60.0, 600.0),
        ("ctc-base-10min", "ctc-base-1h", "ctc-base-10h"),
        (),
        WHOLE,
        tuple(ABLATIONS),
        ("test-clean", "test-other"),
        transformer=("model.size=512", "model.inner=2048", "model.layers=6", "model.heads=8", "trainer.steps=100000"),
    ),
    "paper": Scale(
        "wav2vec2-base",
        (),
        (10.0, 60.0, 600.0, 6000.0),
        ("ctc-base-10min", "ctc-base-1h", "ctc-base-10h", "ctc-base-100h"),
        (),
        WHOLE,
        tuple(ABLATIONS),
        ("test-clean", "test-other"),
        transformer=("model.size=1280", "model.inner=6144", "model.layers=20", "model.heads=16", "trainer.steps=286000"),
    ),
}


class Wav2Vec2Recognition(Reproduction):
    """Recognizers of few labels on wav2vec 2.0."""

    scales = tuple(SCALES)

    def make_corpus(self, scale: str, folder: Path) -> bool:
        """Make the embedded corpus for the scale `demo`."""
        if scale != "demo":
            return False
        EmbeddedCorpus().make(folder)
        write_sentences(folder / "texts.txt", 20_000, draws.made(0, 0, 1), besides=folder / "manifest.jsonl")
        return True

    def check(self, scale: str, corpus: Path) -> None:
        """Make sure that there is speech to validate and test on, and text for the language models.

        Raises:
            UserError: something is missing.
        """
        needed = ["valid.jsonl", "texts.txt", *(f"{test}.jsonl" for test in SCALES[scale].tests)]
        if missing := [name for name in needed if not (corpus / name).is_file()]:
            msg = (
                f"{corpus} lacks {', '.join(missing)}: the weights of language models are tuned on valid.jsonl, and these learn from "
                "texts.txt, a sentence a line, which should hold no sentence that is tested on"
            )
            raise UserError(msg)

    def trainings(self, scale: str) -> list[Training]:
        """Pre-train as the paper does, and with each change of Table 13."""
        size = SCALES[scale]
        changed = {BASELINE: (), **{name: ABLATIONS[name] for name in size.ablations}}
        return [Training(_folder(name), size.pretraining, (*size.overrides, *more)) for name, more in changed.items()]

    def measurings(self, scale: str, corpus: Path, parent: Path) -> list[Measuring]:  # noqa: ARG002 - recognizers are measured by `finish`
        """Measure nothing of the features."""
        return []

    def finish(self, scale: str, corpus: Path, parent: Path) -> None:
        """Train the recognizers, the language models and their weights, and measure them."""
        experiment, size = _experiment(scale, corpus, parent), SCALES[scale]
        experiment.do()
        ablated = _ablated(scale, parent)
        if not ablated:
            return
        with stage(f"Table 13, {len(ablated)} recognizers"):
            side_by_side([experiment.finetune(one, size.minutes[-1]).words for one in ablated])
            side_by_side([experiment.evaluate(one, size.minutes[-1], test, ("greedy",)).words for one in ablated for test in size.tests])

    def shown(self, scale: str) -> list[str]:
        """Show the recognizers of Tables 9 and 10."""
        return [f"recognizers/{name}-{minutes:g}min" for minutes in SCALES[scale].minutes for name in (BASELINE, SCRATCH)]

    def tables(self, scale: str, parent: Path) -> str:
        """Write the tables, the published ones beside them."""
        experiment = _experiment(scale, parent, parent)
        parts = ["# wav2vec 2.0: recognizers from few labels", ""]
        for test in SCALES[scale].tests:
            parts += [f"## Tables 9 and 10, on {test}, in %", "", markdown(*_apart(experiment.table(test))), ""]
        published = [[labels, *values] for labels, values in PUBLISHED_9.items()]
        head = ["BASE, published: test-clean / test-other", "no language model", "4-gram", "Transformer"]
        parts += [markdown(head, published), "", *_errors(experiment)]
        for test in SCALES[scale].tests if SCALES[scale].ablations else ():
            parts += [f"## Table 13, on {test}, in %", "", markdown(*_table_13(scale, experiment, parent, test)), ""]
        return "\n".join(parts)


def _experiment(scale: str, corpus: Path, parent: Path) -> FewLabels:
    size, encoder = SCALES[scale], parent / _folder(BASELINE)
    encoders = (EncoderChoice(BASELINE, str(encoder)), EncoderChoice(SCRATCH, f"untrained:{encoder}", size.scratch))
    return FewLabels(
        corpus,
        parent / "recognizers",
        encoders,
        size.minutes,
        corpus / "texts.txt",
        size.recipes,
        size.finetuning,
        size.tests,
        size.order,
        size.transformer,
    )


def _ablated(scale: str, parent: Path) -> list[EncoderChoice]:
    return [EncoderChoice(_folder(name), str(parent / _folder(name))) for name in SCALES[scale].ablations]


def _table_13(scale: str, experiment: FewLabels, parent: Path, test: str) -> tuple[list[str], list[list[str]]]:
    """Lay out the rates without a language model, and how far each is from the baseline's."""
    size = SCALES[scale]
    minutes = size.minutes[-1]
    base = rates(experiment.run(experiment.encoders[0], minutes), test)
    rows = [["baseline", rate(base["greedy", CER]), rate(base["greedy", WER]), "", "7.97"]]
    for name, one in zip(size.ablations, _ablated(scale, parent), strict=True):
        own = rates(experiment.run(one, minutes), test)
        change = difference(base["greedy", CER], own["greedy", CER])
        rows.append([name, rate(own["greedy", CER]), rate(own["greedy", WER]), change, f"{PUBLISHED_13[name]:.2f}"])
    return [f"{minutes:g} minutes of labels", "CER", "WER", "CER, from the baseline", "published WER, 100 h of labels"], rows


def _errors(experiment: FewLabels) -> list[str]:
    """Write Tables 11 and 12 of the pre-trained recognizers, without a language model."""
    lines = []
    for one in errors([experiment.run(experiment.encoders[0], minutes) for minutes in experiment.minutes]):
        systems = [system for system in one.systems if system.result.protocol == "greedy"]
        if not systems:
            continue
        lines += [f"## Table 11, {one.corpus}", ""]
        for kind, title in KINDS.items():
            head, rows = table_11(systems, kind, 5)
            if rows:
                lines += [f"**{title}**", "", markdown(head, rows), ""]
        lines += [f"## Table 12, {one.corpus}", ""]
        for utterance in utterances(systems, 5):
            texts = [["reference", utterance.reference], *([line.system.name, line.text] for line in utterance.transcripts)]
            lines += [markdown([utterance.id, ""], texts), ""]
    return lines


def _apart(rows: Sequence[list[str]]) -> tuple[list[str], list[list[str]]]:
    head, *rest = rows
    return head, rest


def _folder(name: str) -> str:
    return "-".join("".join(sign if sign.isalnum() else " " for sign in name.lower()).split())
