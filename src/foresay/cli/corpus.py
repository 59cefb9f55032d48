"""Make, import, align, pack, check or describe a corpus.

Example:
    foresay corpus make demo corpora/demo
    foresay corpus make bars corpora/bars --train 2000
    foresay corpus import timit $TIMIT corpora/timit --phones timit39
    foresay corpus align corpora/librispeech/test.jsonl corpora/librispeech/test-aligned.jsonl
    foresay corpus align corpora/mine/all.jsonl corpora/mine/aligned.jsonl --with runs/asr
    foresay corpus pack corpora/timit/train.jsonl corpora/timit/test.jsonl corpora/timit-packed --shard 1GB
    foresay corpus check corpora/timit/manifest.jsonl
    foresay corpus stats corpora/timit/train.jsonl
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeAlias, TypeVar

import tyro

from foresay.corpora.check import REMARKS, Finding, Report
from foresay.corpora.generated import Maker, find_maker, list_makers
from foresay.corpora.packing import SKIPPED
from foresay.corpora.reader import Reader, find_reader, list_readers
from foresay.corpora.statistics import Spread, Statistics
from foresay.corpora.utterances import Times
from foresay.errors import UserError, nearest
from foresay.trust import trusting
from foresay.workflows.align import align_corpus
from foresay.workflows.align_with import AlignmentSettings, align_corpus_with
from foresay.workflows.corpus import Imported, check_corpus, corpus_stats, import_corpus, pack_corpus

MakerT = TypeVar("MakerT", bound=Maker)
ReaderT = TypeVar("ReaderT", bound=Reader)
ManifestPath: TypeAlias = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MANIFEST")]
Destination: TypeAlias = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DEST")]

HELP = f"""\
usage: foresay corpus make|import|align|pack|check|stats …        each has a --help of its own

{__doc__}
  make CORPUS DEST         make a corpus from nothing; `foresay corpus make --help` lists them
  import CORPUS SRC DEST   write manifests of a corpus that you have; `foresay corpus import --help` lists what can be read
  align MANIFEST DEST      write a manifest with times of words and phones, from its texts
  pack MANIFEST… DEST      put many files into few shards, which all verbs read as they read files
  check MANIFEST           decode everything, say what is corrupt, silent, clipped, double or mislabelled
  stats MANIFEST           hours, speakers, durations, sample rates, phones"""

IMPORT_HELP = """\
usage: foresay corpus import CORPUS SRC DEST …        `foresay corpus import CORPUS --help` shows the options of a corpus

DEST/manifest.jsonl has everything, DEST/train.jsonl and the like each split. No audio is copied.

{readers}"""

MAKE_HELP = """\
usage: foresay corpus make CORPUS DEST …        `foresay corpus make CORPUS --help` shows the options of a corpus

