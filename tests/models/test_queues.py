"""A queue of negatives fills in every model that may have one: each update leaves latents in it."""

import pytest
import torch

from foresay.contracts import Batch
from foresay.negatives.queue import QueueNegatives
from foresay.training.recipe import read_recipe


@pytest.mark.parametrize("name", ["demo-acpc", "demo-cpc", "acpc-bidirectional", "wav2vec-tiny"])
def test_after_an_update_its_latents_are_in_the_queue(name: str) -> None:
    options = "model.negative_options={length = 40, per_group = 6, sampled = 16}"
    small = () if name != "acpc-bidirectional" else ("model.channels=32", "model.context_size=32", "model.context_layers=1")
    model = read_recipe(name, [*small, "model.negatives=queue", "model.negative_group=2", options]).build_model()
    queues = [part for part in model.modules() if isinstance(part, QueueNegatives)]
    assert queues
    batch = Batch(("a", "b"), torch.randn(2, 9600), torch.tensor([9600, 9600]), keys=torch.arange(2))
    for update, held in enumerate((0, 6, 12)):
        assert [len(queue.queue.held()) for queue in queues] == [held] * len(queues)
        model(batch, update).total().backward()
        model.after_step(update)
