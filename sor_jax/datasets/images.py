"""The one reader of image files: photographs and grey maps of any depth, with 8 bits at the end."""

import io
import re

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Of photographs; compared in lower case."""

_DEEP = ("I", "F")  # 16- and 32-bit whole numbers, floats
_LEAST_WHITE = 4096  # no file of 16 bits is as dark as to stay below


def decode_image(encoded: bytes) -> np.ndarray:
    """u8[h, w, 3] RGB from the bytes of an image file, turned as its EXIF tag says.

    See `as_rgb` for other kinds. Raises ValueError for whatever cannot be read.
    """
    return as_rgb(_upright(encoded))


def as_rgb(image: Image.Image) -> np.ndarray:
    """u8[h, w, 3] RGB of an image of any kind.

    Grey of 16 bits or floats is scaled as `decode_grey` does; what is transparent shows white.
    """
    if image.mode.startswith(_DEEP):
        return np.repeat(to_eight_bits(np.asarray(image))[..., None], 3, axis=2)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def decode_grey(encoded: bytes) -> np.ndarray:
    """u8[h, w] from the bytes of an image file; see `to_eight_bits` for what has more bits."""
    image = _upright(encoded)
    if image.mode.startswith(_DEEP):
        return to_eight_bits(np.asarray(image))
    return np.asarray(image.convert("L"))


def to_eight_bits(values: np.ndarray) -> np.ndarray:
    """u8[h, w] of whole numbers of 16 or 32 bits, or of floats.

    White is 65535 for whole numbers, 1 for floats up to 1 and 255 for floats above. Raises
    ValueError where the values tell that white is something else: that would be a guess.
    """
    if not np.isfinite(values).all():
        raise ValueError("holds values that are not finite")
    least, most = values.min(), values.max()
    if np.issubdtype(values.dtype, np.floating):
        white, kind = (1 if most <= 1 else 255), "floats; expected 0 to 1, or 0 to 255"
        is_clear = least >= 0 and most <= 255
    else:
        white, kind = 65535, "16 bits or more; expected white at 65535, save it with 8 bits instead"
        is_clear = least >= 0 and (most == 0 or _LEAST_WHITE <= most <= white)
    if not is_clear:
        raise ValueError(f"holds values of {least:g} to {most:g} in {kind}")
    return np.rint(values * (255 / white)).astype(np.uint8)


def _upright(encoded: bytes) -> Image.Image:
    """The decoded image, turned as its EXIF tag says."""
    try:
        opened = Image.open(io.BytesIO(encoded))
        # Said before it is decoded; a BMP's BGR;16 are 16 bits a pixel.
        is_deep = re.search(r"(?<!BGR);16", str(opened.tile[:1])) is not None
        image = ImageOps.exif_transpose(opened)
        image.load()
    except UnidentifiedImageError:
        raise ValueError(f"cannot identify the image that {len(encoded)} bytes hold") from None
    except Image.DecompressionBombError as error:
        found, most = (int(number) / 1e6 for number in re.findall(r"\d+", str(error))[:2])
        raise ValueError(
            f"an image of {found:.0f} megapixels; at most {most:.0f} are read, make it smaller"
        ) from None
    except Exception as error:  # whatever Pillow's decoders meet in broken bytes
        raise ValueError(f"cannot be read as an image ({error})") from error
    if is_deep and not image.mode.startswith(_DEEP):
        _check_depth(image)
    return image


def _check_depth(image: Image.Image) -> None:
    """Raises ValueError for colours of 16 bits, of which Pillow keeps the upper 8, that are as dark
    as those of 12 bits or less are by mistake."""
    colours = len(image.getbands()) - ("A" in image.getbands())
    most = int(np.asarray(image).reshape(image.height, image.width, -1)[..., :colours].max())
    if 0 < most < _LEAST_WHITE // 256:
        raise ValueError(
            f"holds values below {256 * (most + 1)} in 16 bits; expected white at 65535, save it "
            "with 8 bits instead"
        )
