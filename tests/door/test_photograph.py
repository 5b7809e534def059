"""Photographs of every kind become u8[H, W, 3]; those that cannot be read say why."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sor_jax.photograph import read_photograph
from tests.pictures import encoded

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def test_a_path_bytes_an_image_and_an_array_are_the_same(tmp_path):
    path = tmp_path / "p.png"
    path.write_bytes(encoded(Image.fromarray(PIXELS)))
    for source in (path, str(path), path.read_bytes(), Image.open(path), PIXELS):
        np.testing.assert_array_equal(read_photograph(source), PIXELS)


def test_grey_palette_and_one_bit():
    grey = PIXELS[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_photograph(encoded(Image.fromarray(grey))), expected)
    np.testing.assert_array_equal(read_photograph(grey), expected)
    palette = Image.fromarray(PIXELS).convert("P", palette=Image.Palette.ADAPTIVE, colors=54)
    np.testing.assert_array_equal(
        read_photograph(encoded(palette)), np.asarray(palette.convert("RGB"))
    )
    bits = Image.fromarray(grey > 127)
    np.testing.assert_array_equal(read_photograph(encoded(bits))[..., 1], 255 * (grey > 127))


def test_sixteen_bits_are_scaled_not_cut():
    wide = (PIXELS[..., 0].astype(np.uint16) * 257).astype(np.uint16)
    found = read_photograph(encoded(Image.fromarray(wide)))
    np.testing.assert_array_equal(found, np.repeat(PIXELS[..., :1], 3, axis=2))


def png_of(array, kind):
    """A PNG of u16[h, w, c], which Pillow does not write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", *array.shape[1::-1], 16, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind, channels", [(2, 3), (6, 4), (4, 2)])
def test_colours_of_sixteen_bits_are_read_and_those_of_twelve_refused(kind, channels):
    deep = np.full((6, 9, channels), 65535, np.uint16)
    colours = 3 if channels > 2 else 1
    deep[..., :colours] = PIXELS[..., :colours].astype(np.uint16) * 257
    np.testing.assert_array_equal(
        read_photograph(png_of(deep, kind)), np.broadcast_to(PIXELS[..., :colours], PIXELS.shape)
    )
    deep[..., :colours] //= 16
    with pytest.raises(ValueError, match="16 bits; expected white at 65535"):
        read_photograph(png_of(deep, kind))
    deep[..., :colours] = 0
    assert not read_photograph(png_of(deep, kind)).any()


def test_what_is_transparent_shows_white():
    rgba = np.dstack([PIXELS, np.full((6, 9), 255, np.uint8)])
    rgba[2:4, :, 3] = 0
    for source in (encoded(Image.fromarray(rgba)), rgba):
        found = read_photograph(source)
        assert (found[2:4] == 255).all()
        np.testing.assert_array_equal(found[:2], PIXELS[:2])


def test_cmyk_keeps_its_colours():
    red = Image.new("RGB", (8, 8), (200, 30, 40)).convert("CMYK")
    found = read_photograph(encoded(red, "JPEG", quality=95)).mean(axis=(0, 1))
    np.testing.assert_allclose(found, (200, 30, 40), atol=8)


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_the_photograph(turn):
    # Where the stored picture's top left corner ends, for each of the tag's values.
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1)}
    corner |= {7: (-1, -1), 8: (-1, 0)}
    pixels = np.zeros((4, 7, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    found = read_photograph(encoded(Image.fromarray(pixels), exif=exif))
    assert found.shape == ((7, 4, 3) if turn > 4 else (4, 7, 3))
    assert found[corner[turn]].min() == 255
    assert found.sum() == 3 * 255


@pytest.mark.parametrize("length", [0, 1, 40, 200])
def test_damaged_bytes_are_named(length, tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(encoded(Image.fromarray(np.tile(PIXELS, (9, 9, 1))), "JPEG")[:length])
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        read_photograph(path)


def test_every_cut_of_a_file_is_an_error_or_a_picture():
    whole = encoded(Image.fromarray(PIXELS))
    for length in range(len(whole) - 1):
        try:
            assert read_photograph(whole[:length]).shape == (6, 9, 3)
        except ValueError:
            continue


@pytest.mark.parametrize(
    "array",
    [PIXELS.astype(float), PIXELS[..., :2], PIXELS[None], np.zeros((0, 4, 3), np.uint8)],
    ids=["float", "two channels", "a batch", "no pixels"],
)
def test_arrays_of_another_form_are_refused(array):
    with pytest.raises(ValueError, match="array"):
        read_photograph(array)


def test_what_is_no_photograph_is_refused():
    with pytest.raises(TypeError, match="dict"):
        read_photograph({})
    with pytest.raises(FileNotFoundError):
        read_photograph("no such file.jpg")


def test_too_many_pixels_are_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(ValueError, match="megapixels"):
        read_photograph(encoded(Image.fromarray(PIXELS)))
