"""Where the files of a COCO data set lie, and what their JSON holds.

A root has one annotation file for each split and the photographs that it names:

{split}.json, instances_{split}.json, annotations/{split}.json, annotations/instances_{split}.json
or {split}/_annotations.coco.json
images/{split}/FILE, images/FILE, {split}/FILE or FILE, where FILE is the image's "file_name", which
may have folders
"""

import collections
import dataclasses
import os
import pathlib

from sor_jax import files
from sor_jax.datasets.folder import SPLITS, given

_ALIASES = {"val": ("val", "valid", "validation")}
_ADVICE = "data/coco/README.md shows the folder and the fields."


@dataclasses.dataclass(frozen=True)
class CocoImage:
    """One image of an annotation file.

    Attributes:
      name: its "file_name" without the ending, folders kept: the record's id.
      path: the photograph.
      size: (height, width) as the file says, None where it does not.
      annotations: its annotations as the file has them, those of crowds left out.
      crowds: those of crowds.
    """

    name: str
    path: pathlib.Path
    size: tuple[int, int] | None
    annotations: list[dict]
    crowds: list[dict]


def annotation_file(root: pathlib.Path, split: str) -> pathlib.Path | None:
    """The annotation file of a split, None where there is none."""
    for alias in _ALIASES.get(split, (split,)):
        names = (f"{alias}.json", f"instances_{alias}.json")
        candidates = [root / folder / name for folder in ("", "annotations") for name in names]
        for path in (*candidates, root / alias / "_annotations.coco.json"):
            if path.is_file():
                return path
    return None


def require(root: str | os.PathLike | None, split: str) -> tuple[pathlib.Path, pathlib.Path]:
    """The root as a path, and the annotation file of a split."""
    root = given(root, _ADVICE)
    path = annotation_file(root, split)
    if path is None:
        there = [name for name in SPLITS if annotation_file(root, name)]
        others = sorted(path.name for path in (*root.glob("*.json"), *root.glob("*/*.json")))
        found = f"it has {', '.join(there)}" if there else "no split's annotation file is there"
        if others and not there:
            found = f"{found}; rename one of {', '.join(others[:4])}"
        raise FileNotFoundError(f"{root / split}.json does not exist: {found}. " + _ADVICE)
    return root, path


def read_images(root: pathlib.Path, split: str, path: pathlib.Path) -> list[CocoImage]:
    """The images of a split in the order of its annotation file.

    Raises ValueError under the file's name.
    """
    content = read_json(path)
    images, annotations = (_list(path, content, name) for name in ("images", "annotations"))
    by_image: dict = {
        _field(path, "images", i, image, "id"): ([], []) for i, image in enumerate(images)
    }
    if len(by_image) < len(images):
        raise ValueError(f"{path}: {len(images) - len(by_image)} images have the id of another")
    for index, annotation in enumerate(annotations):
        owner = _field(path, "annotations", index, annotation, "image_id")
        if owner not in by_image:
            raise ValueError(
                f"{path}: annotations[{index}] is of image_id {owner!r}, which no image has"
            )
        by_image[owner][_is_crowd(path, index, annotation)].append(annotation)
    if annotations and not any(objects for objects, _ in by_image.values()):
        raise ValueError(
            f"{path}: all {len(annotations)} annotations are crowds (iscrowd is 1), which are "
            "passed over; set iscrowd to 0 for objects, also for those that have an RLE"
        )
    found = [
        _image(root, split, path, index, image, *by_image[image["id"]])
        for index, image in enumerate(images)
    ]
    if not found:
        raise ValueError(f"{path}: lists no image")
    name, times = collections.Counter(image.name for image in found).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{path}: {times} images have the file name {name}; each needs its own")
    return found


def read_json(path: pathlib.Path) -> dict:
    """A JSON object; what is wrong with it is said under its name."""
    content = files.read_json(path)
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: expected a COCO file, an object with images and annotations; found a "
            f"{type(content).__name__}"
        )
    return content


def _is_crowd(path, index, annotation) -> bool:
    value = annotation.get("iscrowd")
    if value in (None, 0, "0", "", 1, "1"):
        return value in (1, "1")
    raise ValueError(f"{path}: annotations[{index}].iscrowd is {value!r}; expected 0 or 1")


def _image(root, split, path, index, image, annotations, crowds) -> CocoImage:
    file_name = _field(path, "images", index, image, "file_name")
    if not isinstance(file_name, str) or not file_name:
        raise ValueError(f"{path}: images[{index}].file_name is {file_name!r}; expected a name")
    relative = pathlib.PurePosixPath(file_name.replace("\\", "/"))
    if relative.is_absolute() or ".." in relative.parts:
        raise ValueError(
            f"{path}: images[{index}].file_name is {file_name!r}; expected a path inside {root}"
        )
    sides = image.get("height"), image.get("width")
    size = sides if all(isinstance(side, int) and side > 0 for side in sides) else None
    name = str(relative.with_suffix(""))
    return CocoImage(name, _photograph(root, split, relative), size, annotations, crowds)


def _photograph(root, split, relative) -> pathlib.Path:
    """The first place that has the file; where none has, the first that could."""
    candidates = [root / "images" / split / relative, root / "images" / relative]
    for alias in _ALIASES.get(split, (split,)):
        candidates.append(root / alias / relative)
    candidates.append(root / relative)
    return next((path for path in candidates if path.is_file()), candidates[0])


def _list(path, content, name) -> list:
    value = content.get(name)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ValueError(f'{path}: "{name}" is not a list of objects. ' + _ADVICE)
    return value


def _field(path, what, index, entry, name):
    value = entry.get(name)
    if value is None or isinstance(value, list | dict):
        raise ValueError(f"{path}: {what}[{index}] has no {name}")
    return value
