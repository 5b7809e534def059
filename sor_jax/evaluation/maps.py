"""Scores a folder of grey saliency maps, such as other methods write: no model, no jax."""

import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from sor_jax.datasets.record import Record
from sor_jax.evaluation.gallery import file_stem, write_metrics
from sor_jax.evaluation.truth import truth_of
from sor_jax.metrics.mae import mae_image
from sor_jax.metrics.ndcg import ndcg_image
from sor_jax.metrics.scoreboard import summary
from sor_jax.metrics.sor import agreement, matched_values, mean_values

KINDS = ("ranked", "continuous")
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_FILTERS = {"ranked": Image.Resampling.NEAREST, "continuous": Image.Resampling.BILINEAR}


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
      folder: holds IMAGE_ID.png (or another of ENDINGS), of any size, 8 or 16 bits; colours
        are turned grey; "/" in an id is "_" in the name.
      kind: "ranked", each object has one grey and an object takes the most frequent one inside it;
        "continuous", an object takes the mean inside its true mask (none where that is 0).
      out_dir: takes metrics.json; None writes nothing.
      say: is told of every map that is missing or unreadable; its image is left out.

    Returns:
      maps_scored maps_missing maps_unreadable, mae, those of sor_summary, ndcg_linear, ndcg_exp.
      None = undefined.
    """
    if kind not in KINDS:
        raise ValueError(f"--kind is {kind!r}; expected one of {', '.join(KINDS)}")
    names = _names(folder)
    rows, missing, unreadable = [], 0, 0
    for record in (source[index] for index in range(len(source))):
        try:
            rows.append(score_map(_read(names, folder, record, kind), record, kind))
        except FileNotFoundError as error:
            missing += 1
            say(f"missing: {error}")
        except ValueError as error:
            unreadable += 1
            say(f"unreadable: {error}")
    if not rows:
        raise ValueError(
            f"none of the {len(source)} images has a readable map in {folder}; maps are named "
            f"after the images, for instance {file_stem(source[0].image_id)}.png"
        )
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
        raise ValueError(f"image {record.image_id}: its data set has no ranks to score a map by")
    values = (matched_values if kind == "ranked" else mean_values)(grey, truth.masks)
    rho, matched = agreement(values, truth.rank_order)
    ndcg = ndcg_image(grey, truth.masks, truth.rank_class + 1) or (None, None)
    same_type = truth.grey.astype(grey.dtype) * (np.iinfo(grey.dtype).max // 255)
    return {
        "mae": mae_image(grey, same_type),
        "rho": rho,
        "matched": matched,
        "objects": len(truth.masks),
        "ndcg_linear": ndcg[0],
        "ndcg_exp": ndcg[1],
    }


def _names(folder) -> dict[str, pathlib.Path]:
    """The maps of a folder by their names without ending."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"--maps: {folder} is no folder; expected one with IMAGE_ID.png for every image"
        )
    files = [file for file in folder.iterdir() if file.suffix.lower() in ENDINGS]
    # Of files that differ in their ending alone the first of ENDINGS counts, so it comes last.
    files.sort(key=lambda file: (-ENDINGS.index(file.suffix.lower()), file.name))
    return {file.stem: file for file in files}


def _read(names, folder, record: Record, kind: str) -> np.ndarray:
    """u8[h, w] or u16[h, w]: the map of a record, brought to the photograph's size."""
    stem = file_stem(record.image_id)
    if stem not in names:
        raise FileNotFoundError(f"{pathlib.Path(folder) / stem}.png")
    hw = record.image.shape[:2]
    try:
        with Image.open(names[stem]) as image:
            grey = _one_channel(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{names[stem]}: {error}") from None
    if grey.shape == hw:
        return grey
    # Pillow resizes 16 bits as floats only.
    resized = Image.fromarray(grey.astype(np.float32)).resize(hw[::-1], _FILTERS[kind])
    return np.clip(np.rint(np.asarray(resized)), 0, np.iinfo(grey.dtype).max).astype(grey.dtype)


def _one_channel(image: Image.Image) -> np.ndarray:
    """u8[h, w] or u16[h, w] of an image file."""
    if image.mode.startswith("I"):  # 16 bits; some readers hand them out as 32
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("values beyond 0..65535; expected 8 or 16 bits")
        return values.astype(np.uint16)
    if image.mode == "F":
        raise ValueError("holds floats; expected 8 or 16 bits")
    return np.asarray(image.convert("L"))
