"""A bidirectional LSTM of padded utterances is PyTorch's of packed ones."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from foresay.layers.bidirectional_lstm import BidirectionalLSTM

LENGTHS = torch.tensor([7, 3, 1, 6])


def packed(model: BidirectionalLSTM) -> nn.LSTM:
    """Copy the weights into PyTorch's network."""
    first, layers = model.forwards[0], len(model.forwards)
    assert isinstance(first, nn.LSTM)
    network = nn.LSTM(first.input_size, first.hidden_size, layers, batch_first=True, bidirectional=True)
    state = {}
    for layer, (forwards, backwards) in enumerate(zip(model.forwards, model.backwards, strict=True)):
        for name, value in forwards.state_dict().items():
            state[name.replace("l0", f"l{layer}")] = value
        for name, value in backwards.state_dict().items():
            state[name.replace("l0", f"l{layer}_reverse")] = value
    network.load_state_dict(state)
    return network


def real(values: Tensor) -> Tensor:
    return values[torch.arange(values.shape[1]) < LENGTHS[:, None]]


def test_it_is_the_packed_network_of_pytorch_in_value_and_gradient() -> None:
    model, frames = BidirectionalLSTM(5, 4, layers=2), torch.randn(4, 7, 5)
    ours, theirs = frames.clone().requires_grad_(), frames.clone().requires_grad_()
    found = real(model(ours, LENGTHS))
    output, _ = packed(model)(pack_padded_sequence(theirs, LENGTHS, batch_first=True, enforce_sorted=False))
    expected = real(pad_packed_sequence(output, batch_first=True)[0])
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(real(ours.grad), real(theirs.grad))
    assert not ours.grad[torch.arange(7) >= LENGTHS[:, None]].any()


def test_dropout_lies_between_layers_and_in_training_only() -> None:
    frames = torch.randn(4, 7, 5)
    one, two = BidirectionalLSTM(5, 4, 1, dropout=0.5), BidirectionalLSTM(5, 4, 2, dropout=0.5)
    torch.testing.assert_close(one(frames, LENGTHS), one.eval()(frames, LENGTHS))
    trained = two(frames, LENGTHS)
    assert not torch.allclose(trained, two.eval()(frames, LENGTHS))
