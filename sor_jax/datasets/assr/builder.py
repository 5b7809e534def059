"""TFDS builder: any folder in ASSR layout -> ArrayRecord files."""

import dataclasses
import os
import pathlib
import re

import tensorflow_datasets as tfds
from PIL import Image, ImageOps

from sor_jax.datasets.assr import layout
from sor_jax.datasets.assr.objects import check_objects
from sor_jax.datasets.features import NO_GREY
from sor_jax.datasets.prepare import LocalBuilder, note_left_out, prepared, progress


@dataclasses.dataclass
class AssrConfig(tfds.core.BuilderConfig):
    """One state of one folder; its name changes when a file of the folder does."""

    root: str = ""
    ranks: str = layout.RANKS
    skip_damaged: bool = False


class Assr(LocalBuilder):
    """Photographs with object masks of which up to five are ranked, from files in ASSR layout."""

    def _split_generators(self, dl_manager):
        del dl_manager
        root = pathlib.Path(self.builder_config.root)
        return {split: self._generate_examples(split) for split in layout.splits(root)}

    def _generate_examples(self, split):
        root, ranks = pathlib.Path(self.builder_config.root), self.builder_config.ranks
        ids = layout.read_ids(root, split)
        objects = layout.read_objects(root, split)
        left_out = []
        for index, image_id in enumerate(progress(ids, total=len(ids), what=split)):
            try:
                example = _example(root, split, image_id, objects, ranks)
            except (ValueError, FileNotFoundError) as error:
                if not self.builder_config.skip_damaged:
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
    rank_field: str = layout.RANKS,
) -> Assr:
    """The prepared builder of a folder in ASSR layout; prepares at first use and after a change.

    The folder is only read. All its splits are prepared; `split` is one that has to be there.
    Records go to `cache_dir` (default: prepare.default_cache_dir()). With `on_error` "skip"
    damaged records are left out (prepare.left_out tells which), with "raise" the first ends
    the preparation. `rank_field` names the folder of the ranks, of several that the root may hold.
    """
    root = layout.require(root, split, rank_field)
    mark = layout.fingerprint(root, rank_field)
    name = f"{re.sub('[^A-Za-z0-9_]', '_', root.name)}-{mark}"
    skip = on_error == "skip"
    config = AssrConfig(
        name=f"{name}-skip" if skip else name, root=str(root), ranks=rank_field, skip_damaged=skip
    )
    return prepared(Assr, config, cache_dir=cache_dir, what=str(root))


def _example(
    root: pathlib.Path, split: str, image_id: str, objects: dict[str, list], ranks: str
) -> dict:
    if image_id not in objects:
        raise ValueError(
            f"{layout.annotations(root, split)}: no entry for {image_id}, "
            f"which {layout.split_list(root, split)} lists"
        )
    files = layout.image_files(root, split, image_id, ranks)
    photo_hw, where = _decoded_hw(files["image"]), str(layout.annotations(root, split))
    if layout.has_ranks(root, ranks):
        values, grey = _ranks(files, photo_hw)
        where = f"{where} with {files['ranks']}"
    else:
        values, grey = [0.0] * len(objects[image_id]), NO_GREY
    try:
        checked = check_objects(objects[image_id], values, photo_hw=photo_hw)
    except ValueError as error:
        raise ValueError(f"{where}, record {image_id}: {error}") from error
    return {
        "image_id": image_id,
        "image": files["image"].read_bytes(),
        "grey": grey,
        "objects": checked,
    }


def _ranks(files: dict[str, pathlib.Path], photo_hw: tuple[int, int]) -> tuple[list, bytes]:
    """The rank values of a photograph's objects, and its rank map's bytes."""
    grey_hw = _decoded_hw(files["grey"])
    if photo_hw != grey_hw:
        raise ValueError(
            f"{files['grey']} is {grey_hw} (h, w) but the photograph {files['image']} is {photo_hw}"
        )
    values = layout.read_json(files["ranks"])
    if not isinstance(values, dict) or "rank_order" not in values:
        raise ValueError(f'{files["ranks"]}: expected {{"rank_order": [..]}}')
    return values["rank_order"], files["grey"].read_bytes()


def _decoded_hw(path: pathlib.Path) -> tuple[int, int]:
    """Height and width as people see the image; decodes it, so that a cut-off file is met here."""
    try:
        with Image.open(path) as image:
            turned = ImageOps.exif_transpose(image)
            turned.load()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist, but its split's list names it") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path}: not a readable image ({error})") from error
    return turned.height, turned.width
