"""Multi-modal CPC ("Contrastive Predictive Coding for Audio & Images", Garg and Chandra, IIT Bombay 2025): its questions, with numbers.

The slides ask which negatives help, and whether a context's quality shows without labels, and answer in words and pictures.

    Table 1    each kind of negative added to those in the batch, then all: audio alone, pictures alone, both     (question 2)
    Table 2    temperature, sigma and queue, one at a time, for each modality: what suits audio, does it suit pictures?
    Table 3    do alignment and uniformity rank the models of Table 1 as the linear probe does?                   (question 3)

Everything is of c, a mean over the item, and of held-out voices and pictures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from scipy.stats import spearmanr

from foresay.corpora.made.digit_pairs import DigitPairs
from foresay.corpora.manifest import Manifest
from foresay.draws import stream
from foresay.errors import UserError
from foresay.evaluation.probes.probe import GAIN
from foresay.results import FEWEST, RESULTS, Result, read_results
from foresay.workflows.reproductions import Measuring, Reproduction, Training
from foresay.workflows.reproductions._tables import markdown, mean_and_interval, rows_at_end

Modalities = Literal["audio", "image", "both"]
LAYER = "c"
QUEUE = 4096


class Column(NamedTuple):
    """A number of a model."""

    title: str
    measure: str
    metric: str


PROBES = {
    "audio": Column("sounds right, %", "item_probe", "accuracy_audio"),
    "image": Column("pictures right, %", "item_probe", "accuracy_image"),
}
OWN = {
    modality: (
        PROBES[modality],
        Column("gain over untrained", "item_probe", f"{GAIN} in accuracy_{modality}"),
        Column(f"relative alignment, {noun}", "item_geometry", f"relative_alignment_{modality}"),
        Column(f"uniformity, {noun}", "item_geometry", f"uniformity_{modality}"),
    )
    for modality, noun in (("audio", "sounds"), ("image", "pictures"))
}
ACROSS = (
    Column("probe of sounds on pictures, %", "item_probe", "accuracy_audio_to_image"),
    Column("class R@1, sound to picture, %", "retrieval", "class_R@1_audio_to_image"),
    Column("class R@5", "retrieval", "class_R@5_audio_to_image"),
    Column("modality gap", "item_geometry", "modality_gap"),
)
RANKED = ("alignment", "relative_alignment", "uniformity")


@dataclass(frozen=True)
class Ablated:
    """A model: its modalities, and its negatives."""

    modalities: Modalities
    negatives: str
    """As a row of the table says it."""
    queue: int = 0
    synthetic: bool = False
    cross_modal: bool = False
    positives: bool = False
    changed: tuple[str, ...] = ()
    """`OPTION=VALUE` of the negatives, for Table 2."""

    @property
    def name(self) -> str:
        """Of its folders."""
        changes = [text.replace("=", "-") for text in self.changed]
        return "-".join([self.modalities, *self.negatives.replace("+ ", "").split(), *changes])

    @property
    def settings(self) -> tuple[str, ...]:
        """What differs from the recipe."""
        flags = {"perturbed": self.synthetic, "shuffled": self.synthetic}
        options = [f"queue={self.queue}", *(f"{name}={str(value).lower()}" for name, value in flags.items()), *self.changed]
        taken = ("audio", "image") if self.modalities == "both" else (self.modalities,)
        tables = [f"model.{modality}_negatives.{option}" for modality in taken for option in options]
        crossing = {"cross_modal": self.cross_modal, "cross_modal_positives": self.positives}
        return (f"model.modalities={self.modalities}", *tables, *(f"model.{name}={str(value).lower()}" for name, value in crossing.items()))


def _ablation(modalities: Modalities) -> list[Ablated]:
    both = modalities == "both"
    alone = [
        Ablated(modalities, "in batch"),
        Ablated(modalities, "+ queue", QUEUE),
        Ablated(modalities, "+ synthetic", synthetic=True),
    ]
    whole = Ablated(modalities, "all", QUEUE, synthetic=True, cross_modal=both)
    crossing = [Ablated(modalities, "+ cross-modal", cross_modal=True)] if both else []
    pulled = [Ablated(modalities, "all + pairs as positives", QUEUE, synthetic=True, cross_modal=True, positives=True)] if both else []
    return [*alone, *crossing, whole, *pulled]


ABLATION: dict[Modalities, list[Ablated]] = {modalities: _ablation(modalities) for modalities in ("audio", "image", "both")}
SWEPT = {"temperature": (0.05, 0.1, 0.2, 0.5), "sigma": (0.03, 0.1, 0.3, 1.0), "queue": (256, 1024, 4096, 16_384)}
STANDARD = {"temperature": 0.1, "sigma": 0.1, "queue": QUEUE}
ALONE: tuple[Modalities, ...] = ("audio", "image")


@dataclass(frozen=True)
class MultimodalScale:
    """How much is done."""

    recipe: str
    seeds: tuple[int, ...]
    settings: tuple[str, ...] = ()
    swept: tuple[int, ...] = (0,)
    """Seeds of Table 2."""


SCALES = {
    "demo": MultimodalScale("mmcpc-digits", (0, 1, 2), ("trainer.steps=300", "data.image_side=64")),
    "full": MultimodalScale("mmcpc-digits", (0, 1, 2, 3, 4), ("trainer.steps=5000",), (0, 1, 2)),
}
"""demo: spoken and written digits, spoken by eSpeak NG, pictures of 64 x 64. full: pairs of one's own. Only the demo was run by us."""


