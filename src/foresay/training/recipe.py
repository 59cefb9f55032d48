"""Recipes: a TOML file that names a model and states only what differs from the defaults.

base = "cpc"                 # optional: another recipe to start from

[model]                      # `model = "acpc"` alone will do where no setting differs
name = "acpc"
predictions = 6

[data]                       # DataSettings       [optimizer]  OptimizerSettings       [trainer]  TrainerSettings
batch = 64

[parts]                      # other models that this one is made of, or learns from
encoder = "runs/hubert"      # a MODEL to be loaded
[parts.labels]               # or one that is built anew: an estimator is fitted on the run's own corpus first
name = "kmeans"
encoder = "mfcc"
layer = "mfcc"
clusters = 100
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import nn

from foresay.building import Part, assemble, check_kind, find_model, is_baseline, taken_apart
from foresay.contracts import Estimator, Model, Trainable
from foresay.corpora.plans.windows import DataSettings
from foresay.errors import UserError, nearest
from foresay.files import read_text
from foresay.settings import (
    Table,
    assignment,
    from_table,
    merge,
    parts_of,
    read_toml,
    require_not_negative,
    to_table,
    write_toml,
)
from foresay.training.built_in import RETIRED, built_in
from foresay.training.optimizers import OptimizerSettings
from foresay.trust import named_in

SECTIONS = ("base", "model", "parts", "data", "optimizer", "trainer")
LABELS = "labels"
"""The part that gives `Batch.labels`, to models that learn them: a tokenizer."""
TOKENIZER = "tokenizer"
"""The part that gives `Batch.labels`, or the texts of its symbols, to models that are made of it, and of which they keep it."""
UNTRAINED = "untrained:"
"""Before the name of a model of whose settings a part shall be built, with weights of its own."""


@dataclass(frozen=True)
class TrainerSettings:
    """Length and precision of the training, and what is kept of it."""

    steps: int | None = None
    """Updates in all. Exactly one of `steps` and `epochs`."""
    epochs: int | None = None
    seed: int = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the matrix products (autocast); losses and norms stay in fp32. `fp16` is for GPUs without bf16: it scales the loss."""
    accumulate: int = 1
    """Micro-batches per update: the same update with less memory."""
    clip: float | None = None
    """Largest gradient norm; None or 0: no clipping, as in the reference."""
    average: float | None = None
    """The run's model is a moving average of the weights, of which each update keeps this share (such as 0.999); None: the weights."""
    compile: bool = False
    """Compute by what `torch.compile` makes of the model: the same to rounding, but for dropout, whose draws are other ones."""
    parallel: Literal["replicate", "shard"] = "replicate"
    """Whether several devices have a whole model each (DDP), or a share of it each (FSDP2): for what does not fit."""
    workers: int = 2
    """Threads that read audio ahead; 0: one, which reads when it is asked."""
    log_every: int = 10
    validate_every: int = 500
    validate_batches: int = 20
    save_every: int = 500
    keep: int = 3
    """Checkpoints."""
    tensorboard: bool = False
    wandb: bool = False

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            msg = f"state exactly one of trainer.steps and trainer.epochs; got steps = {self.steps}, epochs = {self.epochs}"
            raise ValueError(msg)
        if self.average is not None and not 0 <= self.average < 1:
            msg = f"trainer.average is the share of the average that an update keeps, from 0 to below 1, not {self.average}"
            raise ValueError(msg)
        for name in ("steps", "epochs", "accumulate", "log_every", "validate_every", "validate_batches", "save_every", "keep"):
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"trainer.{name} must be at least 1, not {value}"
                raise ValueError(msg)
        require_not_negative(self)


FREE = {
    "steps",
    "epochs",
    "compile",
    "parallel",
    "workers",
    "log_every",
    "validate_every",
    "validate_batches",
    "save_every",
    "keep",
    "tensorboard",
    "wandb",
}
"""Trainer settings that may change when a run goes on: they do not shape what is learnt (the length may: `depends_on_length`)."""


