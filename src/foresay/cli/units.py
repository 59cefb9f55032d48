"""Find discrete units in a layer of a model, write a corpus in them, and say how good they are.

Example:
    foresay units fit runs/hubert --layer L6 --clusters 100 --corpus corpus/train.jsonl --run runs/units
    foresay units fit hf:facebook/hubert-base-ls960 --layer L6 --centers km.bin --run runs/gslm-units
    foresay units encode runs/units --corpus corpus/test.jsonl --out units/test
    foresay units describe runs/units --corpus corpus/test.jsonl --train-corpus corpus/train.jsonl --option abx.max_size_group=10
"""

from collections.abc import Callable
from math import log2
from pathlib import Path
from typing import Annotated

import tyro

from foresay.cli._table import print_results
from foresay.contracts import Tokenizer
from foresay.errors import UserError, nearest
from foresay.reports.wording import plural
from foresay.workflows.units import describe_units, encode_units, fit_units, import_units

HELP = f"""\
usage: foresay units fit|encode|describe …        each has a --help of its own

{__doc__}
  fit MODEL       k-means of a layer, or centers that were found elsewhere; the run holds its encoder too
  encode UNITS    the units of every frame of a corpus, packed in a folder
  describe UNITS  use, bits, durations, agreement with phones, ABX, and what is left of the speaker, beside units of log-mel"""

SHOWN = 10
"""Recordings that are named on the terminal, of those left out."""


def run(arguments: list[str]) -> int:
    """Do what the first word says."""
    actions: dict[str, Callable[[list[str]], None]] = {"fit": _fit, "encode": _encode, "describe": _describe}
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(HELP)
        return 0 if arguments else 2
    action, *rest = arguments
    if action not in actions:
        msg = f"foresay units {action}: {nearest(action, actions)}"
        raise UserError(msg)
    actions[action](rest)
    return 0


Units = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="UNITS")]


def _fit(arguments: list[str]) -> None:
    def fit(
        model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")],
        run: Path,
        layer: str,
        clusters: int | None = None,
        corpus: Path | None = None,
        centers: Path | None = None,
        hours: float | None = None,
        frames: int | None = None,
        seed: int = 0,
        device: str | None = None,
    ) -> None:
        """Find the units of a layer: centers of k-means, of this corpus or from elsewhere.

        Args:
            model: A run, a model folder, a baseline, hf:NAME, a .pt file of fairseq; untrained:MODEL.
            run: Folder of the run.
            layer: Of the model: the frames that are clustered.
            clusters: How many units there are.
            corpus: Manifest of the audio to find them in.
            centers: Instead: a file of centers, such as km.bin of fairseq, any k-means of scikit-learn, or a .npy of (K, D).
            hours: Of the corpus, drawn at random, at most. Default: 100.
            frames: Of these, drawn at random, at most. Default: a million.
            seed: Of what is drawn.
            device: cpu, cuda, cuda:1, … Default: a GPU if there is one.
        """
        if centers is not None:
            given = {"--clusters": clusters, "--corpus": corpus, "--hours": hours, "--frames": frames}
            if idle := [option for option, value in given.items() if value is not None]:
                msg = f"--centers {centers} are fitted already: leave out {', '.join(idle)}"
                raise UserError(msg)
            units = import_units(model, centers, run, layer=layer)
        elif corpus is None or clusters is None:
            msg = "say how many units there shall be (--clusters) and in what audio they are found (--corpus); or give --centers FILE"
            raise UserError(msg)
        else:
            units = fit_units(model, corpus, run, layer=layer, clusters=clusters, hours=hours, frames=frames, seed=seed, device=device)
        print(f"{run}: {_what(units)}\nHow good they are: foresay units describe {run} --corpus TEST.jsonl --train-corpus TRAIN.jsonl")

    tyro.cli(fit, prog="foresay units fit", args=arguments)


def _encode(arguments: list[str]) -> None:
    def encode(
        units: Units,
        corpus: Path,
        out: Path,
        text: Path | None = None,
        merged_text: Path | None = None,
        device: str | None = None,
    ) -> None:
        """Write the units of every frame of a corpus, packed in a folder.

        Args:
            units: A run of `foresay units fit`, or RUN#tokenizer of a run that is made of one.
            corpus: Manifest of the audio.
            out: Folder for the units; what was begun there goes on.
            text: Also a text file with a line `ID|71 71 11 8` for each recording, as fairseq's scripts write them.
            merged_text: The same, with runs of equal units as one: `ID|71 11 8`.
            device: cpu, cuda, cuda:1, … Default: a GPU if there is one.
        """
        done = encode_units(units, corpus, out, device=device)
        for path, merged in ((text, False), (merged_text, True)):
            if path is not None:
                done.write_text(path, merged=merged)
        written = len(done.manifest) - len(done.left_out) - done.too_short
        print(f"{out}: {plural(written, 'recording')} in {_what(done.tokenizer)}")
        if done.too_short:
            print(f"{plural(done.too_short, 'recording')} of less than a frame, without units")
        if "pnmi" in done.labels.about:
            print(f"PNMI with the phones of the corpus: {done.labels.about['pnmi']}")
        for line in done.left_out[:SHOWN]:
            print(f"left out: {line}")
        if len(done.left_out) > SHOWN:
            print(f"{plural(len(done.left_out), 'recording')} could not be read: all are listed in {out}")

    tyro.cli(encode, prog="foresay units encode", args=arguments)


def _describe(arguments: list[str]) -> None:
    def describe(
        units: Units,
        corpus: Path,
        train_corpus: Path | None = None,
        option: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="MEASURE.FIELD=VALUE")] = (),
        out: Path | None = None,
        seed: int = 0,
        device: str | None = None,
        again: bool = False,  # noqa: FBT001, FBT002 - an option
    ) -> None:
        """Measure units on a corpus, beside the layer they are of and as many units of log-mel.

        Args:
            units: A run of `foresay units fit`.
            corpus: Manifest to test on. PNMI, purities and ABX take phone times.
            train_corpus: Manifest to find the units of log-mel on, and for the speaker probe, of the same speakers.
            option: A field of a measure's protocol, such as abx.max_size_group=10; may be given several times.
            out: Folder for results.jsonl and the control. Default: the units' run.
            seed: Of the control, the probe, and the intervals.
            device: cpu, cuda, cuda:1, … Default: a GPU if there is one.
            again: Measure again what stands in results.jsonl already.
        """
        found = describe_units(units, corpus, train_corpus, options=option, out=out, seed=seed, device=device, again=again)
        print_results(found.results)
        for note in sorted({result.details["note"] for result in found.results if "note" in result.details}):
            print(note)
        for what, why in found.left_out.items():
            print(f"{what} is left out: {why}")

    tyro.cli(describe, prog="foresay units describe", args=arguments)


def _what(units: Tokenizer) -> str:
    most = units.frame_rate * log2(units.vocabulary)
    return (
        f"{units.vocabulary} units of layer {units.layer}, {units.frame_rate:g} a second, {most:.0f} bit/s if all were as frequent "
        f"(tokenizer {units.fingerprint})"
    )
