"""Write pictures."""

from pathlib import Path

from foresay.errors import UserError
from foresay.images.read import Pixels


def write_png(path: Path, pixels: Pixels) -> None:
    """Write (H, W, 3) uint8 pixels as a PNG file, which loses nothing."""
    try:
        from PIL import Image  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        msg = "to write pictures takes Pillow: pip install 'foresay[images]'"
        raise UserError(msg) from error
    Image.fromarray(pixels).save(path, format="PNG")
