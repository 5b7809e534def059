"""A photograph in any form that people have it in -> u8[H, W, 3]."""

import os
import pathlib

import numpy as np
from PIL import Image, ImageOps

from sor_jax.datasets.images import as_rgb, decode_image

Photograph = str | os.PathLike | bytes | Image.Image | np.ndarray


def read_photograph(source: Photograph) -> np.ndarray:
    """u8[H, W, 3] RGB, turned as the EXIF tag says.

    Grey and CMYK photographs and palettes are turned into RGB; 16 bits a channel into 8; what is
    transparent shows white.

    Args:
      source: a path, the bytes of an image file, a Pillow image, or an array u8[H, W, 3] (also
        u8[H, W], u8[H, W, 1] or u8[H, W, 4], the fourth channel being opacity).

    Raises:
      FileNotFoundError, OSError: the path cannot be read.
      ValueError: it is not an image, is damaged, or has too many pixels for Pillow's limit.
      TypeError: it is none of the above.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _named("the image", lambda: as_rgb(ImageOps.exif_transpose(source)))
    if isinstance(source, bytes | bytearray | memoryview):
        return _named("the bytes", lambda: decode_image(bytes(source)))
    if isinstance(source, str | os.PathLike):
        encoded = pathlib.Path(source).read_bytes()
        return _named(source, lambda: decode_image(encoded))
    raise TypeError(
        f"a photograph is a path, bytes, a Pillow image or an array u8[H, W, 3], not a "
        f"{type(source).__name__}"
    )


def _named(name, read) -> np.ndarray:
    try:
        return read()
    except Exception as error:  # whatever Pillow's decoders meet in broken bytes
        raise ValueError(f"{name}: {error}") from None


def _from_array(array: np.ndarray) -> np.ndarray:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ValueError(
            f"the array is {array.dtype}{list(array.shape)}; expected uint8[H, W, 3], colours in "
            "the order red, green, blue"
        )
    if not array.size:
        raise ValueError(f"the array has no pixels: its shape is {array.shape}")
    if channels == 4:
        return as_rgb(Image.fromarray(np.ascontiguousarray(array)))
    if channels == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return array
