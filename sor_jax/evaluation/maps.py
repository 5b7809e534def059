"""Scores a folder of grey saliency maps, such as other methods write: no model, no jax."""

import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image, ImageOps

from sor_jax.datasets.names import composed
from sor_jax.datasets.record import Record
from sor_jax.evaluation.gallery import write_metrics
from sor_jax.evaluation.truth import truth_of
from sor_jax.metrics.maps import mae_image, ndcg_image
from sor_jax.metrics.scoreboard import summary
from sor_jax.metrics.sor import agreement, matched_values, mean_values

KINDS = ("ranked", "continuous")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".npy")
_FILTERS = {"ranked": Image.Resampling.NEAREST, "continuous": Image.Resampling.BILINEAR}
_GREY_MODES = ("1", "L", "LA")  # of Pillow: without colours


def evaluate_maps(
    source: Sequence[Record],
    folder: str | os.PathLike,
    *,
    kind: str = "ranked",
    out_dir: str | os.PathLike | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, float | int | None]:
    """Compares grey maps with the records that they are named after.

    Args:
      source: the records of a split.
      folder: holds IMAGE_ID.png (or another of ENDINGS, a .npy being one array [h, w]), 8 or 16
        bits or floats of 0 to 1, of any size with the photograph's aspect; colours are turned
        grey; an id with "/" lies in sub-folders. Two files of one id are an error.
      kind: "ranked", each object has one grey and an object takes the most frequent one inside it;
        "continuous", an object takes the mean inside its true mask (none where that is 0).
      out_dir: takes metrics.json; None writes nothing.
      say: is told of every map that is missing or cannot be used, its image is left out; and where
        the maps may mean something else than they are taken for: nearly black ones, colours.

    Returns:
      maps_scored maps_missing maps_unreadable, mae, those of sor_summary, ndcg_linear, ndcg_exp.
      None = undefined.
    """
    if kind not in KINDS:
        raise ValueError(f"--kind is {kind!r}; expected one of {', '.join(KINDS)}")
    files = _find(folder)
    rows, missing, unreadable, used = [], 0, 0, []
    for record in (source[index] for index in range(len(source))):
        try:
            grey, is_coloured = _read(files, folder, record, kind)
            rows.append(score_map(grey, record, kind))
            used.append((grey.dtype, int(grey.max()), is_coloured))
        except FileNotFoundError as error:
            missing += 1
            say(f"missing: {error}")
        except ValueError as error:
            unreadable += 1
            say(f"unreadable: {error}")
    if not rows:
        raise ValueError(
            f"none of the {len(source)} images has a readable map in {folder}; maps are named "
            f"after the images, for instance {source[0].image_id}.png"
        )
    for doubt in _doubts(used):
        say(f"warning: {doubt}")
    counts = {"maps_scored": len(rows), "maps_missing": missing, "maps_unreadable": unreadable}
    metrics = counts | summary(rows)
    if out_dir is not None:
        write_metrics(out_dir, metrics)
    return metrics


