"""A photograph in any form that people have it in -> u8[H, W, 3]."""

import io
import os
import pathlib

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

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
        return _as_rgb(source, "the image")
    if isinstance(source, bytes | bytearray | memoryview):
        return decode(bytes(source), name=f"an image of {len(source):,} bytes")
    if isinstance(source, str | os.PathLike):
        path = pathlib.Path(source)
        return decode(path.read_bytes(), name=str(path))
    raise TypeError(
        f"a photograph is a path, bytes, a Pillow image or an array u8[H, W, 3], not a "
        f"{type(source).__name__}"
    )


def decode(encoded: bytes, *, name: str) -> np.ndarray:
    """As read_photograph, of the bytes of an image file; `name` stands in the errors."""
    try:
        image = Image.open(io.BytesIO(encoded))
    except UnidentifiedImageError:
        what = "is empty" if not encoded else "is not an image, or of a kind that is not known here"
        raise ValueError(f"{name} {what}") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} is too large: {error}") from None
    except Exception as error:  # as below
        raise ValueError(f"{name} is damaged: {error}") from None
    return _as_rgb(image, name)


def _as_rgb(image: Image.Image, name: str) -> np.ndarray:
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            return _grey_of_16_bits(image, name)
        if image.mode == "F":
            raise ValueError("its pixels are fractions; expected 8 or 16 bits a channel")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # whatever Pillow's decoders meet in broken bytes
        raise ValueError(f"{name} is damaged or cannot be used: {error}") from None
    if not pixels.size:
        raise ValueError(f"{name} has no pixels")
    return pixels


def _grey_of_16_bits(image: Image.Image, name: str) -> np.ndarray:
    pixels = np.asarray(image, np.int64)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(f"{name} has values of {pixels.min()} to {pixels.max()}; at most 16 bits")
    grey = (pixels / 257).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


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
        return _as_rgb(Image.fromarray(np.ascontiguousarray(array), "RGBA"), "the array")
    if channels == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return array
