"""Estimate an n-gram language model from text, measure one by perplexity, or tune its weight for a recognizer.

Example:
    foresay lm train books.txt train.jsonl --out runs/4gram --normalization librispeech --exclude test.jsonl
    foresay lm train books.txt --order 3 --prune 0 0 1 --out books.arpa
    foresay lm perplexity runs/4gram test.jsonl
    foresay lm tune runs/asr --corpus dev.jsonl --lm runs/4gram --out ngram.toml
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeAlias

import tyro

from foresay.decoding.tuning import Tuned
from foresay.errors import UserError, nearest
from foresay.reports.surface import as_text
from foresay.text.normalization import Outside
from foresay.text.vocabulary import Unit
from foresay.workflows.language_models import measure_perplexity, train_ngram
from foresay.workflows.tune import TunedSearch, tune_weights

HELP = f"""\
usage: foresay lm train|perplexity|tune …        each has a --help of its own

{__doc__}
  train TEXT… --out DEST    interpolated modified Kneser-Ney; DEST is a folder, or a file NAME.arpa
  perplexity LM TEXT        with and without ends of sentences, with and without unknown words
  tune RUN                  weights of a search, for `foresay transcribe` and `foresay evaluate --search`"""

SHOWN = 5

Texts: TypeAlias = Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="TEXT…")]


def run(arguments: list[str]) -> int:
    """Do what the first word says."""
    actions: dict[str, Callable[[list[str]], None]] = {"train": _train, "perplexity": _perplexity, "tune": _tune}
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(HELP)
        return 0 if arguments else 2
    action, *rest = arguments
    if action not in actions:
        msg = f"foresay lm {action}: {nearest(action, actions)}"
        raise UserError(msg)
    actions[action](rest)
    return 0


def _train(arguments: list[str]) -> None:
    def train(
        texts: Texts,
        out: Path,
        order: int = 4,
        unit: Unit = "words",
        prune: tuple[int, ...] = (),
        normalization: str | None = None,
        outside: Outside = "refuse",
        exclude: tuple[Path, ...] = (),
    ) -> None:
        """Estimate an n-gram language model: interpolated modified Kneser-Ney.

        Args:
            texts: Text files with a sentence a line, or manifests (NAME.jsonl), whose texts are taken.
            out: A new folder for the model, or a file NAME.arpa or NAME.arpa.gz.
            order: Words of the longest n-gram, 1 to 6.
            unit: What is predicted: whatever stands between spaces (words, phones), or letters.
            prune: For each order, how often n-grams came, at most, that are left out: 0 0 1. The last number holds for higher orders too.
            normalization: Profile for the texts, that of the recognizer: librispeech, plain, en, de, … Default: as they stand.
            outside: What it does with digits, symbols and letters that it has not: refuse, drop or map.
            exclude: Manifests to be tested on; sentences that overlap with their transcripts are left out.
        """
        done = train_ngram(texts, out, order=order, unit=unit, prune=prune, normalization=normalization, outside=outside, exclude=exclude)
        print(f"{done.place}: {done.sentences:,} sentences, {done.words:,} words; {done.vocabulary:,} different {unit}")
        print("n-grams: " + ", ".join(f"{count:,} of order {number}" for number, count in enumerate(done.ngrams, 1)))
        if done.dropped:
            print("characters left out: " + ", ".join(f"{character!r} {count:,}" for character, count in done.dropped.most_common()))
        if done.overlapping:
            print(f"sentences left out, for they overlap with the transcripts to be tested on: {len(done.overlapping):,}")
            print("\n".join(f"  {sentence}" for sentence in done.overlapping[:SHOWN]))

    tyro.cli(train, prog="foresay lm train", args=arguments)


def _perplexity(arguments: list[str]) -> None:
    def measure(
        model: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="LM")],
        text: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="TEXT")],
        normalization: str | None = None,
        outside: Outside = "refuse",
    ) -> None:
        """Print how uncertain a language model is at each symbol of a text.

        Args:
            model: A model folder, a run, or a file NAME.arpa.
            text: A text file with a sentence a line, or a manifest (NAME.jsonl).
            normalization: Profile for the text; default: that of the model, which an ARPA file does not say.
            outside: What it does with digits, symbols and letters that it has not: refuse, drop or map.
        """
        found = measure_perplexity(model, text, normalization=normalization, outside=outside)
        print(
            f"{text}: {found.sentences:,} sentences, {found.words:,} words, {found.symbols:,} symbols, of which the model does not know "
            f"{found.unknown:,} ({100 * found.unknown_share:.1f} %)"
        )
        print(f"{'perplexity':34}{'known symbols':>16}{'all':>12}")
        for name, ends in (("with the ends of sentences", True), ("without", False)):
            print(f"  {name:32}{found.of(ends=ends, unknown=False):16.2f}{found.of(ends=ends, unknown=True):12.2f}")
        print(f"  {'per word, ends too':32}{'':16}{found.per_word:12.2f}")

    tyro.cli(measure, prog="foresay lm perplexity", args=arguments)


def _tune(arguments: list[str]) -> None:
    def tune(
        model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")],
        corpus: Path,
        lm: str,
        out: Path,
        lexicon: Path | None = None,
        rescore: str | None = None,
        beam: int | None = None,
        device: str | None = None,
        seed: int = 0,
    ) -> None:
        """Find the weights of a search with a language model: the corpus is encoded once, and its n-best lists are ranked at 128 points.

        Args:
            model: A recognizer: a run of `foresay finetune`, a step of it, or a model folder.
            corpus: Manifest with texts, of recordings that are neither trained nor tested on.
            lm: Language model: NAME.arpa, a model folder, a run.
            out: A new file NAME.toml for --search; beside it the emissions, kept for the next time, and a picture.
            lexicon: Words with their spellings; default: those of the language model, in the recognizer's letters.
            rescore: A second language model, such as a Transformer, which ranks the hypotheses anew.
            beam: Hypotheses kept; 50 unless it is said, of hidden Markov models 500.
            device: cpu, cuda, cuda:1, … Default: a GPU if there is one.
            seed: Of the points that are tried, and of the intervals.
        """
        found = tune_weights(model, corpus, lm, out, lexicon=lexicon, rescore=rescore, beam=beam, device=device, seed=seed)
        print("\n".join(_said(found)))

    tyro.cli(tune, prog="foresay lm tune", args=arguments)


def _said(found: TunedSearch) -> Iterator[str]:
    """Say what was found, line by line."""
    yield from found.notes
    where = "their emissions were kept" if found.known else "their emissions are kept for the next time"
    yield f"{found.utterances:,} utterances, {found.words:,} words; {where}"
    if found.outside is not None:
        yield f"{100 * found.outside:.1f} % of these words are outside of the lexicon: no error rate is below that"
    yield f"best path               {100 * found.greedy:5.1f} %"
    yield from _surface("language model", "lm", found.first, found.rate)
    if found.second:
        yield from _surface("second language model", "rescore", found.second, found.second.rate)
    if found.rate > found.greedy:
        yield "The search is worse than the best path. Usual causes: too narrow a beam (--beam), too little training, a model of other text"
    yield f"best of each list       {100 * found.best:5.1f} %, what no weights can do better than"
    yield f"{found.file.path}: for --search{''.join(f'; {picture}' for picture in found.pictures)}"


def _surface(what: str, name: str, tuned: Tuned, rate: float) -> Iterator[str]:
    flat = [point for point, is_flat in zip(tuned.points, tuned.flat, strict=True) if is_flat]
    (low_a, high_a), (low_b, high_b) = ((min(side), max(side)) for side in zip(*flat, strict=True))
    yield f"with the {what:14} {100 * rate:5.1f} %; of {len(tuned.points)} points on all that was found, {100 * tuned.lowest:.1f} % at best"
    yield "\n".join(f"  {line}" for line in as_text(tuned))
    yield (
        f"  {len(flat)} points (*) are within one standard error ({100 * tuned.standard_error:.1f} %) of the lowest: a {low_a:.2f} to "
        f"{high_a:.2f}, b {low_b:+.2f} to {high_b:+.2f}"
    )
    word = "word-weight" if name == "lm" else "rescore-word-weight"
    yield f"  their centre: --{name}-weight {tuned.weights.language:.3f} --{word} {tuned.weights.words:.3f}"
