"""A spoken language model from raw audio: units of Aligned CPC, a language model and a vocoder of them, and speech to listen to.

    train.jsonl --> Aligned CPC --> units (k-means) --> unit LM -----+
    half of it  ---------------------------+----------> vocoder -----+--> a prompt continued; speech resynthesized; a voice converted
    the other half --> a recognizer and a verifier of voices, which judge what comes out and share no recording with the vocoder

No transcript is used but by the judge. The vocoder speaks in the voices of the training, and is tested on their sentences in
`valid.jsonl`; the language model is tested on `test.jsonl`, in voices that nobody met.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foresay.corpora.manifest import Item, Manifest, write_manifest
from foresay.progress import stage
from foresay.results import RESULTS, Result, read_results, with_draws
from foresay.workflows.demos import Demo, Scale, Shown
from foresay.workflows.demos._transcribed import TEXTS, transcribed
from foresay.workflows.experiment import Command, Stage, do, overriding
from foresay.workflows.report import report
from foresay.workflows.sounds import keep_continuations


@dataclass(frozen=True)
class SpokenScale:
    """How much is done."""

    corpus: float
    """Minutes of speech made."""
    share: float
    """Of the updates of the recipes."""
    clusters: int
    """Units."""
    sentences: int
    """For the judge's language model."""
    pairs: int
    """Of words and of sentences."""


SCALES = {
    "full": SpokenScale(60.0, share=1.0, clusters=100, sentences=20_000, pairs=200),
    "tiny": SpokenScale(20.0, share=0.1, clusters=50, sentences=2_000, pairs=50),
}
ENCODER, LM, VOCODER = ("demo-acpc", 300), ("unit-lm-tiny", 800), ("unit-vocoder-tiny", 600)
"""Recipes and updates."""
LAYER = "c"
PROMPTED = ("--prompt-seconds", "1.5", "--temperature", "0.3,0.7,1.0,1.5", "--longest", "100")


class SpokenLMDemo(Demo):
    """Speech in, speech out."""

    def __call__(self, parent: Path, scale: Scale, corpus: Path | None = None) -> Shown:
        """Make the corpus, train all, continue prompts, speak and convert recordings, measure, and write the table and the report.

        Raises:
            UserError: a corpus is given that lacks something.
        """
        size, place = SCALES[scale], parent / "spoken-lm"
        corpus, texts = transcribed(corpus, place, size.corpus, place / TEXTS, size.sentences)
        spoken = SpokenParts(corpus, place, size, texts)
        do(spoken.stages())
        keep_continuations(spoken.run("lm"), spoken.run("continued"))
        with stage("writing the report"):
            page = report(spoken.runs, place / "report.html")
        results = spoken.results()
        return Shown(corpus, spoken.runs, page, results, more=spoken.more)


