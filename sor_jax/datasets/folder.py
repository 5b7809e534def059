"""Files of any format -> prepared records: what all formats share.

A format is a `Folder`: it says where the files of a split lie and what they say of a photograph.
Its content's fingerprint, the checks, what is left out and the records are common to all.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import sys
from collections.abc import Callable

import tensorflow_datasets as tfds

from sor_jax.datasets.checks import check_most_usable
from sor_jax.datasets.content import fingerprint
from sor_jax.datasets.example import AnnotatedPhotograph, example_of
from sor_jax.datasets.prepare import (
    LocalBuilder,
    about,
    add_root,
    damage,
    default_cache_dir,
    folder_of,
    prepared,
    progress,
)

SPLITS = ("train", "val", "test")


class Folder:
    """One split of a data set as its files have it.

    Attributes:
      root: the folder, as an absolute path.
      split: train, val or test.
      ids: of the photographs, in order, each once.
      arguments: what, beside root and split, it was made with.
      lists: the files that concern all photographs, by their role.
      finders: role -> the file of an image id, whether it exists or not.
      note: a sentence that is printed when it is prepared; "" for none.
    """

    root: pathlib.Path
    split: str
    ids: list[str]
    arguments: dict
    lists: dict[str, pathlib.Path]
    finders: dict[str, Callable[[str], pathlib.Path]]
    note: str = ""

    def __init__(self, root: str | os.PathLike | None, split: str, **options):
        raise NotImplementedError

    @staticmethod
    def list_of(root: pathlib.Path, split: str) -> pathlib.Path | None:
        """The file that a split of this format begins with.

        None where it could be one of several and none of them is there.
        """
        raise NotImplementedError

    @classmethod
    def splits_in(cls, root: pathlib.Path) -> list[str]:
        """The splits that a root holds in this format."""
        lists = {split: cls.list_of(root, split) for split in SPLITS}
        return [split for split, path in lists.items() if path is not None and path.is_file()]

    def files(self) -> dict[str, pathlib.Path]:
        """All files that are read, by their role in the split, whether they exist or not."""
        of_images = {
            f"{role}/{image_id}": find(image_id)
            for role, find in self.finders.items()
            for image_id in self.ids
        }
        return self.lists | of_images

    def read(self) -> None:
        """Reads what concerns all photographs and has not been read by then."""

    def photograph(self, image_id: str) -> AnnotatedPhotograph:
        """What they say of a photograph, after `read`. Raises ValueError or FileNotFoundError."""
        raise NotImplementedError


@dataclasses.dataclass
class FolderConfig(tfds.core.BuilderConfig):
    """One state of one split; its name says its content."""

    folder: Folder | None = None
    content: str = ""
    skip_damaged: bool = False


class FolderBuilder(LocalBuilder):
    """Photographs with object masks of which up to five are ranked, one split of a FOLDER."""

    FOLDER: type[Folder]
    # Raise this with any change of what the same files become.
    VERSION = tfds.core.Version("2.1.0")

    def _split_generators(self, dl_manager):
        del dl_manager
        return {self.builder_config.folder.split: self._generate_examples()}

    def _generate_examples(self):
        folder, skip = self.builder_config.folder, self.builder_config.skip_damaged
        left_out, unusable, objects = [], [], 0
        folder.read()
        for index, image_id in enumerate(
            progress(folder.ids, total=len(folder.ids), what=folder.split)
        ):
            try:
                example, checked = example_of(folder.photograph(image_id), image_id)
            except (ValueError, FileNotFoundError) as error:
                if not skip:
                    raise
                left_out.append(str(error))
            else:
                unusable += [f"record {image_id}: {why}" for why in checked.unusable]
                objects += len(checked.objects)
                yield index, example
        _check_left_out(folder, left_out, unusable, objects)
        self.facts |= {
            "content": self.builder_config.content,
            "roots": [],
            "arguments": folder.arguments,
            "split": folder.split,
            "left_out": left_out,
            "unusable_objects": len(unusable),
        }
        if folder.note:
            print(f"{folder.root} ({folder.split}): {folder.note}", file=sys.stderr)
        if unusable:
            print(
                f"{folder.root} ({folder.split}): {len(unusable)} objects without a rank have no "
                f"box or mask that can be used, and are used nowhere; the first: {unusable[0]}",
                file=sys.stderr,
            )


def open_folder(
    cls: type[FolderBuilder],
    root: str | os.PathLike | None,
    split: str,
    *,
    cache_dir: str | os.PathLike | None = None,
    on_error: str = "raise",
    **options,
) -> FolderBuilder:
    """The prepared builder of a split of a root; prepares at first use and after a change.

    `options` are the other arguments of its FOLDER. The root is only read. Records go to
    `cache_dir` (default: prepare.default_cache_dir()) under a name that says their content alone,
    so a copy of the folder finds them. With `on_error` "skip" damaged records are left out
    (`RecordSource.left_out` tells which), with "raise" the first ends the preparation.
    """
    folder = cls.FOLDER(root, split, **options)
    cache_dir = pathlib.Path(cache_dir or default_cache_dir()).expanduser()
    mark, skip = content_of(folder, cache_dir=cache_dir), on_error == "skip"
    names = [f"{folder.split}-{mark}", f"{folder.split}-{mark}-skip"]
    other = folder_of(cls, names[not skip], cache_dir)
    if damage(other) is None and not about(other)["left_out"]:
        skip = not skip  # there was nothing to leave out, so both are the same
    config = FolderConfig(name=names[skip], folder=folder, content=mark, skip_damaged=skip)
    builder = prepared(cls, config, cache_dir=cache_dir, what=f"{folder.root} ({folder.split})")
    add_root(builder.data_dir, os.fspath(folder.root))
    return builder


def given(root: str | os.PathLike | None, advice: str) -> pathlib.Path:
    """The root as an absolute path, once there is one; `advice` ends the error otherwise."""
    if not root:
        raise FileNotFoundError(
            f"The folder of the data set is not given: set config.data.root. {advice}"
        )
    return pathlib.Path(root).expanduser().resolve()


def content_of(folder: Folder, *, cache_dir: pathlib.Path) -> str:
    """The fingerprint of everything that is read of a split."""
    index = cache_dir / "content" / f"{_slug(folder)}.json"
    what = f"{folder.root} ({folder.split})"
    return fingerprint(folder.files(), options=json.dumps(folder.arguments), index=index, what=what)


def _check_left_out(folder: Folder, left_out: list, unusable: list, objects: int) -> None:
    """Raises ValueError where so much is left out that the set is mistaken, not single files."""
    named = f"{folder.root} ({folder.split})"
    if 2 * len(left_out) > len(folder.ids):
        raise ValueError(
            f"{named}: {len(left_out)} of {len(folder.ids)} photographs are damaged, more than "
            f"half; that is a mistake of the set, so none is used. The first: {left_out[0]}"
        )
    check_most_usable(unusable, objects, where=f"{named}: ")


def _slug(folder: Folder) -> str:
    """A file's name that stands for a folder and a split."""
    return hashlib.sha256(os.fsencode(f"{folder.root}\n{folder.split}")).hexdigest()[:16]
