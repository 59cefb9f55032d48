"""What it takes to do it again: settings, commands, citations."""

import base64
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from foresay.extras import install
from foresay.reports.markup import Html, join, row, table, tag
from foresay.reports.record import Record
from foresay.reports.superb import SHORT
from foresay.reports.wording import setting
from foresay.settings import write_toml
from foresay.version import __version__

ABSENT = "\N{EM DASH}"

CITATIONS = {
    "Foresay": f"""\
@software{{foresay,
  title   = {{Foresay}},
  author  = {{{{The Foresay authors}}}},
  version = {{{__version__}}},
}}""",
    "Contrastive Predictive Coding": """\
@article{oord2018representation,
  title   = {Representation Learning with Contrastive Predictive Coding},
  author  = {van den Oord, Aaron and Li, Yazhe and Vinyals, Oriol},
  journal = {arXiv:1807.03748},
  year    = {2018},
}""",
    "Aligned Contrastive Predictive Coding": """\
@inproceedings{chorowski2021aligned,
  title     = {Aligned Contrastive Predictive Coding},
  author    = {Chorowski, Jan and Ciesielski, Grzegorz and Dzikowski, Jarosław and Łańcucki, Adrian and Marxer, Ricard
               and Opala, Mateusz and Pusz, Piotr and Rychlikowski, Paweł and Stypułkowski, Michał},
  booktitle = {Interspeech},
  year      = {2021},
  note      = {arXiv:2104.11946},
}""",
}

PAPERS = {
    "Contrastive Predictive Coding": "https://arxiv.org/abs/1807.03748",
    "Aligned Contrastive Predictive Coding": "https://arxiv.org/abs/2104.11946",
}


def settings_section(records: Sequence[Record]) -> Html:
    """The recipes; with several runs a column each, and what differs is marked."""
    known = [record for record in records if record.recipe]
    unknown = [tag("p", f"{record.name} has no recipe.toml.", class_="missing") for record in records if not record.recipe]
    if not known:
        return join(unknown)
    sections = list(dict.fromkeys(section for record in known for section, value in record.recipe.items() if isinstance(value, Mapping)))
    blocks = [
        tag("div", tag("h3", section), _settings_table([record.recipe.get(section, {}) for record in known], known)) for section in sections
    ]
    note = [] if len(known) == 1 else [tag("p", "Marked: what differs.", class_="caption")]
    class_ = "settings" if len(known) == 1 else "settings several"
    return join([*unknown, *note, tag("div", *blocks, class_=class_)])


def reproduction_section(records: Sequence[Record]) -> Html:
    """Each run's recipe to take along, and the commands that train and measure it."""
    versions = sorted({result.version for record in records for result in record.results})
    made = f"The results were measured with Foresay {', '.join(versions)}. " if versions else ""
    parts = [tag("p", made, "Put your own manifests for names in capitals.")]
    for record in records:
        if record.recipe:
            toml = base64.b64encode(write_toml(record.recipe).encode()).decode()
            name = _recipe_file(record)
            link = tag("a", name, href=f"data:application/toml;base64,{toml}", download=name)
            parts.append(tag("p", f"The recipe of {record.name}, to save: ", link))
        parts.append(tag("pre", "\n".join(_commands(record))))
    return join(parts)


def citation_section() -> Html:
    """Whom to cite."""
    parts = []
    for title, entry in CITATIONS.items():
        link = [", ", tag("a", PAPERS[title].removeprefix("https://"), href=PAPERS[title])] if title in PAPERS else []
        parts += [tag("p", title, *link), tag("pre", entry)]
    return join(parts)


def _settings_table(tables: Sequence[Mapping[str, Any]], records: Sequence[Record]) -> Html:
    rows = []
    for key in dict.fromkeys(key for settings in tables for key in settings):
        values = [setting(settings[key]) if key in settings else ABSENT for settings in tables]
        rows.append(row(key, *values, class_="differs" if len(set(values)) > 1 else None))
    return table(["", *(record.name for record in records)] if len(records) > 1 else [], rows)


def _commands(record: Record) -> list[str]:
    """Commands that do it again; the manifests are those of the training, the measures those of the results."""
    run, recipe = shlex.quote(record.name), shlex.quote(_recipe_file(record))
    train, valid = (shlex.quote(str(record.data.get(split, {}).get("manifest", f"{split.upper()}.jsonl"))) for split in ("train", "valid"))
    commands = [f"{install('plot', folder='./foresay')}  # of Foresay {__version__}"]
    if record.recipe:
        commands.append(f"foresay pretrain {recipe} --corpus {train} --valid {valid} --run {run}")
    measured = [result for result in record.results if result.step is not None] or list(record.results)
    all_protocols = list(dict.fromkeys((result.measure, *_options(result.protocol)) for result in measured)) or [("probe", "paper")]
    commands += _superb(run, [one for one in all_protocols if one[0] in SHORT])
    protocols = [one for one in all_protocols if one[0] not in SHORT]
    measures = ",".join(dict.fromkeys(f"{measure}:{protocol}" for measure, protocol, *_ in protocols))
    options = dict.fromkeys(f"--option {shlex.quote(f'{measure}.{option}')}" for measure, _, *options in protocols for option in options)
    what = " ".join([f"--measures {shlex.quote(measures)}", *options])
    if protocols:
        commands.append(f"foresay evaluate {run} --corpus TEST.jsonl --train-corpus {train} {what}")
    return [*commands, f"foresay report {run}"]


def _options(protocol: str) -> list[str]:
    """Take a protocol's name apart, into that without options and the options.

    >>> _options("phone(max_size_group=10, max_x_across=5)")
    ['phone', 'max_size_group=10', 'max_x_across=5']
    """
    name, _, options = protocol.removesuffix(")").partition("(")
    return [name, *(re.split(r", (?=\w+=)", options) if options else [])]


def _superb(run: str, protocols: Sequence[Sequence[str]]) -> list[str]:
    """Commands that measure tasks of SUPERB again, one for each protocol and choice of layers."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for measure, name, *options in protocols:
        task = SHORT[measure].lower()
        chosen = [option.removeprefix("layers=").replace(" ", ",") for option in options if option.startswith("layers=")]
        how = " ".join([f"--protocol {name}", *(f"--layers {shlex.quote(layers)}" for layers in chosen)])
        tasks, changes = found.setdefault(how, ([], []))
        tasks.append(task)
        changes += [f"--option {shlex.quote(f'{task}.{option}')}" for option in options if not option.startswith("layers=")]
    return [
        " ".join([f"foresay superb {run} --corpus SUPERB {how} --tasks {','.join(dict.fromkeys(tasks))}", *changes])
        for how, (tasks, changes) in found.items()
    ]


def _recipe_file(record: Record) -> str:
    return f"{record.name.replace('/', '-')}.toml"
