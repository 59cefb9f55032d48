"""Long short-term memory: the context of the ACPC paper, two layers (arXiv:2104.11946, section 4)."""

from torch import nn

from foresay.context._recurrent import RecurrentContext


class LSTMContext(RecurrentContext):
    """`nn.LSTM` over the latents."""

    kind = nn.LSTM
