"""Reading of images: any format of Pillow, any size and mode, as three channels of float32 of one size.

    file ──Pillow──► upright, first frame ──mode──► RGB (H, W, 3) uint8 ──middle square, resized──► (3, size, size) in [0, 1]

Modes: grey and black-and-white become three equal channels; what is transparent is laid on white; palettes, CMYK, YCbCr and the like are
converted; of 16-bit grey the upper 8 bits are kept. Numbers of 32 bits have no known range and are refused.
"""

import io
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from foresay.errors import UserError
from foresay.extras import optional
from foresay.shards import ShardError, open_part, part_of

Picture: TypeAlias = npt.NDArray[np.float32]
Pixels: TypeAlias = npt.NDArray[np.uint8]

GREY = {"1", "L", "LA", "I;16", "I;16L", "I;16B", "I;16N"}
NO_RANGE = {"I", "F"}


class ImageError(UserError):
    """A picture that cannot be used: missing, empty, truncated, not a picture, …"""


class ImageInfo(NamedTuple):
    """What the header says."""

    width: int
    height: int
    mode: str
    """As Pillow names it: RGB, L, RGBA, …"""
    transparent: bool

    @property
    def grey(self) -> bool:
        """Whether there is no color in it."""
        return self.mode in GREY


def image_info(path: Path) -> ImageInfo:
    """Look at the header only.

    Raises:
        ImageError: the file is missing, empty or not a picture.
    """
    with _open(path) as image:
        return ImageInfo(image.width, image.height, image.mode, image.has_transparency_data)


def read_image(path: Path, size: int = 128) -> Picture:
    """Read a picture as (3, size, size) float32 from 0 to 1; of one that is not square, the middle.

    Raises:
        ImageError: the file is missing, empty, truncated, too large or not a picture, or its mode has no known range.
    """
    return np.ascontiguousarray(read_pixels(path, size).transpose(2, 0, 1)).astype(np.float32) / np.float32(255)


def read_pixels(path: Path, size: int | None = None) -> Pixels:
    """Read a picture as (H, W, 3) uint8, red, green, blue; with `size`, its middle square as (size, size, 3).

    Raises:
        ImageError: as `read_image`.
    """
    _, ops = _pillow()
    with _open(path) as image:
        try:
            upright = _in_colors(ops.exif_transpose(image), path)
        except (OSError, SyntaxError, ValueError) as error:  # Pillow's, for all that may be wrong with what follows the header
            msg = f"{path} is damaged ({error}): was a download or a copy interrupted? Fetch it again, or leave it out."
            raise ImageError(msg) from error
        return np.asarray(upright if size is None else ops.fit(upright, (size, size)))


def _pillow() -> tuple[Any, Any]:
    """Return two of Pillow's modules, Image and ImageOps."""
    with optional("PIL", "images", "reading pictures"):
        from PIL import Image, ImageOps  # noqa: PLC0415 - an optional extra
    return Image, ImageOps


def _open(path: Path) -> Any:  # noqa: ANN401 - Pillow is an optional extra
    """Open a file that is a picture; its pixels are decoded when they are asked for."""
    pillow, _ = _pillow()
    part = part_of(path)
    try:
        return pillow.open(io.BytesIO(open_part(part).read(part.length)) if part else path)
    except ShardError as error:
        raise ImageError(str(error)) from error
    except FileNotFoundError as error:
        msg = f"there is no file {path}. Paths in a manifest are relative to it: was the manifest or the picture moved?"
        raise ImageError(msg) from error
    except pillow.DecompressionBombError as error:
        msg = f"{path} is too large ({error}): make it smaller first"
        raise ImageError(msg) from error
    except OSError as error:
        why = "a folder" if path.is_dir() else "empty (0 bytes)" if not _size(path) else "damaged, or of a format unknown to Pillow"
        msg = f"{path} cannot be read as a picture: it is {why}. Fetch it again, convert it to PNG, or leave it out."
        raise ImageError(msg) from error


def _size(path: Path) -> int:
    part = part_of(path)
    return part.length if part else path.stat().st_size


def _in_colors(image: Any, path: Path) -> Any:  # noqa: ANN401 - Pillow's
    """Turn a picture of any mode into one of red, green and blue, without transparency."""
    if image.mode in NO_RANGE:
        msg = f"{path} holds {image.mode} pixels, numbers of 32 bits, of which nobody knows which is white: save it with 8 or 16 bits"
        raise ImageError(msg)
    pillow, _ = _pillow()
    if image.mode.startswith("I;16"):
        return pillow.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return pillow.alpha_composite(pillow.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")
