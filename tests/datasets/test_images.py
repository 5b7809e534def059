"""One reader for photographs and maps: 16 bits, floats, and what is too large."""

import struct

import numpy as np
import pytest
from PIL import Image

from sor_jax.datasets.images import decode_grey, decode_image
from tests.pictures import encoded

LEVELS = np.array([[0, 153, 178], [204, 229, 255]])


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (LEVELS.astype(np.uint8), "PNG"),
        ((LEVELS * 257).astype(np.uint16), "PNG"),
        ((LEVELS * 257).astype(np.uint16), "TIFF"),
        ((LEVELS * 257).astype(np.int32), "TIFF"),
        ((LEVELS / 255).astype(np.float32), "TIFF"),
        (LEVELS.astype(np.float32), "TIFF"),
        (np.repeat(LEVELS.astype(np.uint8)[..., None], 3, 2), "PNG"),
    ],
)
def test_any_depth_becomes_eight_bits(pixels, kind):
    np.testing.assert_array_equal(decode_grey(encoded(pixels, kind)), LEVELS)
    want = np.repeat(LEVELS[..., None], 3, 2)
    np.testing.assert_array_equal(decode_image(encoded(pixels, kind)), want)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (LEVELS.astype(np.uint16), "0 to 255 in 16 bits"),
        ((LEVELS * 16).astype(np.uint16), "0 to 4080 in 16 bits"),
        ((LEVELS * 1000).astype(np.int32), "255000"),
        (-LEVELS.astype(np.int32), "-255"),
        ((LEVELS * 257.0).astype(np.float32), "65535 in floats"),
        ((LEVELS / 255 - 0.5).astype(np.float32), "-0.5"),
        (np.full((2, 3), np.nan, np.float32), "finite"),
    ],
)
@pytest.mark.parametrize("decode", [decode_grey, decode_image])
def test_what_would_be_a_guess_is_refused(pixels, said, decode):
    kind = "PNG" if pixels.dtype == np.uint16 else "TIFF"
    with pytest.raises(ValueError, match=said):
        decode(encoded(pixels, kind))


def test_a_black_file_of_sixteen_bits_is_black():
    assert not decode_grey(encoded(np.zeros((3, 4), np.uint16), "PNG")).any()


def test_a_dark_bmp_of_sixteen_bits_a_pixel_is_read():
    masks = struct.pack("<3I", 0xF800, 0x07E0, 0x001F)
    info = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0) + masks
    head = struct.pack("<2sIHHI", b"BM", 14 + len(info) + 4, 0, 0, 14 + len(info))
    pixels = struct.pack("<2H", 1 << 11 | 2 << 5 | 1, 0)  # of 31, 63 and 31
    np.testing.assert_array_equal(decode_image(head + info + pixels), [[[8, 8, 8], [0, 0, 0]]])


def test_two_hundred_megapixels_are_named(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # the same rule, in small
    with pytest.raises(ValueError, match="megapixels"):
        decode_image(encoded(np.zeros((9, 9), np.uint8), "PNG"))
