"""List the models by what they are for, the baselines that need no training, and the checkpoints that can be read.

Example:
    foresay models
"""

import tyro

from foresay.workflows.catalog import CONTRACTS, list_baselines, list_families, list_models_by_contract


def run(arguments: list[str]) -> None:
    """Print a line on each."""
    tyro.cli(models, prog="foresay models", description=__doc__, args=arguments)


def models() -> None:
    """Print names and lines in two columns, one group after another."""
    groups = {f"Models that {CONTRACTS[contract]} ({contract})": found for contract, found in list_models_by_contract().items()}
    groups |= {"Baselines, which need no training": list_baselines(), "Checkpoints of the Hugging Face hub, as hf:NAME": list_families()}
    width = max(len(name) for entries in groups.values() for name in entries)
    for title, entries in groups.items():
        print(f"{title}:")
        for name, line in entries.items():
            print(f"  {name:{width}}  {line}")
        print()
