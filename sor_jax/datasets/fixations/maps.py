"""Fixations and densities out of a folder with a file for each photograph."""

import math
import pathlib

import numpy as np
import scipy.io
from PIL import Image

from sor_jax.datasets.fixations.looks import Looks, looks_of_people
from sor_jax.datasets.folder import SPLITS

PICTURES = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
ASPECT = 0.02  # by which the shape of a density may differ from the photograph's


def files_in(folder: pathlib.Path, suffixes: tuple[str, ...]) -> list[pathlib.Path]:
    """The files with one of these suffixes in a folder and in the folders of splits in it."""
    folders = (folder, *(folder / split for split in SPLITS))
    return [
        file
        for one in folders
        if one.is_dir()
        for file in sorted(one.iterdir())
        if file.suffix.lower() in suffixes
    ]


def read_mat(path: pathlib.Path) -> tuple[Looks, tuple[int, int] | None]:
    """SALICON's fixations of one photograph, and its (h, w) where the file states it.

    The file holds `gaze`, one an observer, each with `fixations` [n, 2], x y from 1, in the order
    of looking; its observers have no names, and its fixations no duration. Raises ValueError.
    """
    try:
        content = scipy.io.loadmat(path, squeeze_me=False, struct_as_record=True)
    except Exception as error:  # whatever scipy meets in broken bytes
        raise ValueError(f"{path}: not a readable MATLAB file ({error})") from error
    try:
        observers = content["gaze"].reshape(-1)
        paths = [np.asarray(one["fixations"], np.float64) for one in observers]
        paths = [path.reshape(-1, 2) if path.size == 0 else path for path in paths]
        if not all(path.ndim == 2 and path.shape[1] == 2 for path in paths):
            raise ValueError(f"fixations of shape {[path.shape for path in paths]}")
        size = content["resolution"].reshape(-1) if "resolution" in content else None
        image_hw = None if size is None else (int(size[0]), int(size[1]))
        return looks_of_people([path - 0.5 for path in paths]), image_hw
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{path}: expected gaze(i).fixations of n x 2 numbers as SALICON's files have it; "
            f"failed on {error!r}; the file holds "
            f"{[name for name in content if not name.startswith('__')]}"
        ) from error


def read_fixation_map(path: pathlib.Path) -> tuple[Looks, tuple[int, int]]:
    """Looks from a grey picture of the photograph's size: every pixel above 0 is a fixation.

    Raises ValueError for another picture, and for a smooth one: more than a tenth above 0.
    """
    grey = _read_grey(path)
    share = np.count_nonzero(grey) / grey.size
    if share > 0.1:
        raise ValueError(
            f"{path}: {100 * share:.0f} % of its pixels are above 0, too many for a map of "
            "fixations; a smoothed map belongs to --density"
        )
    rows, columns = np.nonzero(grey)
    return Looks(xy=np.stack([columns, rows], axis=1) + 0.5), grey.shape


def read_density(path: pathlib.Path, image_hw: tuple[int, int]) -> np.ndarray:
    """f64[h, w] a smoothed map of fixations, in the file's own values.

    A map of another size but of the photograph's shape is scaled bilinearly. Raises ValueError.
    """
    grey = _read_grey(path)
    if grey.shape == image_hw:
        return grey
    (height, width), (map_height, map_width) = image_hw, grey.shape
    if abs(math.log(height * map_width / (width * map_height))) > ASPECT:
        raise ValueError(
            f"{path} is {grey.shape} (h, w), the photograph {image_hw}; a map of the photograph's "
            "size, or a smaller one of its shape, is expected"
        )
    scaled = Image.fromarray(grey.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return np.asarray(scaled, np.float64)


def _read_grey(path: pathlib.Path) -> np.ndarray:
    """f64[h, w] of a picture with one value a pixel; one with colours is refused."""
    try:
        with Image.open(path) as image:
            image.load()
            pixels = np.asarray(image.convert("RGB") if image.mode == "P" else image)
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path}: not a readable image ({error})") from error
    if pixels.ndim == 3:
        colours = pixels[..., : 1 if pixels.shape[2] == 2 else 3]
        if (colours != colours[..., :1]).any():
            raise ValueError(f"{path}: has colours; a grey map of one value a pixel is expected")
        pixels = colours[..., 0]
    return pixels.astype(np.float64)