@dataclass(frozen=True)
class SpokenParts:
    """All that is made."""

    corpus: Path
    """Folder with train.jsonl, valid.jsonl and test.jsonl, transcribed."""
    parent: Path
    size: SpokenScale
    texts: Path
    """For the judge's language model."""

    @property
    def runs(self) -> tuple[Path, ...]:
        """The runs that the report shows."""
        return self.run("lm"), self.run("vocoder"), self.run("units"), self.run("acpc")

    @property
    def more(self) -> tuple[str, ...]:
        """Commands that go on from here."""
        recording = next(iter(Manifest.open(self.corpus / "valid.jsonl"))).audio
        speaker = Manifest.open(self.corpus / "train.jsonl").speakers[0]
        vocoder = self.run("vocoder")
        return (
            f"foresay continue {recording} --lm {self.run('lm')} --vocoder {vocoder} --temperature 0.7 --prompt-seconds 2 --out more",
            f"foresay resynthesize {recording} --vocoder {vocoder} --speaker {speaker} --out converted",
        )

    def stages(self) -> list[Stage]:
        """List all commands, in the order in which they need each other."""
        train, valid, test = (self.corpus / f"{split}.jsonl" for split in ("train", "valid", "test"))
        ours, judges = self._halves()
        acpc, units, lm, vocoder, judge, letters = map(self.run, ("acpc", "units", "lm", "vocoder", "judge", "letters"))
        spelling = ("--unit", "letters", "--order", 5, "--normalization", "plain", "--exclude", test, "--exclude", valid)
        learnt = ("--units", units, "--valid", valid)
        pairs = ("--words", self.size.pairs, "--sentences", self.size.pairs, "--voices", 1)
        begin = (
            _command("pretrain", ENCODER[0], "--corpus", train, "--run", acpc, *self._steps(ENCODER)),
            _command("finetune", "hmm-tiny", "--corpus", judges, "--run", judge),
            _command("corpus", "make", "spoken-pairs", self.run("pairs"), *pairs),
            _command("lm", "train", self.texts, *spelling, "--out", letters, makes=letters),
        )
        fit = _command("units", "fit", acpc, "--layer", LAYER, "--clusters", self.size.clusters, "--corpus", train, "--run", units)
        learn = (
            _command("train", VOCODER[0], *learnt, "--corpus", ours, "--run", vocoder, *self._steps(VOCODER)),
            _command("train", LM[0], *learnt, "--corpus", train, "--run", lm, *self._steps(LM)),
        )
        return [
            Stage("pre-training Aligned CPC, and what judges", begin),
            Stage("finding units", (fit,)),
            Stage("training a vocoder and a language model of units", learn),
            Stage("continuing prompts, and measuring", tuple(self._using(train, valid, test, judges))),
        ]

    def results(self) -> list[Result]:
        """Read all that was measured of units, language model and vocoder."""
        runs = (self.run("units"), self.run("lm"), self.run("vocoder"))
        return [row for run in runs for row in with_draws(run, read_results(run / RESULTS))]

    def _using(self, train: Path, valid: Path, test: Path, judges: Path) -> Iterator[Command]:
        """Yield what is made with vocoder, language model and units, and measured of them, the longest first."""
        lm, vocoder, judge = map(self.run, ("lm", "vocoder", "judge"))
        judged = ("--option", f"intelligibility.judge={judge}")
        spoken = {"vocoder": vocoder, "recognizer": judge, "language_model": self.run("letters")}
        options = [word for option, run in spoken.items() for word in ("--option", f"continuation.{option}={run}")]
        synthesis = "resynthesis:frames,intelligibility:greedy,voice_conversion:mfcc"
        of_units, of_pairs = "unit_perplexity:modelled,continuation:tiny", "swuggy:repaired,sblimp:repaired"
        compared = ("--option", "abx.max_size_group=10", "--option", "abx.max_x_across=2")
        pairs = self.run("pairs") / "manifest.jsonl"
        yield _command("units", "describe", self.run("units"), "--corpus", valid, "--train-corpus", train, *compared)
        yield _command("evaluate", lm, "--measures", of_units, "--corpus", test, "--train-corpus", train, *options)
        yield _command("evaluate", vocoder, "--measures", synthesis, "--corpus", self._half(valid), "--train-corpus", judges, *judged)
        yield _command("continue", self._prompts(), "--lm", lm, "--vocoder", vocoder, *PROMPTED, "--out", self.run("continued"))
        yield _command("evaluate", lm, "--measures", of_pairs, "--corpus", pairs, "--train-corpus", train)

    def _halves(self) -> tuple[Path, Path]:
        """Write every other recording of the training for the vocoder, and the rest for whoever judges it."""
        halves = self.parent / "train-vocoder.jsonl", self.parent / "train-judge.jsonl"
        items = list(Manifest.open(self.corpus / "train.jsonl"))
        for number, path in enumerate(halves):
            if not path.exists():
                write_manifest(path, items[number::2])
        return halves

    def _half(self, valid: Path) -> Path:
        """Write every other recording of `valid.jsonl`, which the vocoder is tested on: each is spoken and transcribed in four ways."""
        path = self.parent / "valid-vocoder.jsonl"
        if not path.exists():
            write_manifest(path, list(Manifest.open(valid))[::2])
        return path

    def _steps(self, recipe: tuple[str, int]) -> list[str]:
        return overriding([f"trainer.steps={round(self.size.share * recipe[1])}"])

    def _prompts(self) -> Path:
        """Write a recording of each speaker of `valid.jsonl`, whose beginning is continued."""
        path = self.parent / "prompts.jsonl"
        if not path.exists():
            first: dict[str | None, Item] = {}
            for item in Manifest.open(self.corpus / "valid.jsonl"):
                first.setdefault(item.speaker, item)
            write_manifest(path, first.values())
        return path

    def run(self, name: str) -> Path:
        """The folder of a run, or of what a command makes."""
        return self.parent / name


def _command(*words: object, makes: Path | None = None) -> Command:
    return Command(tuple(map(str, words)), makes)
