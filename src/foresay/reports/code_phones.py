"""P(phone | code) of a quantizer or of clusters, as Figure 3 of wav2vec 2.0 draws it (arXiv:2006.11477, appendix D)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foresay.reports.canvas import INK, SMALL, draw
from foresay.reports.comparisons import Comparison, Line
from foresay.reports.markup import Html, tag

MOST_PICTURES = 6
"""Of a measure: those of most codes, which are all codebooks together and not each by itself."""
MOST_NAMED = 64
"""Codes whose numbers stand below a picture."""


class PhonesOfCodes(NamedTuple):
    """What phones codes stand for."""

    phones: list[str]
    """C, the most frequent first."""
    codes: NDArray[np.int64]
    """(K,) that are in use, by the likeliest phone of each, and among those of one phone the surest first."""
    shares: NDArray[np.float64]
    """P(phone | code) (C, K)."""


def phones_of_codes(counts: NDArray[np.int64], phones: Sequence[str]) -> PhonesOfCodes:
    """Sort n(code, phone) (K, C) as Figure 3 does; codes that no labelled frame has are left out."""
    order = np.argsort(-counts.sum(axis=0), kind="stable")
    used = np.flatnonzero(counts.sum(axis=1))
    table = counts[used][:, order]
    shares = table / table.sum(axis=1, keepdims=True)
    by_phone = np.lexsort((-shares.max(axis=1), shares.argmax(axis=1))) if len(used) else used
    return PhonesOfCodes([phones[place] for place in order], used[by_phone], shares[by_phone].T)


def code_pictures(measure: Sequence[Comparison], name: str) -> list[Html]:
    """Draw the codes of trained models, of which evaluation kept how often they meet each phone."""
    lines = [line for comparison in measure if not comparison.seen for line in comparison.lines if not line.untrained]
    having = [line for line in lines if _counts(line).any()]
    most = sorted((len(_counts(line)) for line in having), reverse=True)[:MOST_PICTURES]
    chosen = [line for line in having if len(_counts(line)) >= most[-1]][:MOST_PICTURES]
    shown = [_picture(line, f"{name}-codes-{place}") for place, line in enumerate(chosen)]
    if not shown:
        return []
    text = (
        "P(phone | code): each column is a code, by its likeliest phone, each row a phone, the most frequent first. One dark cell in a "
        "column is a code that stands for one phone; a wide row is a phone that many codes stand for; rare codes look surer than they are "
        "(arXiv:2006.11477, Figure 3)."
    )
    return [tag("h4", "Which phones do codes stand for?"), tag("p", text, class_="caption"), *shown]


def _counts(line: Line) -> NDArray[np.int64]:
    """n(code, phone) (K, C) of a line; nothing where none was kept."""
    return np.asarray((line.result.arrays or {}).get("contingency", np.zeros((0, 0), dtype=np.int64)))


def _picture(line: Line, name: str) -> Html:
    found = phones_of_codes(_counts(line), [str(phone) for phone in (line.result.arrays or {})["phones"]])
    title = f"{line.label} {line.layer}".rstrip()

    def paint(figure: Any) -> None:  # noqa: ANN401 - matplotlib is an optional extra
        axes = figure.subplots()
        image = axes.imshow(found.shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        axes.set_yticks(range(len(found.phones)), labels=found.phones, fontsize=SMALL, color=INK)
        named = found.codes.tolist() if len(found.codes) <= MOST_NAMED else []
        axes.set_xticks(range(len(named)), labels=[str(code) for code in named], fontsize=SMALL, rotation=90)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.set(title=title, xlabel=f"{len(found.codes):,} codes")
        figure.colorbar(image, ax=axes, pad=0.01, label="P(phone | code)")

    picture = draw(name, f"P(phone | code), {title}", (11.0, 1.1 + 0.145 * len(found.phones)), paint, class_="picture wide")
    return tag("div", picture, class_="scroll")
