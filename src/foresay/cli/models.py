"""List the models that can be trained and the baselines that need no training.

Example:
    foresay models
"""

import tyro

from foresay.workflows.catalog import list_baselines, list_models


def run(arguments: list[str]) -> None:
    """Print a line on each."""
    tyro.cli(models, prog="foresay models", description=__doc__, args=arguments)


def models() -> None:
    """Print names and lines in two columns."""
    for title, entries in {"Models": list_models(), "Baselines": list_baselines()}.items():
        print(f"{title}:")
        width = max(map(len, entries), default=0)
        for name, line in entries.items():
            print(f"  {name:{width}}  {line}")
