"""Tables on the pages that are made from the tree: `<!-- every model -->` becomes a row for each model.

A hook of MkDocs. Whoever adds a model, a recipe, a measure or a corpus adds its file, and no page changes.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from foresay.corpora.generated import list_makers
from foresay.corpora.reader import list_readers
from foresay.evaluation.measure import describe_measures
from foresay.workflows.catalog import list_models, list_recipes

MARK = re.compile(r"^<!-- every (?P<kind>[a-z ]+) -->$", re.MULTILINE)
LISTS: dict[str, Callable[[], Mapping[str, str]]] = {
    "model": list_models,
    "recipe": list_recipes,
    "measure": describe_measures,
    "corpus to import": list_readers,
    "corpus to make": list_makers,
}


def on_page_markdown(markdown: str, **_: Any) -> str:  # noqa: ANN401 - what MkDocs passes
    """Put each table in the place of its mark."""
    return MARK.sub(lambda mark: _table(mark["kind"], LISTS[mark["kind"]]()), markdown)


def _table(kind: str, lines: Mapping[str, str]) -> str:
    rows = [f"| `{name}` | {line.replace('|', chr(92) + '|')} |" for name, line in lines.items()]
    return "\n".join([f"| {kind.partition(' ')[0]} | what |", "|---|---|", *rows])
