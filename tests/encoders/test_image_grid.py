"""A picture as a sequence of cells, in the order in which one reads."""

import pytest
import torch

from foresay.encoders.image_grid import ImageGrid
from foresay.errors import UserError


@pytest.fixture
def encoder() -> ImageGrid:
    torch.manual_seed(0)
    return ImageGrid().double()


def test_shapes_are_those_of_the_docstring(encoder: ImageGrid) -> None:
    latents = encoder(torch.rand(2, 3, 128, 128, dtype=torch.float64))
    assert latents.shape == (2, 64, 64)
    assert encoder(torch.rand(1, 3, 32, 64, dtype=torch.float64)).shape == (1, 2 * 4, 64)
    assert ImageGrid(16, (8, 8))(torch.rand(1, 3, 8, 8)).shape == (1, 4, 16)


def test_cells_are_read_row_by_row_and_see_what_they_say(encoder: ImageGrid) -> None:
    images = torch.rand(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    latents = encoder(images)
    for row, column in ((3, 4), (4, 3), (2, 6)):
        (gradient,) = torch.autograd.grad(latents[0, 8 * row + column].square().sum(), images, retain_graph=True)
        _, high, wide = gradient[0].nonzero(as_tuple=True)
        for place, seen in ((row, high), (column, wide)):
            assert int(seen.max() - seen.min()) + 1 == encoder.receptive_field == 31
            assert int(seen.min()) == encoder.step * place - 15


def test_a_picture_is_seen_by_itself(encoder: ImageGrid) -> None:
    images = torch.rand(3, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(encoder(images)[1:2], encoder(images[1:2]))


@pytest.mark.parametrize("shape", [(2, 1, 128, 128), (2, 128, 128, 3), (3, 128, 128), (1, 3, 100, 128), (1, 3, 0, 16)])
def test_what_cannot_be_seen_is_explained(shape: tuple[int, ...], encoder: ImageGrid) -> None:
    with pytest.raises(UserError, match="multiples of 16"):
        encoder(torch.rand(shape, dtype=torch.float64))
