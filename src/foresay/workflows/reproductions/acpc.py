"""Aligned CPC (arXiv:2104.11946): Tables 1 and 2 beside the published numbers, Figures 2 to 5 in the report.

As in the authors' scripts, CPC is the alignment with K = M = 12: all cells share all code but K and M.

    Table 1     ABX of c, CPC and ACPC (K = 8)           Figure 2    self-similarity of an utterance      Figure 4    clusters
    Table 2     phone probe of z and c, all (K, M)       Figure 3    cosines of random and consecutive    Figure 5    probe over training

The scale `cpu` asks one thing of small networks: is ACPC better than CPC, when all else is equal and seeds are drawn again, too?
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from foresay.corpora.made.demo import EmbeddedCorpus
from foresay.errors import UserError
from foresay.reports.wording import PERCENT, amount
from foresay.results import Result, read_lines
from foresay.runs import Checkpoint, Run
from foresay.workflows.compare import compare
from foresay.workflows.reproductions import Measuring, Reproduction, Training
from foresay.workflows.reproductions._seed_pairs import paired_table
from foresay.workflows.reproductions._tables import mean_and_spread, rows_at_end

LAYERS = ("z", "c")


class Accuracy(NamedTuple):
    """Of the linear probe, on latents z and contexts c, validation."""

    z: float
    c: float


@dataclass(frozen=True)
class TableRow:
    """A line of Table 2."""

    name: str
    predictions: int
    """K."""
    matched: int
    """M."""
    published: Accuracy
    milliseconds: float
    """Published step time, per example (the authors' code prints it so)."""

    @property
    def title(self) -> str:
        """The model, as the paper calls it."""
        return "CPC" if self.predictions == self.matched else "ACPC"


CPC = TableRow("cpc", 12, 12, Accuracy(0.512, 0.675), 2.6)
ACPC = TableRow("acpc-k8", 8, 12, Accuracy(0.519, 0.686), 2.1)
CELLS = (
    CPC,
    TableRow("acpc-k10", 10, 12, Accuracy(0.513, 0.684), 2.4),
    ACPC,
    TableRow("acpc-k6", 6, 12, Accuracy(0.521, 0.688), 1.8),
    TableRow("acpc-k4", 4, 12, Accuracy(0.519, 0.687), 1.5),
    TableRow("acpc-k10-m16", 10, 16, Accuracy(0.519, 0.688), 2.4),
    TableRow("acpc-k12-m20", 12, 20, Accuracy(0.519, 0.678), 2.6),
)
PUBLISHED_ABX = {
    (CPC, "dev-clean"): {"within": 0.0668, "across": 0.0839},
    (CPC, "dev-other"): {"within": 0.0903, "across": 0.1387},
    (ACPC, "dev-clean"): {"within": 0.0537, "across": 0.0709},
    (ACPC, "dev-other"): {"within": 0.0746, "across": 0.1260},
}
"""Table 1: error within and across speakers, ZeroSpeech 2021 dev, 200 epochs."""


@dataclass(frozen=True)
class Test:
    """Labelled recordings, and what is measured on them."""

    manifest: str
    learnt_on: str
    """What probes and clusters learn from."""
    measures: tuple[str, ...]


@dataclass(frozen=True)
class ACPCScale:
    """How much is done."""

    recipe: str
    """Of every cell, but for K and M."""
    cells: tuple[TableRow, ...]
    """Of Table 2."""
    seeds: tuple[int, ...]
    probe: str
    settings: tuple[str, ...] = ()
    longer: tuple[str, ...] = ()
    """Settings of the two models of Table 1, where these are trained for longer than Table 2's; else they are Table 2's."""
    items: tuple[str, ...] = ()
    """Table 1 is measured on these, each a manifest and an item file of the corpus; without them, whole phones of the test."""
    few: tuple[str, ...] = ()
    """Options of the figures' measures, or of those of `tests`."""
    tests: tuple[Test, ...] = ()
    """Where given, CPC and ACPC are compared on these, seed by seed, instead of the paper's tables."""


SCALES = {
    "demo": ACPCScale(
        "demo-acpc", CELLS, (0,), "probe:converged", ("trainer.keep=10",), few=("clusters.restarts=1", "clusters.frames=60000")
    ),
    "small": ACPCScale(
        "acpc",
        (CPC, ACPC),
        (0, 1, 2),
        "probe:converged",
        ("trainer.steps=6000", "trainer.save_every=1000", "trainer.keep=10", "trainer.precision=bf16", "optimizer.warmup=500"),
    ),
    "paper": ACPCScale(
        "acpc",
        CELLS,
        (0,),
        "probe:paper",
        ("trainer.epochs=50", "trainer.precision=bf16", "trainer.save_every=5000", "trainer.keep=100"),
        longer=("trainer.epochs=200",),
        items=("dev-clean", "dev-other"),
    ),
    "cpu": ACPCScale(
        "demo-acpc",
        (CPC, ACPC),
        (0, 1, 2, 3, 4),
        "probe:converged",
        (
            "model.channels=64",
            "model.context_size=64",
            "model.negatives=reference",
            "optimizer.lr=2e-3",
            "trainer.precision=bf16",
            "trainer.steps=1500",
            "trainer.save_every=500",
        ),
        few=("probe.most_audio=1800", "abx.max_size_group=5", "abx.max_x_across=3", "clusters.restarts=1", "clusters.frames=60000"),
        tests=(
            Test("test.jsonl", "train.jsonl", ("probe:converged", "abx:phone", "clusters:k50")),
            Test("test.jsonl", "timit/manifest.jsonl", ("segmentation:20ms",)),
            Test("timit/manifest.jsonl", "test.jsonl", ("abx:phone", "clusters:k50", "segmentation:20ms")),
            Test("timit/test.jsonl", "timit/train.jsonl", ("probe:converged",)),
        ),
    ),
}
"""demo: seven small models on 40 minutes of synthetic speech. small: two models, three seeds, 6,000 updates of 82 s of speech each (137 h).
paper: 50 epochs of train-clean-100 for Table 2, 200 for Table 1. cpu: two small models, five seeds, on your corpus.
The demo and cpu were run to their end by us: `docs/papers.md`."""
WHOLE_PHONES = ("abx.max_size_group=10", "abx.max_x_across=5")
"""ABX of whole phones compares as much as ZeroSpeech 2021 does of triphones."""
PAIRED = (
    "Means over seeds ± their standard deviation. With the same seed both begin with the same encoder and context and learn from the same "
    "audio in the same order. The difference has a 95 % interval: seeds are drawn again, and with them speakers (ABX) or utterances "
    "(all else); where it holds 0, nothing is decided."
)
FIGURES = ("similarity:cosine", "clusters:curve", "segmentation:20ms")


class AlignedCPC(Reproduction):
    """CPC (K = M = 12) and ACPC over Table 2's K and M."""

    scales: ClassVar[Sequence[str]] = tuple(SCALES)

    def make_corpus(self, scale: str, folder: Path) -> bool:
        """Make the embedded corpus for the demo."""
        if scale == "demo":
            EmbeddedCorpus().make(folder)
        return scale == "demo"

    def check(self, scale: str, corpus: Path) -> None:
        """Look for the item files, and for the tests."""
        size = SCALES[scale]
        _refuse_missing(
            corpus,
            [name for stem in size.items for name in (f"{stem}.jsonl", f"{stem}.item")],
            "Table 1 is measured with the item files of ZeroSpeech 2021 (phonetic/dev-clean, phonetic/dev-other) on manifests of "
            "LibriSpeech's dev sets, `foresay corpus import librispeech`",
        )
        _refuse_missing(
            corpus,
            list(dict.fromkeys(name for test in size.tests for name in (test.manifest, test.learnt_on))),
            f"test.jsonl and train.jsonl need phone times (`foresay corpus align`), and `foresay corpus import timit $TIMIT "
            f"{corpus / 'timit'} --phones timit39` writes the others",
        )

    def trainings(self, scale: str) -> list[Training]:
        """List each cell with each seed."""
        size = SCALES[scale]
        found = []
        for seed in size.seeds:
            for cell, settings in [*((cell, ()) for cell in size.cells), *((cell, size.longer) for cell in (CPC, ACPC) if size.longer)]:
                shape = (f"model.predictions={cell.predictions}", f"model.matched={cell.matched}", f"trainer.seed={seed}")
                folder = _folder(cell, seed, longer=bool(settings))
                found.append(Training(folder, size.recipe, (*size.settings, *settings, *shape)))
        return found

    def measurings(self, scale: str, corpus: Path, parent: Path) -> list[Measuring]:
        """Probe all cells; ABX, figures and the probe over training for CPC and ACPC (K = 8)."""
        size, test, train = SCALES[scale], corpus / "test.jsonl", corpus / "train.jsonl"
        cells = tuple(_folder(cell, seed) for seed in size.seeds for cell in size.cells)
        pair = tuple(name for runs in _table_1(size).values() for name in runs)
        if size.tests:
            return [Measuring(pair, corpus / t.manifest, t.measures, _options(size, t.measures), corpus / t.learnt_on) for t in size.tests]
        shown = tuple(self.shown(scale))
        steps = tuple(f"{name}@{saved.step}" for name in shown for saved in _evenly(Run(parent / name).checkpoints()))
        probe = Measuring(cells, test, (size.probe,), train=train)
        if size.items:
            abx = [
                Measuring(pair, corpus / f"{stem}.jsonl", ("abx:zerospeech2021",), (f"abx.items={corpus / stem}.item",))
                for stem in size.items
            ]
        else:
            abx = [Measuring(pair, test, ("abx:phone",), WHOLE_PHONES)]
        return [probe, *abx, Measuring(shown, test, FIGURES, size.few, train), Measuring(steps, test, (size.probe,), train=train)]

    def shown(self, scale: str) -> list[str]:
        """The figures compare CPC and ACPC (K = 8), of the first seed."""
        size = SCALES[scale]
        return [runs[0] for runs in _table_1(size).values()]

    def tables(self, scale: str, parent: Path) -> str:
        """Write Tables 1 and 2."""
        size = SCALES[scale]
        seeds = f"{len(size.seeds)} seed{'s' if len(size.seeds) > 1 else ''}"
        if size.tests:
            runs = {cell: [parent / name for name in names] for cell, names in _table_1(size).items()}
            return f"# CPC and Aligned CPC, scale {scale}, {seeds}\n\n{PAIRED}\n\n{paired_table(runs[CPC], runs[ACPC], ('CPC', 'ACPC'))}\n"
        note = "Differences have paired 95 % intervals; where 0 lies within, nothing is ranked. With several seeds, ± is their spread."
        parts = [
            f"# Aligned CPC (arXiv:2104.11946), scale {scale}, {seeds}",
            note,
            f"## Table 1: ABX error of c, %\n\n{_lines_of_table_1(size, parent)}",
            "Published: 200 epochs of 80 hours, triphones of ZeroSpeech 2021.",
            f"## Table 2: accuracy of the linear phone probe ({size.probe}), %\n\n{_lines_of_table_2(size, parent)}",
            "Published: 50 epochs of 80 hours, validation.",
            "Figures 2 to 5 are in report.html.",
        ]
        return "\n\n".join(parts) + "\n"


def _refuse_missing(corpus: Path, names: Sequence[str], why: str) -> None:
    missing = [name for name in names if not (corpus / name).is_file()]
    if missing:
        msg = f"{corpus} lacks {', '.join(missing)}: {why}"
        raise UserError(msg)


def _options(size: ACPCScale, measures: Sequence[str]) -> tuple[str, ...]:
    """Those of the measures that are asked for."""
    asked = {measure.partition(":")[0] for measure in measures}
    return tuple(option for option in size.few if option.partition(".")[0] in asked)


def _folder(cell: TableRow, seed: int, *, longer: bool = False) -> str:
    return f"{cell.name}{'-long' if longer else ''}-seed{seed}"


def _table_1(size: ACPCScale) -> dict[TableRow, list[str]]:
    """The runs of Table 1."""
    return {cell: [_folder(cell, seed, longer=bool(size.longer)) for seed in size.seeds] for cell in (CPC, ACPC)}


def _evenly(saved: Sequence[Checkpoint], most: int = 10) -> Sequence[Checkpoint]:
    """Some of the checkpoints, the last among them."""
    return saved[:: -max(1, -(-len(saved) // most))][::-1]


def _lines_of_table_1(size: ACPCScale, parent: Path) -> str:
    runs = {cell: [parent / name for name in names] for cell, names in _table_1(size).items()}
    rows = ["| corpus | speakers | CPC | ACPC, K = 8 | ACPC - CPC | published: CPC | ACPC |", "|---|---|---|---|---|---|---|"]
    corpora = list(dict.fromkeys(row.corpus for row in _rows(runs[CPC], "abx", "c")))
    for corpus in corpora:
        for speakers in ("within", "across"):
            metric = f"error {speakers} speakers"
            ours = [_mean([row for row in _rows(runs[cell], "abx", "c") if (row.corpus, row.metric) == (corpus, metric)]) for cell in runs]
            stem = corpus.rpartition("/")[2]
            which = stem if (CPC, stem) in PUBLISHED_ABX else "dev-clean"
            said = [f"{amount(PUBLISHED_ABX[cell, which][speakers], unit=PERCENT)} ({which})" for cell in (CPC, ACPC)]
            cells = [corpus, speakers, *ours, _difference(runs[CPC], runs[ACPC], "abx", metric, "c", corpus), *said]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _lines_of_table_2(size: ACPCScale, parent: Path) -> str:
    runs = {cell: [parent / _folder(cell, seed) for seed in size.seeds] for cell in size.cells}
    head = ["", "K", "M", "ms / example", "z", "c", "z - CPC's", "c - CPC's", "published: ms", "z", "c"]
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for cell, own in runs.items():
        accuracies = [_mean([row for row in _rows(own, "probe", layer) if row.metric == "accuracy"]) for layer in LAYERS]
        gains = [_difference(runs[CPC], own, "probe", "accuracy", layer) if cell is not CPC else "" for layer in LAYERS]
        published = [amount(value, unit=PERCENT) for value in cell.published]
        cells = [cell.title, str(cell.predictions), str(cell.matched), _milliseconds(own), *accuracies, *gains]
        rows.append(f"| {' | '.join([*cells, str(cell.milliseconds), *published])} |")
    return "\n".join(rows)


def _rows(runs: Sequence[Path], measure: str, layer: str) -> list[Result]:
    """What was measured last of each run at its end."""
    return [row for run in runs for row in rows_at_end(run, measure, layer)]


def _mean(rows: Sequence[Result]) -> str:
    """The mean over seeds: of one seed with its interval, of several with their spread."""
    if not rows:
        return ""
    unit, values = rows[0].unit, [row.value for row in rows]
    if len(rows) > 1:
        return mean_and_spread(values, unit=unit)
    low, high = rows[0].low, rows[0].high
    interval = "" if low is None or high is None else f" [{amount(low, unit=unit)}, {amount(high, unit=unit)}]"
    return amount(values[0], unit=unit) + interval


def _difference(cpc: list[Path], others: list[Path], measure: str, metric: str, layer: str, corpus: str | None = None) -> str:
    """How much the others have more than CPC, with its interval; nothing where either was not measured."""
    found = [d for d in compare(cpc, others) if (d.what.measure, d.what.metric, d.what.layer) == (measure, metric, layer)]
    found = [d for d in found if corpus in {None, d.what.corpus}]
    if not found:
        return ""
    value, interval, unit = found[-1].value, found[-1].interval, found[-1].what.unit
    ends = "" if interval is None else " [{}, {}]".format(*(amount(end, unit=unit, signed=True) for end in interval))
    return amount(value, unit=unit, signed=True) + ends


def _milliseconds(runs: Sequence[Path]) -> str:
    """Median time of training on one window of 1.28 s; nothing if so little was trained that nothing was logged."""
    rates = [line["audio_rate"] for run in runs for line in read_lines(run / "metrics.jsonl") if line.get("kind") == "train"]
    return f"{1000 * 1.28 / statistics.median(rates):.1f}" if rates else ""
