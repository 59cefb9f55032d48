"""Own files and other people's, mutated at random: each ends in a message or in a result, never in a traceback."""

import contextlib
import json
import shutil
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from foresay.errors import UserError
from foresay.loading import load
from foresay.reports.record import read_records
from foresay.settings import read_toml_file, write_toml
from foresay.workflows.pretrain import pretrain
from foresay.workflows.report import report
from reference.mutations import mutations, shapes
from reference.two_processes import write_corpus

SETTINGS = (
    *("model.channels=8", "model.context_size=8", "model.context_layers=1", "model.negative_group=2", "model.negative_count=4"),
    *("model.predictions=3", "model.predictor=linear", "data.batch=4", "data.window=4800", "trainer.steps=2", "trainer.save_every=1"),
    *("trainer.log_every=1", "trainer.validate_batches=1"),
)
RUN = ("recipe.toml", "data.toml", "metrics.jsonl", "checkpoints/step-000002/{}", "model/{}")
FILES = ("model.safetensors", "state.pt", "model.toml", "digests.toml")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_corpus(folder)
    pretrain("cpc", folder / "manifest.jsonl", folder / "run", valid=folder / "manifest.jsonl", overrides=SETTINGS, device="cpu")
    return folder


def use_run(folder: Path) -> None:
    """Do with a run what verbs do."""
    for use in (
        lambda: load(folder),
        lambda: load(f"{folder}@2"),
        lambda: read_records([folder]),
        lambda: report(folder, folder.parent / "page.html"),
        lambda: pretrain(
            "cpc", folder.parent / "manifest.jsonl", folder, valid=folder.parent / "manifest.jsonl", overrides=SETTINGS, device="cpu"
        ),
    ):
        _read_or_reported(use)


def _read_or_reported(use: Callable[[], object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about what they read
        with contextlib.suppress(UserError):
            use()


def damaged(source: Path, name: str, contents: Iterator[bytes]) -> Iterator[Path]:
    """Copy a folder again and again, with one file in it otherwise."""
    copy = source.with_name(f"{source.name}-damaged")
    for content in contents:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(source, copy)
        (copy / name).write_bytes(content)
        yield copy


def own_files(run: Path) -> list[str]:
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file() and "step-000001" not in str(path))


@pytest.mark.slow
def test_files_of_a_run(world: Path) -> None:
    for name in own_files(world / "run"):
        for folder in damaged(world / "run", name, mutations((world / "run" / name).read_bytes(), 0 if "/" in name else 1)):
            use_run(folder)


@pytest.mark.slow
def test_files_of_a_run_a_thousand_times(world: Path) -> None:
    for name in own_files(world / "run"):
        for folder in damaged(world / "run", name, mutations((world / "run" / name).read_bytes(), 100, seed=1)):
            use_run(folder)


def without_digests(world: Path) -> Path:
    """A run as older versions left it, in which nothing but reading notices what is wrong."""
    folder = world / "older"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(world / "run", folder)
    for path in folder.rglob("digests.toml"):
        path.unlink()
    return folder


@pytest.mark.parametrize("number", [pytest.param(150, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["checkpoints/step-000002/state.pt", "checkpoints/step-000002/model.safetensors", "model/model.toml"])
def test_files_that_have_no_digest(world: Path, name: str, number: int) -> None:
    older = without_digests(world)
    for folder in damaged(older, name, mutations((older / name).read_bytes(), number, seed=2)):
        use_run(folder)


@pytest.mark.parametrize("number", [1, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["recipe.toml", "data.toml", "model/model.toml", "metrics.jsonl"])
def test_valid_files_of_another_shape(world: Path, name: str, number: int) -> None:
    older = without_digests(world)
    if name == "metrics.jsonl":
        first, *rest = (older / name).read_text().splitlines()
        contents = ("\n".join([text, *rest]) + "\n" for text in shapes(first, number))
    else:
        contents = (write_toml(_without_nulls(json.loads(text))) for text in shapes(json.dumps(read_toml_file(older / name)), number))
    for folder in damaged(older, name, (text.encode() for text in contents)):
        _read_or_reported(lambda folder=folder: load(folder))  # type: ignore[misc]
        _read_or_reported(lambda folder=folder: report(folder, folder.parent / "page.html"))  # type: ignore[misc]
        if number > 1:
            use_run(folder)


def _without_nulls(value: object) -> dict[str, object]:
    def cleaned(inner: object) -> object:
        if isinstance(inner, dict):
            return {key: cleaned(one) for key, one in inner.items() if one is not None}
        if isinstance(inner, list):
            return [cleaned(one) for one in inner if one is not None]
        return inner if not isinstance(inner, int) or abs(inner) < 2**63 else 2**62

    table = cleaned(value)
    assert isinstance(table, dict)
    return table


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from reference.tiny_checkpoints import network, write_folder  # noqa: PLC0415 - where transformers is

    return write_folder(network("Wav2Vec2Model"), tmp_path_factory.mktemp("hub") / "folder")


@pytest.mark.parametrize("number", [6, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_folders_of_the_hub(hub: Path, name: str, number: int) -> None:
    content = (hub / name).read_bytes()
    for folder in damaged(hub, name, mutations(content, number, seed=3)):
        _read_or_reported(lambda folder=folder: load(f"hf:{folder}"))  # type: ignore[misc]
    if name.endswith(".json"):
        for folder in damaged(hub, name, (text.encode() for text in shapes(content.decode(), 3 * number))):
            _read_or_reported(lambda folder=folder: load(f"hf:{folder}"))  # type: ignore[misc]


@pytest.mark.parametrize("number", [10, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_fairseq(tmp_path: Path, number: int, zipped: bool) -> None:  # noqa: FBT001
    from reference.tiny_checkpoints import fairseq_settings, fairseq_state, network  # noqa: PLC0415

    model = network("Wav2Vec2ForPreTraining")
    path = tmp_path / "whole.pt"
    torch.save({"args": Namespace(**fairseq_settings(model)), "model": fairseq_state(model)}, path, _use_new_zipfile_serialization=zipped)
    load(path)
    for content in mutations(path.read_bytes(), number, seed=4):
        (tmp_path / "damaged.pt").write_bytes(content)
        _read_or_reported(lambda: load(tmp_path / "damaged.pt"))
