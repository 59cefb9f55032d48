"""The page: its sections in order, in one file that needs nothing else."""

from collections.abc import Mapping, Sequence
from importlib import resources

from foresay.reports.comparisons import compare
from foresay.reports.continuations import continuations_section
from foresay.reports.curves import training_section
from foresay.reports.errors import errors_section
from foresay.reports.listening import listening_section
from foresay.reports.markup import Html, join, tag
from foresay.reports.provenance import citation_section, reproduction_section, settings_section
from foresay.reports.record import Record
from foresay.reports.sounds import sounds_section
from foresay.reports.summary import summary
from foresay.reports.superb import superb_section
from foresay.reports.tables import results_section
from foresay.reports.wording import listed
from foresay.version import __version__


def page(records: Sequence[Record]) -> str:
    """Lay out the report of one or several runs as an HTML document."""
    comparisons = compare(records)
    errors, superb = errors_section(comparisons), superb_section(comparisons)
    continuations = continuations_section(comparisons)
    sounds = sounds_section(records)
    utterances = None if all(record.sounds and not record.examples for record in records) else listening_section(records)
    sections = {
        **({"superb": ("Ten tasks (SUPERB)", superb)} if superb else {}),
        "results": ("What was learned", results_section(comparisons)),
        **({"continuations": ("How it goes on, at a temperature", continuations)} if continuations else {}),
        **({"errors": ("What is recognized wrongly", errors)} if errors else {}),
        **({"sounds": ("Synthesized speech", sounds)} if sounds else {}),
        **({"utterances": ("Utterances, and the models' features", utterances)} if utterances else {}),
        "training": ("Training", training_section(records)),
        "settings": ("Settings", settings_section(records)),
        "reproduce": ("Do it again", reproduction_section(records)),
        "cite": ("Cite", citation_section()),
    }
    return _document(listed([record.name for record in records]), sections, summary(records, comparisons))


def recording_page(title: str, records: Sequence[Record]) -> str:
    """Lay out what several recognizers make of one recording, the example of their records, as an HTML document."""
    return _document(title, {"utterances": ("The recording", listening_section(records))})


def _document(title: str, sections: Mapping[str, tuple[str, Html]], *above: Html) -> str:
    """Put sections, by their ids with their titles, one below the other."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title} | Foresay report"),
        tag("style", _file("page.css")),
    )
    links = tag("nav", *(tag("a", title, href=f"#{key}") for key, (title, _) in sections.items()), aria_label="Sections")
    header = tag("header", tag("p", "Foresay report", class_="eyebrow"), tag("h1", title), *above, links)
    body = (tag("section", tag("h2", title), content, id=key) for key, (title, content) in sections.items())
    footer = tag("footer", f"Written by Foresay {__version__}. This page is one file and needs no network.")
    document = tag("html", head, tag("body", header, tag("main", *body), footer, tag("script", _file("page.js"))), lang="en")
    return join([Html("<!doctype html>\n"), document, "\n"])


def _file(name: str) -> Html:
    """Read a file that lies beside this one."""
    return Html(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
