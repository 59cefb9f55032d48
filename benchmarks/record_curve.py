"""Make a run the reference of its recipe: its learning curve is then drawn behind those of users.

    python benchmarks/record_curve.py RUN [--out FILE]

RUN is a finished run of a built-in recipe, settings unchanged. The file goes to src/foresay/recipes, beside the recipe.
"""

import argparse
import json
import sys
from pathlib import Path

from foresay.reports.record import read_records
from foresay.reports.reference_curves import curve_lines
from foresay.training.built_in import built_in

RECIPES = Path(__file__).resolve().parents[1] / "src" / "foresay" / "recipes"


def main() -> None:
    """Read the run, write the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, help="default: where the package keeps it")
    options = parser.parse_args()
    (record,) = read_records([options.run])
    if record.recipe_name not in built_in():
        sys.exit(f"{options.run} was trained by {record.recipe_name or 'no recipe yet'}, which is no built-in recipe")
    if record.planned is not None and record.step < record.planned:
        sys.exit(f"{options.run} is unfinished: {record.step} of {record.planned} updates")
    out = options.out or next(RECIPES.glob(f"*/{record.recipe_name}.toml")).with_suffix(".jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = curve_lines(record)
    out.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    print(f"{out}: {len(lines)} lines, {out.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
