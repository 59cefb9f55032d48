"""Who enters a run folder: a new run, or the one that it was begun as."""

from collections.abc import Mapping

from foresay.corpora.manifest import Manifest
from foresay.errors import UserError
from foresay.files import finished
from foresay.runs import Data, Run
from foresay.settings import read_toml_file
from foresay.training.recipe import Recipe, differences, resolve

BEFORE = ("parts", "labels")
"""The folders of what is made before the run begins: parts that are fitted, and the texts of a model of tokens."""


def enter(run: Run, recipe: Recipe, corpora: Mapping[str, Manifest]) -> list[str]:
    """Begin the run, or make sure that it is this recipe's and these corpora's; return what there is to say.

    Raises:
        UserError: it was begun with others, or the folder is none of a run.
    """
    data = {purpose: described_data(manifest) for purpose, manifest in corpora.items()}
    begun = refuse_others(run, data)
    run.begin(recipe.toml(), {**begun, **data})
    moved = [purpose for purpose in begun.keys() & data.keys() if begun[purpose].manifest != data[purpose].manifest]
    return [f"the same data, in another place: {data[purpose].manifest}, before {begun[purpose].manifest}" for purpose in sorted(moved)]


def refuse_others(run: Run, data: Mapping[str, Data]) -> Mapping[str, Data]:
    """Make sure that a folder is none, empty, or that of a run on these data; return what the run was begun on.

    Raises:
        UserError: it is another.
    """
    if run.recipe.exists():
        begun = run.read_data()
        for purpose, first in begun.items():
            _refuse_other_data(run, purpose, first, data.get(purpose, first))
        return begun
    if run.folder.is_dir() and [path for path in finished(run.folder.iterdir()) if path.name not in BEFORE]:
        msg = f"{run.folder} is not empty and is no run: it holds no recipe.toml. Choose another --run."
        raise UserError(msg)
    return {}


def refuse_other_recipe(run: Run, recipe: Recipe) -> None:
    """Make sure that a run, if it was begun, was begun with this recipe.

    Raises:
        UserError: it was not; the message names what differs.
    """
    if not run.recipe.exists():
        return
    table = read_toml_file(run.recipe)
    model = table.get("model")
    begun = model.get("name") if isinstance(model, dict) else model
    found = [f"model.name: {begun!r} -> {recipe.model!r}"]
    if begun == recipe.model:  # what it is otherwise is not imported
        found = differences(resolve(table, recipe.name), recipe)
    if found:
        listed = "; ".join(found)
        msg = f"{run.folder} was begun with another recipe ({listed}). Choose another --run, or give the settings it was begun with."
        raise UserError(msg)


def described_data(manifest: Manifest) -> Data:
    """Say what a manifest holds."""
    return Data(manifest.given, len(manifest), round(float(manifest.durations.sum()) / 3600, 6), manifest.digest)


def _refuse_other_data(run: Run, purpose: str, first: Data, now: Data) -> None:
    """Data may have moved, but they must be the same: as many recordings, and the items of the manifest equal but for their paths."""
    alike = str(first) == str(now)
    if alike and first.digest in {None, now.digest}:
        return
    how = ", but other ids, times, speakers or texts, or in another order" if alike else ""
    option = "--corpus" if purpose == "train" else "--valid"
    msg = (
        f"{run.folder} was begun on another corpus ({first.manifest}: {first}, not {now.manifest}: {now}{how}). "
        f"Choose another --run, or give the {option} it was begun on."
    )
    raise UserError(msg)
