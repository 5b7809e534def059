"""Writes a ranked set in ASSR layout, whole or not at all."""

import os
import pathlib
import shutil

import numpy as np
from PIL import Image

from sor_jax.datasets.assr import layout
from sor_jax.datasets.fixations.photographs import Photograph
from sor_jax.datasets.images import decode_image
from sor_jax.datasets.rank_map import levels_of
from sor_jax.files import write_json, write_png, write_whole
from sor_jax.metrics.sor import paint


class RankedSet:
    """A new folder in ASSR layout; used as a context, it appears when the block ends well.

    Attributes:
      out: the folder; it must not exist, or be empty.
      names: the folders of ranks, by protocol: the first is rank_order, the others rank_order_NAME.
      converted: how many photographs were no JPEG and were written as one.
    """

    def __init__(self, out: pathlib.Path, protocols: list[str], *, copy: bool):
        self.out, self.copy, self.converted = out, copy, 0
        self.names = {
            name: layout.RANKS if index == 0 else f"{layout.RANKS}_{name}"
            for index, name in enumerate(protocols)
        }
        self._partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
        self._entries: dict[str, list[dict]] = {}

    def __enter__(self):
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise FileExistsError(f"{self.out} exists and is not empty; name a new folder")
        self._partial.mkdir(parents=True)
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                self._write_lists()
                if self.out.exists():
                    self.out.rmdir()
                self._partial.rename(self.out)
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def add(
        self,
        photograph: Photograph,
        objects: list[dict],
        values: dict[str, np.ndarray],
        masks: np.ndarray,
    ) -> None:
        """One photograph: its objects as ASSR's files have them, rank values by protocol, masks."""
        split, image_id = photograph.split, photograph.image_id
        for protocol, folder in self.names.items():
            files = layout.image_files(self._partial, split, image_id, folder)
            ranks = [round(float(value), 1) for value in values[protocol]]
            write_json(files["ranks"], {"rank_order": ranks}, indent=None)
            write_png(files["grey"], paint(masks, levels_of(values[protocol])))
        self._place(photograph.path, files["image"])
        self._entries.setdefault(split, []).append({"img": image_id, "object_data": objects})

    def write_report(self, report: dict, sheet: np.ndarray) -> None:
        """Puts what is known of the set beside its lists, and a page u8[h, w, 3] of examples."""
        write_json(self._partial / "ranks_from_fixations.json", report)
        write_png(self._partial / "ranks_from_fixations.png", sheet)

    def _place(self, source: pathlib.Path, target: pathlib.Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(source) as image:
            is_jpeg = image.format == "JPEG"
        if not is_jpeg:
            upright = Image.fromarray(decode_image(source.read_bytes()))
            upright.save(target, "JPEG", quality=95, subsampling=0)
            self.converted += 1
        elif self.copy:
            shutil.copyfile(source, target)
        else:
            target.symlink_to(source.resolve())

    def _write_lists(self) -> None:
        for split, entries in self._entries.items():
            ids = "".join(f"{entry['img']}\n" for entry in entries)
            write_whole(layout.split_list(self._partial, split), ids)
            write_json(layout.annotations(self._partial, split), entries, indent=None)
