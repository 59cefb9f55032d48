"""Take a figure out of a report page, as a file of its own for the docs.

    python benchmarks/take_picture.py REPORT.html "Map of items, cifar-0 c" docs/map-cifar.svg

A page's figures take their colors from its style sheet; they are given along, for light and dark screens.
"""

import argparse
import re
import sys
from pathlib import Path

from foresay.reports import page

WIDTH = 640


def main() -> None:
    """Find the figure by its title, write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("title")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    figures = re.findall(r"<svg.*?</svg>", options.report.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = [match[1] for figure in figures if (match := re.search(r"<title>(.*?)</title>", figure))]
    if options.title not in titles:
        sys.exit(f"{options.report} has no figure {options.title!r}, but: {', '.join(titles)}")
    style = Path(page.__file__).with_name("page.css").read_text(encoding="utf-8")
    colors = style[: style.index("\nbody")]
    root = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{WIDTH}" '
    figure = figures[titles.index(options.title)].replace("<svg ", root, 1).replace("</title>", f"</title><style>{colors}</style>", 1)
    options.out.write_text(figure, encoding="utf-8")


if __name__ == "__main__":
    main()
