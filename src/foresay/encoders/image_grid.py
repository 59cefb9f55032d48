"""Image encoder of multi-modal CPC: convolutions over an image, whose cells become a sequence.

"Contrastive Predictive Coding for Audio & Images", Garg and Chandra, IIT Bombay 2025: "small ConvNet on 128 x 128 images, flattened
spatial grid -> sequence of 64-dim latents". It says no more, so that sizes are our own:

    picture (B, 3, 128, 128) -> 4 convolutions, 3 x 3, stride 2 -> (B, 64, 8, 8) -> row by row, as one reads -> z (B, P = 64, 64)

A cell covers 31 x 31 pixels, and its neighbor those 16 pixels further: they overlap by half. The cell below is eight steps ahead.
"""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from foresay.errors import UserError
from foresay.layers.grid_convolution import GridConvolution


class ImageGrid(nn.Module):
    """A convolution of stride 2 for each of `widths`, and a linear layer over the channels of each cell; `norm`: of the latents."""

    def __init__(self, channels: int = 64, widths: Sequence[int] = (32, 64, 64, 64), norm: nn.Module | None = None) -> None:
        super().__init__()
        sizes = (3, *widths)
        self.convolutions = nn.Sequential(*(GridConvolution(a, b, (2, 2)) for a, b in itertools.pairwise(sizes)))
        self.output = nn.Linear(sizes[-1], channels)
        self.norm = norm
        self.channels = channels
        self.step = 2 ** len(widths)
        """Pixels from one cell to the next."""
        self.receptive_field = 2 * self.step - 1
        """Pixels in height and width of a cell's receptive field."""

    def patch_count(self, images: Tensor) -> int:
        """Count P, the cells of each of (B, 3, height, width) pictures: height / 16 x width / 16.

        Raises:
            UserError: the pictures have not three channels, or no whole number of cells.
        """
        if images.dim() != 4 or images.shape[1] != 3 or any(side % self.step or not side for side in images.shape[2:]):  # noqa: PLR2004
            msg = (
                f"images of shape {tuple(images.shape)} cannot be encoded: they must be (B, 3, height, width), the sides multiples of "
                f"{self.step}. `foresay.images.read.read_image` reads files of any size and mode so"
            )
            raise UserError(msg)
        return (images.shape[2] // self.step) * (images.shape[3] // self.step)

    def forward(self, images: Tensor) -> Tensor:
        """Encode (B, 3, height, width) pictures from 0 to 1 to (B, P, D).

        Raises:
            UserError: the pictures have not three channels, or no whole number of cells.
        """
        self.patch_count(images)
        cells = self.convolutions(2 * images - 1)  # (B, D, height / 16, width / 16)
        latents: Tensor = self.output(cells.flatten(2).transpose(1, 2))
        return latents if self.norm is None else self.norm(latents)