{makers}"""

SHOWN = 5


def run(arguments: list[str]) -> int:
    """Do what the first word says."""
    actions: dict[str, Callable[[list[str]], int]] = {
        "make": _make,
        "import": _import,
        "align": _align,
        "pack": _pack,
        "check": _check,
        "stats": _stats,
    }
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(HELP)
        return 0 if arguments else 2
    action, *rest = arguments
    if action not in actions:
        msg = f"foresay corpus {action}: {nearest(action, actions)}"
        raise UserError(msg)
    return actions[action](rest)


@dataclass(frozen=True)
class Make(Generic[MakerT]):
    """What to make."""

    destination: Destination
    """Folder of the corpus, new or empty."""
    maker: MakerT


def _make(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(MAKE_HELP.format(makers=_listing(list_makers())))
        return 0 if arguments else 2
    name, *rest = arguments
    maker = find_maker(name)
    options: Make[Maker] = tyro.cli(
        Make[maker],  # type: ignore[valid-type]  # which maker is known only now
        prog=f"foresay corpus make {name}",
        description=list_makers().get(name),
        args=rest,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    made = options.maker.make(options.destination)
    print(f"{made.manifests['all'].parent}{' was there already' if made.reused else ': made'}")
    for path in made.manifests.values():
        _print_row(path.relative_to(options.destination).as_posix(), corpus_stats(path))
    return 0


def _listing(corpora: Mapping[str, str]) -> str:
    """Lay out names of corpora, each with what it is."""
    width = max(map(len, corpora)) + 2
    return "\n".join(f"  {name:{width}}{line}" for name, line in corpora.items())


@dataclass(frozen=True)
class Align:
    """What to align, by what."""

    manifest: ManifestPath
    """Manifest whose items have texts."""
    destination: Destination
    """Manifest to write."""
    recognizer: Annotated[str | None, tyro.conf.arg(name="with", metavar="RUN")] = None
    """A recognizer of ours (a run of `foresay finetune`), of any language; default: PocketSphinx, English, 39 phones and SIL."""
    prior: float | None = None
    """With --with a CTC: share of log p of each symbol in general that is subtracted: 0 (default) to 1, for longer symbols."""
    doubt: float | None = None
    """With --with: how doubtful a text may be, 0: nothing fits better, 1: as a wrong one; beyond (0.65), it has no times."""
    device: str | None = None
    """With --with: cpu, cuda, cuda:1, …; default: a GPU if there is one."""
    workers: int = 2
    """Processes of PocketSphinx."""
    trust: bool = False
    """Run code outside Foresay that the model folder names or brings along."""


def _align(arguments: list[str]) -> int:
    about = "Find when the words, or phones, of a transcribed corpus are spoken. Who was stopped gives the same command again."
    options = tyro.cli(Align, prog="foresay corpus align", args=arguments, description=about)
    if options.recognizer is None:
        if idle := [name for name in ("prior", "doubt", "device") if getattr(options, name) is not None]:
            msg = f"--{idle[0]} is of an alignment by a recognizer: name one (--with RUN), or leave it out"
            raise UserError(msg)
        done = align_corpus(options.manifest, options.destination, workers=options.workers)
        lacking = "Words that the dictionary lacks (pronounced by eSpeak NG if the extra `demo` is installed): "
    else:
        given = {name: value for name in ("prior", "doubt") if (value := getattr(options, name)) is not None}
        with trusting(options.trust):
            settings = AlignmentSettings(**given)
            done = align_corpus_with(options.recognizer, options.manifest, options.destination, settings, device=options.device)
        lacking = "Symbols that the recognizer's vocabulary lacks: "
    print(f"{options.destination}: {done.aligned} items have times now, {len(done.left)} have none")
    for name, why in list(done.left.items())[:SHOWN]:
        print(f"  {name}: {why}")
    if done.left_list:
        print(f"all of them, and why: {done.left_list}")
    if done.missing:
        print(lacking + ", ".join(f"{word} ({n})" for word, n in done.missing.most_common(12)))
    return 0


def _pack(arguments: list[str]) -> int:
    def pack(paths: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="MANIFEST… DEST")], shard: str = "1GB") -> None:
        """Put the files that manifests name into tar files, and write the manifests anew, pointing into them.

        Each file is stored once, however many items or manifests share it. Whoever was stopped gives the same command again.

        Args:
            paths: Manifests, and last the folder for all that is written, new or empty.
            shard: Size of a tar file: 500MB, 1GB, … A file that is larger has one for itself.
        """
        if len(paths) < len(("MANIFEST", "DEST")):
            msg = "foresay corpus pack takes one manifest or several, and the folder to write to: foresay corpus pack train.jsonl packed"
            raise UserError(msg)
        done = pack_corpus(paths[:-1], paths[-1], shard=shard)
        there = f", of which {done.reused:,} were there already" if done.reused else ""
        print(f"{paths[-1]}: {_count(len(done.shards), 'shard')}, {done.bytes / 1e9:,.2f} GB{there}")
        for path in done.manifests:
            _print_row(path.name, corpus_stats(path))
        if done.skipped:
            print(f"left out {_count(len(done.skipped), 'item')}, all listed in {paths[-1] / SKIPPED}:")
            for line in done.skipped[:SHOWN]:
                print(f"  {line}")

    tyro.cli(pack, prog="foresay corpus pack", args=arguments)
    return 0


@dataclass(frozen=True)
class Import(Generic[ReaderT]):
    """What to import."""

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SRC")]
    """Folder that the corpus was unpacked into."""
    destination: Destination
    """Folder of the manifests."""
    reader: ReaderT
    times: Times
    split: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=FILE")] = ()
    """A split and the file that lists its utterances, one id a line; may be given several times, replaces the corpus's own splits."""
    workers: int = 8
    """Threads that read headers."""


