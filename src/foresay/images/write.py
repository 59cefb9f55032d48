"""Writing of images as PNG files."""

from pathlib import Path

from foresay.extras import optional
from foresay.images.read import Pixels


def write_png(path: Path, pixels: Pixels) -> None:
    """Write (H, W, 3) uint8 pixels as a PNG file, which loses nothing."""
    with optional("PIL", "images", "writing pictures"):
        from PIL import Image  # noqa: PLC0415 - an optional extra
    Image.fromarray(pixels).save(path, format="PNG")
