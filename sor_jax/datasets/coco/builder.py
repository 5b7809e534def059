"""TFDS builder: COCO JSON with ranks -> ArrayRecord files."""

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import re

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from sor_jax.datasets.assr.builder import _decoded_hw as decoded_hw
from sor_jax.datasets.assr.objects import check_objects
from sor_jax.datasets.coco import files
from sor_jax.datasets.coco.ranks import MEANINGS, rank_order
from sor_jax.datasets.features import NO_GREY
from sor_jax.datasets.prepare import LocalBuilder, note_left_out, prepared, progress
from sor_jax.datasets.record import decode_masks, rank_classes, to_rle
from sor_jax.metrics.sor import rank_map


@dataclasses.dataclass
class CocoConfig(tfds.core.BuilderConfig):
    """One state of one folder; its name changes with what the annotation files say."""

    root: str = ""
    rank_field: str = ""
    rank_values: str = "places"
    skip_damaged: bool = False


class Coco(LocalBuilder):
    """Photographs with object masks, of which up to five are ranked, from COCO JSON."""

    def _split_generators(self, dl_manager):
        del dl_manager
        root = pathlib.Path(self.builder_config.root)
        splits = [split for split in files.SPLITS if files.annotation_file(root, split)]
        return {split: self._generate_examples(split) for split in splits}

    def _generate_examples(self, split):
        config = self.builder_config
        images = files.read_images(pathlib.Path(config.root), split)
        left_out = []
        for index, image in enumerate(progress(images, total=len(images), what=split)):
            try:
                example = _example(image, config.rank_field, config.rank_values)
            except (ValueError, FileNotFoundError) as error:
                if not config.skip_damaged:
                    raise
                left_out.append(str(error))
            else:
                yield index, example
        note_left_out(self, split, left_out)


def builder(
    root: str | os.PathLike | None,
    *,
    split: str | None = None,
    cache_dir: str | os.PathLike | None = None,
    on_error: str = "raise",
    rank_field: str = "rank",
    rank_values: str = "places",
) -> Coco:
    """The prepared builder of a COCO data set; prepares at first use and after a change.

    Args:
      root: the folder, see sor_jax.datasets.coco.files; only read.
      split: one that has to be there; all are prepared.
      cache_dir: takes the records (default: prepare.default_cache_dir()).
      on_error: with "skip" damaged records are left out, with "raise" the first one ends it.
      rank_field: the field of an annotation that holds its rank; "" for a set without ranks.
      rank_values: "places" (1 = most salient) or "scores" (larger = more salient).
    """
    if rank_values not in MEANINGS:
        raise ValueError(
            f"config.data.rank_values is {rank_values!r}; expected one of {', '.join(MEANINGS)}"
        )
    root = files.require(root, split)
    _check_rank_field(root, rank_field)
    options = {"rank_field": rank_field, "rank_values": rank_values}
    options["skip_damaged"] = on_error == "skip"
    mark = _fingerprint(root, options)
    name = f"{re.sub('[^A-Za-z0-9_]', '_', root.name)}-{mark}"
    config = CocoConfig(name=name, root=str(root), **options)
    return prepared(Coco, config, cache_dir=cache_dir, what=str(root))


def _check_rank_field(root: pathlib.Path, rank_field: str) -> None:
    """Raises ValueError where no annotation of any split has the field."""
    names = set()
    for split in files.SPLITS:
        path = files.annotation_file(root, split)
        if path:
            names |= {name for entry in files.read_json(path)["annotations"] for name in entry}
    if rank_field and rank_field not in names:
        raise ValueError(
            f"no annotation in {root} has the field {rank_field!r}; they have "
            f"{', '.join(sorted(names))}. Set config.data.rank_field to the one that holds the "
            "rank, or to '' for a set without ranks"
        )


def _example(image: files.CocoImage, rank_field: str, rank_values: str) -> dict:
    photo_hw = decoded_hw(image.path)
    try:
        if image.size not in (None, photo_hw):
            turned = " (as it lies before its EXIF turn)" if image.size == photo_hw[::-1] else ""
            raise ValueError(
                f"annotated as {image.size} (h, w){turned}, but the photograph is {photo_hw}"
            )
        values = [entry.get(rank_field) for entry in image.annotations] if rank_field else []
        order = rank_order(values, rank_values, rank_field)
        order = order if rank_field else np.zeros(len(image.annotations))
        entries = [_entry(index, entry) for index, entry in enumerate(image.annotations)]
        objects = check_objects(entries, order.tolist(), photo_hw=photo_hw)
    except ValueError as error:
        raise ValueError(f"{image.path}: {error}") from error
    return {
        "image_id": image.name,
        "image": image.path.read_bytes(),
        "grey": _grey(objects, photo_hw) if rank_field else NO_GREY,
        "objects": objects,
    }


def _entry(index: int, annotation: dict) -> dict:
    """An annotation with its box as x0 y0 x1 y1."""
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError(f"object {index}: bbox is {box!r}; expected x y width height")
    if annotation.get("segmentation") in (None, [], ""):
        raise ValueError(
            f"object {index}: no segmentation; polygons or an RLE are expected, boxes alone are "
            "not enough"
        )
    x, y, width, height = box
    try:
        box = [x, y, x + width, y + height]
    except TypeError:
        raise ValueError(f"object {index}: bbox is {box!r}; expected four numbers") from None
    return {"bbox": box, "segmentation": annotation["segmentation"]}


def _grey(objects: list[dict], photo_hw: tuple[int, int]) -> bytes:
    """The rank map that masks and ranks describe, PNG."""
    rles = [to_rle(json.loads(thing["segmentation"]), photo_hw) for thing in objects]
    classes = rank_classes(np.array([thing["rank_order"] for thing in objects]))
    file = io.BytesIO()
    Image.fromarray(rank_map(decode_masks(rles, photo_hw), classes)).save(file, "PNG")
    return file.getvalue()


def _fingerprint(root: pathlib.Path, options: dict) -> str:
    """A short hash of the annotation files' bytes, the photographs' sizes and the options."""
    digest = hashlib.sha256(json.dumps(options).encode())
    for split in files.SPLITS:
        path = files.annotation_file(root, split)
        if path is None:
            continue
        digest.update(split.encode() + path.read_bytes())
        for image in files.read_images(root, split):
            size = image.path.stat().st_size if image.path.is_file() else -1
            digest.update(f"{image.name} {size}\n".encode())
    return digest.hexdigest()[:12]