@dataclass(frozen=True)
class Recipe:
    """A resolved recipe."""

    name: str
    model: str
    model_settings: Any
    data: DataSettings
    optimizer: OptimizerSettings
    trainer: TrainerSettings
    parts: Mapping[str, Part] = field(default_factory=dict)
    """Of the model, and `labels`: what each is loaded from, or how it is built."""

    @property
    def kind(self) -> type[Model]:
        """The model's class."""
        with named_in("recipe"):
            return find_model(self.model)

    @property
    def labelled_by(self) -> str | None:
        """The part whose symbols are learnt from, as labels or as texts; None: there is none."""
        if TOKENIZER in parts_of(self.kind):
            return TOKENIZER
        return LABELS if LABELS in self.parts else None

    @property
    def depends_on_length(self) -> bool:
        """Whether an update depends on how many there will be: by the learning rate, or by a schedule of the model."""
        kind = self.kind
        return issubclass(kind, Trainable) and (self.optimizer.depends_on_length or kind.depends_on_length(self.model_settings))

    def build_model(self, parts: Mapping[str, nn.Module] | None = None) -> Model:
        """Build the model, untrained, from torch's current random state, around its `parts`."""
        return assemble(self.kind, self.model_settings, parts or {})

    def table(self) -> Table:
        """Everything, defaults included. Of an estimator, which is not trained by steps: the model, its parts and the seed."""
        model: Table = {"model": {"name": self.model, **to_table(self.model_settings)}}
        if self.parts:
            model["parts"] = dict(self.parts)
        if issubclass(self.kind, Estimator):
            return model | {"trainer": {"seed": self.trainer.seed}}
        return model | {"data": to_table(self.data), "optimizer": to_table(self.optimizer), "trainer": to_table(self.trainer)}

    def toml(self) -> str:
        """The resolved recipe as TOML: reading it gives this recipe again."""
        return f"# recipe {self.name}, resolved\n" + write_toml(self.table())


