"""Where the ASSR layout keeps what, and how its lists are read.

{split}_images.txt                    one image id a line
obj_seg_data_{split}.json             [{"img": id, "object_data": [{"bbox", "segmentation"}]}]
rank_order/{split}/{id}.json          {"rank_order": [one value an object]}
images/{split}/{id}.jpg               the photograph (or .jpeg .png .webp ..)
gt/{split}/{id}.png                   its rank map, grey

A folder may hold other ranks of the same objects: rank_order_NAME/ with gt_NAME/. One without
rank_order/ and gt/ is a set without ranks.
"""

import collections
import os
import pathlib

from sor_jax import files
from sor_jax.datasets.folder import SPLITS, given
from sor_jax.datasets.names import ById, without_suffix
from sor_jax.files import read_text

RANKS = "rank_order"
_ADVICE = (
    "data/assr/README.md says where the data can be had and how the folder must look; "
    "`python data/assr/prepare.py --root FOLDER` checks and prepares it."
)


def split_list(root: pathlib.Path, split: str) -> pathlib.Path:
    """The list of a split's image ids."""
    return root / f"{split}_images.txt"


def annotations(root: pathlib.Path, split: str) -> pathlib.Path:
    """The boxes and masks of a split."""
    return root / f"obj_seg_data_{split}.json"


def image_files(
    root: pathlib.Path, split: str, image_id: str, ranks: str
) -> dict[str, pathlib.Path]:
    """The files of one photograph by role; `ranks` names the folder of the ranks."""
    return {
        "ranks": root / ranks / split / f"{image_id}.json",
        "image": root / "images" / split / f"{image_id}.jpg",
        "grey": root / maps_of(ranks) / split / f"{image_id}.png",
    }


def splits(root: pathlib.Path) -> tuple[str, ...]:
    """The splits that the root has a list of."""
    return tuple(split for split in SPLITS if split_list(root, split).is_file())


def has_ranks(root: pathlib.Path, ranks: str) -> bool:
    """Whether the root says an order of its objects; with neither folder it holds objects alone."""
    return (root / ranks).is_dir() or (root / maps_of(ranks)).is_dir()


def maps_of(ranks: str) -> str:
    """The folder of the rank maps that belong to a folder of ranks."""
    if ranks != RANKS and not ranks.startswith(f"{RANKS}_"):
        raise ValueError(
            f"config.data.rank_field is {ranks!r}; expected {RANKS!r} or {RANKS}_NAME, "
            "a folder of ranks beside the photographs"
        )
    return f"gt{ranks.removeprefix(RANKS)}"


def require(root: str | os.PathLike | None, split: str | None, ranks: str) -> pathlib.Path:
    """The root as a path, once the lists and folders that a run needs are seen to be there."""
    root = given(root, _ADVICE)
    found = splits(root)
    if not found or (split and split not in found):
        looked_for = split_list(root, split or SPLITS[0])
        there = f"it has {', '.join(found)}" if found else "no split of the ASSR layout is there"
        raise FileNotFoundError(f"{looked_for} does not exist: {there}. " + _ADVICE)
    folders = () if ranks in ("", RANKS) else (root / ranks, root / maps_of(ranks))
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} does not exist: config.data.rank_field is {ranks!r}, which needs it; "
                f"{RANKS!r} are the ranks that every folder has"
            )
    return root


def read_ids(root: pathlib.Path, split: str) -> list[str]:
    """The image ids of a split in the order of its list."""
    path = split_list(root, split)
    ids = [without_suffix(line.strip()) for line in read_text(path).splitlines() if line.strip()]
    if not ids:
        raise ValueError(f"{path}: lists no image; one id a line is expected")
    often, times = collections.Counter(ids).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{path}: lists {often} {times} times; remove the repeated lines")
    return ids


def read_objects(root: pathlib.Path, split: str) -> ById:
    """The object list of every image id of a split's annotation file."""
    path = annotations(root, split)
    entries = read_json(path)
    try:
        pairs = [(entry["img"], entry["object_data"]) for entry in entries]
    except (TypeError, KeyError) as error:
        raise ValueError(
            f'{path}: expected a list of {{"img": id, "object_data": [..]}}, failed on {error!r}'
        ) from error
    return ById(pairs, str(path))


def read_json(path: pathlib.Path):
    """A JSON file; what is wrong with it is said under its name."""
    try:
        return files.read_json(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist. " + _ADVICE) from None