def _import(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(IMPORT_HELP.format(readers=_listing(list_readers())))
        return 0 if arguments else 2
    name, *rest = arguments
    reader = find_reader(name)
    options = tyro.cli(
        Import[reader],  # type: ignore[valid-type]  # which reader is known only now
        prog=f"foresay corpus import {name}",
        description=list_readers().get(name),
        args=rest,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    splits = _named_files(options.split)
    found = import_corpus(options.reader, options.source, options.destination, times=options.times, splits=splits, workers=options.workers)
    _print_imported(found)
    return 0


def _named_files(texts: Sequence[str]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            msg = f"--split takes NAME=FILE, such as train=train_split.txt, not {text!r}"
            raise UserError(msg)
        if named.setdefault(name, Path(path)) != Path(path):
            msg = f"--split {name} was given twice, as {named[name]} and as {path}: put the ids into one file"
            raise UserError(msg)
    return named


def _print_imported(found: Imported) -> None:
    print(found.manifests["manifest"].path.parent)
    for name, statistics in found.manifests.items():
        _print_row(f"{name}.jsonl", statistics)
    for name, count in found.pairs.items():
        print(f"  {name:18} {_count(count, 'pair'):>13}")
    if found.skipped:
        print(f"skipped {len(found.skipped):,}:")
        for path, reason in found.skipped[:SHOWN]:
            print(f"  {reason}" if str(path) in reason else f"  {path}: {reason}")
    if found.skipped_list:
        print(f"all that was not used, and why: {found.skipped_list}")
    for note in found.notes:
        print(f"note: {note}")


def _print_row(name: str, statistics: Statistics) -> None:
    s = statistics
    untranscribed = s.items - s.transcribed
    text = f"{s.transcribed:,} transcribed, {untranscribed:,} not" if untranscribed else "all transcribed"
    phones = f", {s.with_phones:,} with phones ({s.phone_set})" if s.with_phones else ""
    print(f"  {name:16} {_count(s.items, 'item'):>15} {_length(s.hours):>10} {_count(len(s.speakers), 'speaker'):>15}   {text}{phones}")


def _count(number: int, noun: str) -> str:
    """Say how many there are.

    >>> _count(1, "item"), _count(2000, "item")
    ('1 item', '2,000 items')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _length(hours: float) -> str:
    """Format a duration.

    >>> _length(0.001), _length(0.05), _length(100.6)
    ('3.6 s', '3.0 min', '100.6 h')
    """
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.1f} s"


def _check(arguments: list[str]) -> int:
    def decode(manifest: ManifestPath, workers: int = 4, every: bool = False) -> Report:  # noqa: FBT001, FBT002 - tyro's
        """Decode everything that a manifest names; the exit code is 2 if some of it, or of its phones, cannot be used.

        Args:
            manifest: A manifest.
            workers: Threads that decode.
            every: List every finding, not the first of each kind.
        """
        report = check_corpus(manifest, workers)
        _print_report(report, len(report.findings) if every else SHOWN)
        return report

    report = tyro.cli(decode, prog="foresay corpus check", args=arguments, config=(tyro.conf.FlagCreatePairsOff,))
    return 2 if report.unusable or report.misplaced else 0


def _print_report(report: Report, shown: int) -> None:
    print(f"{report.name}: {_count(report.items, 'item')}, {_length(report.hours)}, all decoded")
    kinds: dict[str, list[Finding]] = {}
    for finding in sorted(report.findings, key=lambda finding: not finding.unusable):
        kinds.setdefault(finding.kind, []).append(finding)
    for kind, findings in kinds.items():
        meaning = REMARKS.get(kind, "CANNOT BE USED")
        print(f"{len(findings):7,}  {kind}: {meaning}")
        for finding in findings[:shown]:
            print(f"           {finding.item}" + (f": {finding.detail}" if finding.detail else ""))
        if len(findings) > shown:
            print(f"           … and {len(findings) - shown:,} more")
    print("\n".join(_conclusions(report)))


def _conclusions(report: Report) -> list[str]:
    """Return the lines that conclude a check: what must be done about its findings."""
    lines = []
    if report.unusable:
        lines.append(f"{_count(report.unusable, 'item')} cannot be used: mend what is wrong, or delete those lines from the manifest")
    if report.misplaced:
        lines.append(f"the phones of {_count(report.misplaced, 'item')} cannot be used: import the corpus again with the right times")
    if report.doubtful:
        doubts = ", ".join(f"{count:,} {kind}" for kind, count in report.doubtful.items())
        lines.append(f"{'the rest' if lines else 'everything'} can be decoded, but check what is doubtful: {doubts}")
    return lines or ["everything can be used"]


def _stats(arguments: list[str]) -> int:
    def count(manifest: ManifestPath) -> None:
        """Say what is in a manifest.

        Args:
            manifest: A manifest.
        """
        _print_statistics(corpus_stats(manifest))

    tyro.cli(count, prog="foresay corpus stats", args=arguments)
    return 0


def _print_statistics(s: Statistics) -> None:
    rows = {
        "items": f"{s.items:,}",
        "audio": _length(s.hours),
        "per item": _spread(s.seconds_per_item, "s"),
        "speakers": f"{len(s.speakers):,}",
        "per speaker": _spread(s.minutes_per_speaker, "min"),
        "sample rates": _counts({f"{rate:,} Hz": count for rate, count in s.sample_rates.items()}),
        "languages": _counts(s.languages),
        "labels": _counts(s.labels),
        "transcribed": f"{s.transcribed:,} of {s.items:,} items",
        "with words": f"{s.with_words:,} of {s.items:,} items",
        "with phones": f"{s.with_phones:,} of {s.items:,} items",
        "with turns": f"{s.with_turns:,} of {s.items:,} items",
    }
    if s.phones:
        rows["phone set"] = f"{s.phone_set or 'not named'}: {len(s.phones)} phones, {sum(s.phones.values()):,} occurrences"
        rows["per phone"] = f"{s.milliseconds_per_phone:.0f} ms in the mean"
        rows["phones"] = _counts(s.phones)
    print(s.name)
    for name, value in rows.items():
        print(f"  {name:14}{value or 'none'}")


def _spread(spread: Spread, unit: str) -> str:
    return f"{spread.least:.2f} to {spread.most:.2f} {unit}, median {spread.median:.2f} {unit}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
