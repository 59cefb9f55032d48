"""What a run writes about itself: metrics.jsonl always; TensorBoard and Weights & Biases if asked for."""

import time
from typing import Any

from foresay.errors import UserError
from foresay.extras import optional
from foresay.runs import Run
from foresay.training.recipe import TrainerSettings


class MetricsLog:
    """Means over a window of updates, written a line a window."""

    def __init__(self, run: Run, settings: TrainerSettings) -> None:
        self.run = run
        self.window: dict[str, list[float]] = {}
        """Sum and count of each number since the last line; part of a checkpoint, so that a resumed run writes the same lines."""
        self.began = time.perf_counter()
        self.waited = 0.0
        self.writers = _writers(run, settings)

    def add(self, scalars: dict[str, float]) -> None:
        """Add an update; one that was skipped has no loss."""
        for name, value in scalars.items():
            total, count = self.window.get(name, (0.0, 0.0))
            self.window[name] = [total + value, count + 1]

    def close_window(self, waited: float) -> dict[str, float]:
        """Means of the window, its length in seconds and the share of it spent waiting for data; a new window begins.

        `waited`: seconds the loader has been waited for since the run began.
        """
        now = time.perf_counter()
        audio, _ = self.window.pop("audio_seconds")
        record = {name: total / count for name, (total, count) in self.window.items()}
        seconds = max(now - self.began, 1e-9)
        record |= {"audio_rate": audio / seconds, "data_wait": min((waited - self.waited) / seconds, 1.0)}
        self.window, self.began, self.waited = {}, now, waited
        return record

    def write(self, record: dict[str, Any]) -> None:
        """Write one record to metrics.jsonl and to whatever else was asked for."""
        self.run.log(record)
        numbers = {f"{record['kind']}/{k}": v for k, v in record.items() if isinstance(v, (int, float)) and k != "step"}
        for write in self.writers:
            write(numbers, record["step"])


def _to_board(board: Any, numbers: dict[str, float], step: int) -> None:  # noqa: ANN401 - an optional extra's class
    for name, value in numbers.items():
        board.add_scalar(name, value, step)


def _writers(run: Run, settings: TrainerSettings) -> list[Any]:
    writers: list[Any] = []
    if settings.tensorboard:
        with optional("tensorboard", "log", "trainer.tensorboard"):
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an optional extra
        board = SummaryWriter(str(run.folder / "tensorboard"))
        writers.append(lambda numbers, step: _to_board(board, numbers, step))
    if settings.wandb:
        try:
            import wandb  # noqa: PLC0415 - an optional extra
        except ImportError as error:
            msg = "trainer.wandb needs the package wandb: pip install wandb"
            raise UserError(msg) from error
        wandb.init(project="foresay", name=run.folder.name, dir=str(run.folder), resume="allow", id=run.folder.name)
        writers.append(lambda numbers, step: wandb.log(numbers, step=step))
    return writers
