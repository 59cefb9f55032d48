"""Pictures of every size and mode, and what is none."""

from pathlib import Path

import numpy as np
import pytest

from foresay.errors import UserError
from foresay.images.read import ImageError, image_info, read_image, read_pixels
from foresay.images.write import write_png

Image = pytest.importorskip("PIL.Image")
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)


def saved(folder: Path, image: "Image.Image", name: str = "a.png", **how: object) -> Path:
    image.save(folder / name, **how)
    return folder / name


def test_a_picture_of_the_right_size_is_read_as_it_is(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", PIXELS)
    picture = read_image(tmp_path / "a.png", size=6)
    assert picture.dtype == np.float32
    np.testing.assert_array_equal(picture, PIXELS.transpose(2, 0, 1).astype(np.float32) / 255)
    assert image_info(tmp_path / "a.png") == (6, 6, "RGB", False)


def test_every_size_becomes_one(tmp_path: Path) -> None:
    for height, width in ((32, 32), (300, 20), (17, 640), (1, 1)):
        path = saved(tmp_path, Image.new("RGB", (width, height), (255, 0, 51)))
        picture = read_image(path)
        assert picture.shape == (3, 128, 128)
        np.testing.assert_allclose(picture, np.broadcast_to(np.float32([1, 0, 0.2])[:, None, None], picture.shape), atol=1e-6)


def test_of_a_long_picture_the_middle_is_seen(tmp_path: Path) -> None:
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = PIXELS[0, 0]
    assert (read_pixels(saved(tmp_path, Image.fromarray(wide)), 8) == PIXELS[0, 0]).all()


def test_a_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    path = saved(tmp_path, Image.fromarray(PIXELS), exif=exif)
    np.testing.assert_array_equal(read_pixels(path), PIXELS[::-1, ::-1])


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = PIXELS[..., 0]
    eight, sixteen = Image.fromarray(grey), Image.fromarray(grey.astype(np.uint16) * 256 + 77)
    for image in (eight, sixteen):
        path = saved(tmp_path, image)
        np.testing.assert_array_equal(read_pixels(path), np.repeat(grey[..., None], 3, axis=2))
        assert image_info(path).grey
    bits = saved(tmp_path, Image.fromarray(grey > 127))
    np.testing.assert_array_equal(read_pixels(bits)[..., 1], np.where(grey > 127, 255, 0))
    assert image_info(bits).grey


def test_what_is_transparent_is_laid_on_white(tmp_path: Path) -> None:
    alpha = np.zeros((6, 6, 1), np.uint8)
    alpha[:3] = 255
    path = saved(tmp_path, Image.fromarray(np.concatenate([PIXELS, alpha], axis=2)))
    assert image_info(path).transparent
    np.testing.assert_array_equal(read_pixels(path)[:3], PIXELS[:3])
    assert (read_pixels(path)[3:] == 255).all()
    grey = saved(tmp_path, Image.fromarray(np.concatenate([PIXELS[..., :1], alpha], axis=2)))
    assert image_info(grey).grey
    assert (read_pixels(grey)[3:] == 255).all()


@pytest.mark.parametrize("mode, name", [("P", "a.png"), ("CMYK", "a.tif"), ("YCbCr", "a.tif")])
def test_other_modes_are_converted(mode: str, name: str, tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (4, 4), (200, 30, 60)).convert(mode, palette=Image.Palette.ADAPTIVE), name)
    assert image_info(path).mode in {mode, "RGB"}  # older versions of Pillow convert YCbCr themselves
    np.testing.assert_allclose(read_pixels(path).astype(int), np.broadcast_to([200, 30, 60], (4, 4, 3)), atol=2)


def test_numbers_without_a_range_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(PIXELS[..., 0].astype(np.float32)), "a.tif")
    with pytest.raises(ImageError, match="nobody knows which is white"):
        read_image(path)


def test_what_is_no_picture_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="there is no file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="a folder"):
        read_image(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match="0 bytes"):
        read_image(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ImageError, match="format unknown"):
        read_image(tmp_path / "text.png")
    whole = saved(tmp_path, Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(ImageError, match="damaged"):
        read_image(cut)


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(UserError, match="ing pictures needs the package PIL, which is not installed: pip install"):
        image_info(tmp_path / "a.png")
    with pytest.raises(UserError, match="ing pictures needs the package PIL, which is not installed: pip install"):
        write_png(tmp_path / "a.png", PIXELS)