def read_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a built-in recipe or a TOML file, with its bases, and lay `section.key=value` overrides on it."""
    table = _with_bases(str(name), seen=())
    for override in overrides:
        change = _named_model(assignment(override), "--set")
        if "base" in change:
            msg = (
                f"--set {override}: a base is what a recipe starts from; name that recipe instead of {name}, or write a file that says base"
            )
            raise UserError(msg)
        _drop_rival(table, change)
        table = merge(table, change)
    return resolve(table, Path(name).stem)


def resolve(table: Table, name: str) -> Recipe:
    """Turn a whole table into a recipe, each section checked by its owner."""
    table = _named_model(table, f"recipe {name}")
    model = table.get("model", {})
    if not isinstance(model.get("name"), str):
        msg = f'recipe {name} names no model: add `model = "acpc"`, or `name` in its [model] section'
        raise UserError(msg)
    if is_baseline(model["name"]):
        msg = f"recipe {name}: {model['name']} is a baseline, which learns nothing"
        raise UserError(msg)
    with named_in("recipe"):
        model_name, settings, inner = taken_apart(model)
        parts = {**inner, **table.get("parts", {})}
        if twice := [part for part in inner if part in table.get("parts", {})]:
            msg = f"recipe {name} has {twice[0]} both in [model] and in [parts]: say it in one of them (--set parts.{twice[0]}=MODEL)"
            raise UserError(msg)
        return Recipe(
            name=name,
            model=model_name,
            model_settings=settings,
            parts=_checked_parts(parts, find_model(model_name), model_name),
            **_loop(table, find_model(model_name)),
        )


def _loop(table: Table, kind: type[Model]) -> dict[str, Any]:
    """Check the sections of the training loop, of which an estimator has the seed alone."""
    trainer = table.get("trainer", {})
    if issubclass(kind, Estimator):
        idle = [section for section in ("data", "optimizer") if table.get(section)] + [f"trainer.{key}" for key in trainer if key != "seed"]
        if idle:
            msg = f"{kind.__name__} is fitted in passes over the corpus, not trained by steps: leave out {', '.join(idle)}"
            raise UserError(msg)
        trainer = {"steps": 1, **trainer}
    return {
        "data": from_table(DataSettings, table.get("data", {}), "data"),
        "optimizer": from_table(OptimizerSettings, table.get("optimizer", {}), "optimizer"),
        "trainer": from_table(TrainerSettings, trainer, "trainer"),
    }


def _checked_parts(parts: Mapping[str, Part], kind: type[Model], name: str) -> dict[str, Part]:
    """Check the names of parts, and complete those that are built anew with their defaults."""
    known = [*parts_of(kind)]
    if issubclass(kind, Trainable) and TOKENIZER not in known:
        known.append(LABELS)
    for part in parts:
        if part not in known:
            msg = f"unknown part {part!r}: {nearest(part, known) if known else f'{name} is made of no other models'}"
            raise UserError(msg)
    completed = {part: _completed(value, f"parts.{part}") for part, value in parts.items()}
    for part, value in completed.items():
        if isinstance(value, dict) and part in parts_of(kind):
            check_kind(kind, part, value["name"])
    return completed


def _completed(part: Any, where: str) -> Part:  # noqa: ANN401 - whatever stands in a file
    if isinstance(part, str) and part.removeprefix(UNTRAINED).strip():
        return part
    if not isinstance(part, dict):
        msg = (
            f"{where} must be a MODEL (a run, a model folder, a baseline, hf:NAME), {UNTRAINED}MODEL or the table of a model, not {part!r}"
        )
        raise UserError(msg)
    name, settings, parts = taken_apart(part, where)
    for inner, value in parts.items():
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            check_kind(find_model(name), inner, value["name"])
    stated = {} if settings is None else to_table(settings)
    return {"name": name, **stated, **{inner: _completed(value, f"{where}.{inner}") for inner, value in parts.items()}}


def differences(one: Recipe, other: Recipe) -> list[str]:
    """Settings that shape the learning and differ, as `section.key: a -> b`."""
    found = []
    tables = one.table(), other.table()
    for section in SECTIONS[1:]:
        mine, theirs = (t.get(section, {}) for t in tables)
        for key in sorted(mine.keys() | theirs.keys()):
            free = section == "trainer" and key in FREE and not (one.depends_on_length and key in {"steps", "epochs"})
            if not free and mine.get(key) != theirs.get(key):
                found.append(f"{section}.{key}: {mine.get(key)!r} -> {theirs.get(key)!r}")
    return found


def _with_bases(name: str, seen: tuple[str, ...]) -> Table:
    if name in seen:
        msg = f"recipes that are each other's base: {' -> '.join((*seen, name))}"
        raise UserError(msg)
    known = built_in()
    path = Path(name)
    if name in known:
        text = known[name]
    elif path.is_file():
        text = read_text(path)
    else:
        msg = f"{name!r} is neither a file nor a built-in recipe: {RETIRED.get(name) or nearest(name, known)}"
        raise UserError(msg)
    table = _named_model(read_toml(text, f"recipe {name}"), f"recipe {name}")
    base = table.pop("base", None)
    if base is None:
        return table
    beside = path.parent / str(base)
    below = _with_bases(str(beside) if base not in known and beside.is_file() else str(base), (*seen, name))
    _drop_rival(below, table)
    return merge(below, table)


def _named_model(table: Table, where: str) -> Table:
    """Let `model = "acpc"` stand for `[model] name = "acpc"`, and refuse unknown sections."""
    if "labels" in table:
        msg = (
            f'{where}: [labels] is a part now. Write [parts.labels] with name = "kmeans", encoder = (before: of), layer and clusters; '
            "on the command line --set parts.labels.encoder=MODEL --set parts.labels.layer=LAYER. A run of version 0.1 that learns labels "
            "does not go on: begin another one with its weights (--from RUN)"
        )
        raise UserError(msg)
    for section, value in table.items():
        if section not in SECTIONS:
            msg = f"{where}: unknown section {section!r}: {nearest(section, SECTIONS)}"
            raise UserError(msg)
        if section != "base" and not isinstance(value, (dict, str) if section == "model" else dict):
            msg = f"{where}: [{section}] must be a table of settings, not {value!r}"
            raise UserError(msg)
    return {k: {"name": v} if k == "model" and isinstance(v, str) else v for k, v in table.items()}


def _drop_rival(below: Table, above: Table) -> None:
    """`steps` above replaces `epochs` below, and the other way round."""
    for mine, rival in (("steps", "epochs"), ("epochs", "steps")):
        if mine in above.get("trainer", {}):
            below.get("trainer", {}).pop(rival, None)