class MultimodalReproduction(Reproduction):
    """Which negatives help?"""

    scales: ClassVar[Sequence[str]] = tuple(SCALES)

    def make_corpus(self, scale: str, folder: Path) -> bool:
        """Make pairs of spoken and written digits for the demo."""
        if scale == "demo":
            DigitPairs().make(folder)
        return scale == "demo"

    def check(self, scale: str, corpus: Path) -> None:  # noqa: ARG002 - the same for all
        """Look whether there are pairs, of classes."""
        for split in ("train", "test"):
            manifest = Manifest.open(corpus / f"{split}.jsonl")
            lacking = [item.id for item in manifest if item.audio is None or item.image is None or item.label is None]
            if lacking:
                msg = (
                    f"{manifest.path}: {len(lacking):,} of {len(manifest):,} items are no pairs of a class (the first: {lacking[0]}): each "
                    'needs "audio", "image" and "label". `foresay corpus make digit-pairs` makes such a corpus'
                )
                raise UserError(msg)

    def trainings(self, scale: str) -> list[Training]:
        """List each cell with each seed."""
        size = SCALES[scale]
        cells = [(cell, size.seeds) for cells in ABLATION.values() for cell in cells]
        cells += [(cell, size.swept) for modality in ALONE for _, _, cell in _sweep(modality)]
        runs = {_folder(cell, seed): (*size.settings, *cell.settings, f"trainer.seed={seed}") for cell, seeds in cells for seed in seeds}
        return [Training(folder, size.recipe, overrides) for folder, overrides in runs.items()]

    def measurings(self, scale: str, corpus: Path, parent: Path) -> list[Measuring]:  # noqa: ARG002 - no checkpoints
        """Measure items: all models with the probe and by their geometry, those of both modalities by retrieval."""
        test, train = corpus / "test.jsonl", corpus / "train.jsonl"
        runs = tuple(training.folder for training in self.trainings(scale))
        both = tuple(_folder(cell, seed) for cell in ABLATION["both"] for seed in SCALES[scale].seeds)
        return [
            Measuring(runs, test, ("item_probe:mean", "item_geometry:mean"), train=train, layers=(LAYER,)),
            Measuring(both, test, ("retrieval:mean",), layers=(LAYER,)),
            Measuring(tuple(self.shown(scale)), test, ("item_map:mean",), layers=(LAYER,)),
        ]

    def shown(self, scale: str) -> list[str]:
        """Show the models with all negatives, and with pairs as positives, of the first seed."""
        cells = [cell for cells in ABLATION.values() for cell in cells if cell.negatives.startswith("all")]
        return [_folder(cell, SCALES[scale].seeds[0]) for cell in cells]

    def tables(self, scale: str, parent: Path) -> str:
        """Write the three tables."""
        size = SCALES[scale]
        parts = [
            f"# Multi-modal CPC (Garg and Chandra 2025), scale {scale}, {len(size.seeds)} seeds",
            "Means over seeds, with 95 % intervals (Student's t). The slides publish no numbers.",
            f"## Table 1: negatives\n\n{_references(parent / _folder(ABLATION['both'][0], size.seeds[0]))}",
        ]
        for modalities, cells in ABLATION.items():
            columns = [*OWN["audio"], *OWN["image"], *ACROSS] if modalities == "both" else OWN[modalities]
            head = [modalities, *(column.title for column in columns)]
            lines = [[cell.negatives, *(_cell(_runs(parent, cell, size.seeds), column) for column in columns)] for cell in cells]
            parts.append(markdown(head, lines))
        parts += [
            "## Table 2: temperature, sigma, queue",
            "One at a time, from all negatives with temperature 0.1, sigma 0.1 and a queue of 4,096; one modality alone, linear probe, %.",
            _lines_of_table_2(size, parent),
            "## Table 3: does geometry predict the probe?",
            "Rank correlation (Spearman) with probe accuracy over all models of Table 1 and all seeds; 95 % intervals: models drawn again.",
            _lines_of_table_3(size, parent),
            "Maps (t-SNE) and training curves are in report.html.",
        ]
        return "\n\n".join(parts) + "\n"


