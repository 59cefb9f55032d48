"""The simple recurrent network, with tanh."""

from torch import nn

from foresay.context._recurrent import RecurrentContext


class RNNContext(RecurrentContext):
    """`nn.RNN` over the latents."""

    kind = nn.RNN
