"""What files say of one photograph -> the record that is stored, once everything in it fits."""

import dataclasses
import io
import pathlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from sor_jax.datasets.checks import XYXY, Checked, check_objects
from sor_jax.datasets.features import NO_GREY
from sor_jax.datasets.images import decode_grey, decode_image
from sor_jax.datasets.masks import decode_masks
from sor_jax.datasets.names import what_lies_there
from sor_jax.datasets.rank_map import check_rank_map, levels_of
from sor_jax.datasets.record import rank_classes
from sor_jax.metrics.sor import NUM_RANKS, rank_map


@dataclasses.dataclass(frozen=True)
class AnnotatedPhotograph:
    """What the files say of one photograph; nothing of it is checked.

    Attributes:
      image: its file.
      objects: {"bbox": four numbers, "segmentation": polygons or RLE} of each.
      ranks: their rank values, see checks.check_rank_values; None where the set knows no ranks.
      where: the files that objects and ranks come from, for messages.
      grey: the file of its rank map; None where the set has none: it is drawn.
      box_format: what the four numbers of a box are, a name of checks.BOX_FORMATS.
      photo_hw: (height, width) where the files say it.
      num_ranks: how many ranks the rank values are of.
      masks: whether the set has masks; its objects are known by their boxes alone otherwise, and a
        rank map is not drawn.
      known_greys: whether the map's greys are int(255 * value) and are held against the ranks.
    """

    image: pathlib.Path
    objects: list
    ranks: list | None
    where: str
    grey: pathlib.Path | None = None
    box_format: str = XYXY
    photo_hw: tuple[int, int] | None = None
    num_ranks: int = NUM_RANKS
    masks: bool = True
    known_greys: bool = True


def has_masks(objects: Iterable) -> bool:
    """Whether any object of a split has a mask, or there is none: else it is a set without masks.

    Where others have one, an object without is a mistake of the file.
    """
    found = [one.get("segmentation") for one in objects if isinstance(one, dict)]
    return not found or any(one is not None and one != [] for one in found)


def example_of(photograph: AnnotatedPhotograph, image_id: str) -> tuple[dict, Checked]:
    """A record with the fields of sor_jax.datasets.features, and its checked objects.

    Raises ValueError or FileNotFoundError under the name of the file that something is wrong with.
    """
    image, encoded = _decoded(photograph.image, decode_image)
    photo_hw = image.shape[:2]
    ranks = [0.0] * len(photograph.objects) if photograph.ranks is None else photograph.ranks
    try:
        if photograph.photo_hw not in (None, photo_hw):
            turned = ", before its EXIF turn" if photograph.photo_hw == photo_hw[::-1] else ""
            raise ValueError(
                f"annotated as {photograph.photo_hw} (h, w){turned}; {photograph.image} has "
                f"{photo_hw}"
            )
        checked = check_objects(
            photograph.objects,
            ranks,
            photo_hw=photo_hw,
            box_format=photograph.box_format,
            num_ranks=photograph.num_ranks,
            masks=photograph.masks,
        )
    except ValueError as error:
        raise ValueError(f"{photograph.where}, record {image_id}: {error}") from error
    has_map = photograph.ranks is not None and (photograph.masks or photograph.grey is not None)
    grey = _rank_map(photograph, image_id, checked, photo_hw) if has_map else NO_GREY
    example = {"image_id": image_id, "image": encoded, "grey": grey, "objects": checked.objects}
    return example, checked


def _rank_map(photograph: AnnotatedPhotograph, image_id: str, checked: Checked, photo_hw) -> bytes:
    """The file of a rank map, once it is held against masks and ranks; or a drawn one, as PNG."""
    masks = decode_masks(checked.masks, photo_hw)
    values = np.array([thing["rank_order"] for thing in checked.objects])
    if photograph.grey is None:
        file = io.BytesIO()
        classes = rank_classes(values, photograph.num_ranks)
        Image.fromarray(rank_map(masks, classes, photograph.num_ranks)).save(file, "PNG")
        return file.getvalue()
    pixels, encoded = _decoded(photograph.grey, decode_grey)
    if pixels.shape != photo_hw:
        raise ValueError(
            f"{photograph.grey}: rank map of {pixels.shape} (h, w), photograph {photo_hw}"
        )
    try:
        if photograph.known_greys and photograph.masks:
            check_rank_map(pixels, masks, levels_of(values))
        elif values.max(initial=0) > 0.5 and not pixels.any():
            raise ValueError("the rank map is all black, but there are ranked objects")
    except ValueError as error:
        with Image.open(io.BytesIO(encoded)) as stored:
            hint = " (a palette image: its colours count)" if stored.mode == "P" else ""
        raise ValueError(f"{photograph.grey}{hint}, record {image_id}: {error}") from error
    return encoded


def _decoded(path: pathlib.Path, decode) -> tuple[np.ndarray, bytes]:
    """(pixels, the file's bytes) of an image file; what is wrong is said under its name."""
    try:
        encoded = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist{what_lies_there(path)}") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return decode(encoded), encoded
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