def _sweep(modality: Modalities) -> Iterator[tuple[str, float, Ablated]]:
    """List option, value and model. The standard value is that of Table 1's last line."""
    for option, values in SWEPT.items():
        for value in values:
            standard = value == STANDARD[option]
            cell = Ablated(modality, "all", QUEUE, synthetic=True, changed=() if standard else (f"{option}={value}",))
            yield option, value, cell


def _folder(cell: Ablated, seed: int) -> str:
    return f"{cell.name}-seed{seed}"


def _runs(parent: Path, cell: Ablated, seeds: Sequence[int]) -> list[Path]:
    return [parent / _folder(cell, seed) for seed in seeds]


def _rows(runs: Sequence[Path], column: Column) -> list[Result]:
    """The number of each run that has it."""
    return [row for run in runs for row in rows_at_end(run, column.measure, LAYER) if row.metric == column.metric]


def _values(runs: Sequence[Path], column: Column) -> list[float]:
    return [row.value for row in _rows(runs, column)]


def _cell(runs: Sequence[Path], column: Column) -> str:
    rows = _rows(runs, column)
    unit = rows[0].unit if rows else ""
    return mean_and_interval(_values(runs, column), unit=unit, signed=column.metric.startswith(GAIN))


def _references(run: Path) -> str:
    """What is reached without learning: raw spectrograms and pixels, and an untrained copy."""
    wanted = {"logmel", "mfcc", "pixels", f"{run.name} (untrained)"}
    found = {
        (row.model, row.metric): mean_and_interval([row.value], unit=row.unit)
        for row in read_results(run / RESULTS)
        if row.model in wanted and row.split != "train" and (row.step is None) and row.measure == "item_probe"
        if row.layer in {LAYER, row.model}
    }
    models = list(dict.fromkeys(model for model, _ in found))
    lines = [
        ["untrained copy, seed 0" if "untrained" in model else model, *(found.get((model, c.metric), "") for c in PROBES.values())]
        for model in models
    ]
    return markdown(["linear probe of", *(column.title for column in PROBES.values())], lines)


def _lines_of_table_2(size: MultimodalScale, parent: Path) -> str:
    swept = {modality: list(_sweep(modality)) for modality in ALONE}
    lines = []
    for (option, value, audio), (_, _, image) in zip(*swept.values(), strict=True):
        accuracies = [_cell(_runs(parent, cell, size.swept), PROBES[cell.modalities]) for cell in (audio, image)]
        lines.append([option, f"{value:,g}", *accuracies])
    return markdown(["option", "value", *(column.title for column in PROBES.values())], lines)


def _lines_of_table_3(size: MultimodalScale, parent: Path) -> str:
    lines = []
    for modality, probe in PROBES.items():
        runs = [run for cells in ABLATION.values() for cell in cells for run in _runs(parent, cell, size.seeds)]
        for metric in RANKED:
            geometry = Column("", "item_geometry", f"{metric}_{modality}")
            pairs = [(a[0], b[0]) for run in runs if (a := _values([run], geometry)) and (b := _values([run], probe))]
            noun = metric.replace("_", " ")
            lines.append([f"{noun}, {'sounds' if modality == 'audio' else 'pictures'}", str(len(pairs)), rank_correlation(pairs)])
    return markdown(["", "models", "correlation"], lines)


def rank_correlation(pairs: Sequence[tuple[float, float]], draws: int = 1000) -> str:
    """Write Spearman's rank correlation of pairs with its interval, which takes five of them at least.

    Nothing is said where one of both is constant, or of less than three.

    >>> rank_correlation([(1.0, 3.0), (2.0, 5.0)]), rank_correlation([(1.0, 3.0), (2.0, 5.0), (3.0, 6.0)])
    ('', '+1.00')
    """
    values = np.asarray(pairs, dtype=np.float64).reshape(-1, 2)
    if len(values) < 3 or (values == values[0]).all(axis=0).any():  # noqa: PLR2004
        return ""
    if len(values) < FEWEST:
        return f"{_spearman(values):+.2f}"
    random = stream("models", 0)
    drawn = [values[random.integers(len(values), size=len(values))] for _ in range(draws)]
    found = [_spearman(some) for some in drawn if not (some == some[0]).all(axis=0).any()]
    low, high = np.percentile(found, [2.5, 97.5])
    return f"{_spearman(values):+.2f} [{low:+.2f}, {high:+.2f}]"


def _spearman(values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    return float(spearmanr(values[:, 0], values[:, 1]).statistic)
