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
        """Sum and count of each number since the last line, and of the seconds that they took; part of a checkpoint, so that a resumed run
        writes the same lines."""
        self._clock = time.perf_counter()
        self._waited = 0.0
        self.writers = _writers(run, settings)

    def add(self, scalars: dict[str, float]) -> None:
        """Add an update; one that was skipped has no loss."""
        for name, value in scalars.items():
            total, count = self.window.get(name, (0.0, 0.0))
            self.window[name] = [total + value, count + 1]

    def start_clock(self) -> None:
        """Count seconds from now on: what came before (reading a checkpoint, making labels) is no training."""
        self._clock = time.perf_counter()

    def pass_time(self, waited: float) -> None:
        """Add the seconds since this was last called to the window; `waited`: those spent waiting for data since the run began."""
        now = time.perf_counter()
        self.add({"seconds": now - self._clock, "waited": waited - self._waited})
        self._clock, self._waited = now, waited

    def close_window(self) -> dict[str, float]:
        """Means of the window, the audio of a second and the share of time spent waiting for data; a new window begins."""
        totals = {name: total for name, (total, _) in self.window.items()}
        record = {name: total / count for name, (total, count) in self.window.items() if name not in {"audio_seconds", "seconds", "waited"}}
        seconds = max(totals["seconds"], 1e-9)
        record |= {"audio_rate": totals["audio_seconds"] / seconds, "data_wait": min(totals["waited"] / seconds, 1.0)}
        self.window = {}
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