def score_map(grey: np.ndarray, record: Record, kind: str) -> dict:
    """What one map u8 or u16 [h, w] of the photograph's size scores: mae, rho, matched, objects,
    ndcg_linear, ndcg_exp; None where a metric is undefined."""
    truth = truth_of(record)
    if truth.grey is None:
        raise ValueError(
            f"image {record.image_id}: its data set has no ranks, or no masks, to score a map by"
        )
    values = (matched_values if kind == "ranked" else mean_values)(grey, truth.masks)
    rho, matched = agreement(values, truth.rank_order)
    first = truth.of(np.flatnonzero(truth.rank_class >= 0))
    ndcg = ndcg_image(grey, first.masks, first.rank_class + 1, truth.num_ranks) or (None, None)
    same_type = truth.grey.astype(grey.dtype) * (np.iinfo(grey.dtype).max // 255)
    return {
        "mae": mae_image(grey, same_type),
        "rho": rho,
        "matched": matched,
        "objects": len(truth.masks),
        "ndcg_linear": ndcg[0],
        "ndcg_exp": ndcg[1],
    }


def _doubts(used: list[tuple[np.dtype, int, bool]]) -> Iterator[str]:
    """What a set of maps, each with its type, its highest value and whether it has colours, may
    mean otherwise than it is taken."""
    for dtype, least, white in ((np.uint16, 256, 255), (np.uint8, 16, 1)):
        most = [most for kind, most, _ in used if kind == dtype]
        if most and 0 < max(most) < least:
            yield (
                f"{len(most)} maps have {8 * np.dtype(dtype).itemsize} bits, but no value above "
                f"{max(most)}: taken as nearly black, white being {np.iinfo(dtype).max}. If "
                f"{white} means white, or they hold ranks or indices, save greys instead; mae is "
                "wrong otherwise"
            )
    if coloured := sum(is_coloured for *_, is_coloured in used):
        yield (
            f"{coloured} maps have colours, which are turned into greys by their brightness; of "
            "a heat map the greys are needed, not the picture"
        )


def _find(folder) -> dict[str, pathlib.Path]:
    """The maps of a folder by the image id that they are named after, sub-folders kept."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"--maps: {folder} is no folder; expected one with IMAGE_ID.png for every image"
        )
    found: dict[str, pathlib.Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() not in ENDINGS or not file.is_file():
            continue
        image_id = composed(file.relative_to(folder).with_suffix("").as_posix())
        if image_id in found:
            raise ValueError(f"{found[image_id]} and {file} are both maps of {image_id}; keep one")
        found[image_id] = file
    return found


def _read(files, folder, record: Record, kind: str) -> tuple[np.ndarray, bool]:
    """u8[h, w] or u16[h, w]: the map of a record, brought to the photograph's size; and whether
    its file has colours."""
    file = files.get(composed(record.image_id))
    if file is None:
        raise FileNotFoundError(f"{pathlib.Path(folder) / record.image_id}.png")
    hw = record.image.shape[:2]
    try:
        grey, is_coloured = (_of_npy if file.suffix.lower() == ".npy" else _of_image)(file)
    except Exception as error:  # whatever decoders meet in broken bytes
        raise ValueError(f"{file}: {error}") from None
    if grey.shape == hw:
        return grey, is_coloured
    if not _same_aspect(grey.shape, hw):
        looks = ", it looks transposed" if _same_aspect(grey.shape[::-1], hw) else ""
        raise ValueError(
            f"{file}: {grey.shape} (h, w) has another aspect than the photograph's {hw}{looks}; "
            "maps are scaled, never stretched"
        )
    # Pillow resizes 16 bits as floats only.
    resized = Image.fromarray(grey.astype(np.float32)).resize(hw[::-1], _FILTERS[kind])
    whole = np.clip(np.rint(np.asarray(resized)), 0, np.iinfo(grey.dtype).max)
    return whole.astype(grey.dtype), is_coloured


def _same_aspect(map_hw, photo_hw) -> bool:
    """Whether a map's sides are the photograph's times one factor, to a pixel."""
    (h, w), (photo_h, photo_w) = map_hw, photo_hw
    return abs(h * photo_w - w * photo_h) <= max(photo_h, photo_w)


def _of_image(file: pathlib.Path) -> tuple[np.ndarray, bool]:
    """u8[h, w] or u16[h, w] of an image file, turned as its EXIF tag says; colours turn grey, and
    whether there were any: not those by which JPEG is off."""
    with Image.open(file) as stored:
        image = ImageOps.exif_transpose(stored)
        if image.mode.startswith(("I", "F")):
            return _of_array(np.asarray(image)), False
        grey = np.asarray(image.convert("L"))
        if image.mode in _GREY_MODES:
            return grey, False
        colours = np.asarray(image.convert("RGB")).astype(np.int16)
        return grey, bool(np.ptp(colours, axis=2).max() > 16)


def _of_npy(file: pathlib.Path) -> tuple[np.ndarray, bool]:
    """As `_of_image`, of an array's file."""
    with file.open("rb") as opened:
        return _of_array(np.lib.format.read_array(opened, allow_pickle=False)), False


def _of_array(values: np.ndarray) -> np.ndarray:
    """u8[h, w] or u16[h, w] of numbers: bools, whole ones up to 65535, floats of 0 to 1."""
    if values.ndim != 2 or not values.size:
        raise ValueError(f"holds an array of shape {values.shape}; expected one map [h, w]")
    if values.dtype.kind not in "biuf":
        raise ValueError(f"holds an array of {values.dtype}; expected numbers")
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    if not np.isfinite(values).all():
        raise ValueError("holds values that are not finite")
    least, most = values.min(), values.max()
    if np.issubdtype(values.dtype, np.floating):
        if least < 0 or most > 1:
            raise ValueError(f"holds floats of {least:g} to {most:g}; expected 0 to 1")
        return np.rint(values * 65535.0).astype(np.uint16)
    if least < 0 or most > 65535:
        raise ValueError(f"holds values of {least} to {most}; expected 0 to 65535, or 0 to 255")
    return values if values.dtype == np.uint8 else values.astype(np.uint16)
