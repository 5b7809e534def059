"""The files of an evaluation: numbers, rank maps and a gallery."""

import os
import pathlib
from collections.abc import Callable

import numpy as np

from sor_jax.datasets.masks import fill_boxes
from sor_jax.datasets.record import Record
from sor_jax.files import write_json, write_png
from sor_jax.metrics.scoreboard import Prediction, Truth
from sor_jax.visualize import contact_sheet, panel


class Outputs:
    """What an evaluation leaves behind: numbers, a rank map of each photograph, some pictures.

    Attributes:
      out_dir: the folder for metrics.json, rank_maps/ID.png, gallery/ID.png and gallery.png; None
        writes nothing.
      gallery: how many photographs, from the first on, are drawn.
      show: called with the id and the picture u8[H, W, 3] of each drawn photograph, or None.
    """

    def __init__(
        self,
        out_dir: str | os.PathLike | None = None,
        *,
        gallery: int = 0,
        show: Callable[[str, np.ndarray], None] | None = None,
    ):
        self.out_dir = None if out_dir is None else pathlib.Path(out_dir)
        self.gallery = gallery if out_dir is not None or show is not None else 0
        self.show = show
        self._panels: list[np.ndarray] = []

    def write_rank_map(self, record: Record, prediction: Prediction) -> None:
        """Writes the map of one photograph; threads may call it at once."""
        if self.out_dir is not None:
            path = output_path(self.out_dir / "rank_maps", record.image_id)
            write_png(path, prediction.rank_map())

    def draw(
        self, record: Record, truth: Truth, prediction: Prediction, scores: dict
    ) -> np.ndarray:
        """Draws one photograph with its scores, u8[H, W, 3]; threads may call it at once."""
        picture = picture_of(record, truth, prediction, _note(scores))
        if self.out_dir is not None:
            write_png(output_path(self.out_dir / "gallery", record.image_id), picture)
        return picture

    def keep(self, record: Record, picture: np.ndarray) -> None:
        """Takes the picture of the next photograph that was drawn."""
        self._panels.append(picture)
        if self.show is not None:
            self.show(record.image_id, picture)

    def close(self, metrics: dict) -> None:
        """Writes the numbers, and the drawn photographs on one page."""
        if self.out_dir is None:
            return
        write_metrics(self.out_dir, metrics)
        if self._panels:
            write_png(self.out_dir / "gallery.png", contact_sheet(self._panels))


def output_path(folder: pathlib.Path, image_id: str) -> pathlib.Path:
    """FOLDER/IMAGE_ID.png: an id that names sub-folders keeps them, so no two share a file.

    Raises ValueError for an id that would lead out of the folder.
    """
    parts = image_id.split("/")
    if not all(parts) or {".", ".."} & set(parts):
        raise ValueError(f"image id {image_id!r}: no file of {folder} can be named after it")
    return folder.joinpath(*parts[:-1], parts[-1] + ".png")


def picture_of(record: Record, truth: Truth, prediction: Prediction, note: str) -> np.ndarray:
    """u8[H, W, 3]: photograph, ground truth and prediction side by side."""
    return panel(
        record.image,
        (_masks(truth), truth.num_ranks - truth.rank_class),
        (prediction.masks, prediction.num_ranks - prediction.rank_class),
        notes=(record.image_id, "", note),
        num_ranks=max(truth.num_ranks, prediction.num_ranks),
    )


def _masks(truth: Truth) -> np.ndarray:
    """Those of the objects; an object without one is shown as its box."""
    masks, lacking = truth.masks, ~truth.has_mask
    if not lacking.any():
        return masks
    masks = masks.copy()
    masks[lacking] = fill_boxes(truth.xyxy[lacking], masks.shape[1:])
    return masks


def write_metrics(out_dir: str | os.PathLike, metrics: dict) -> None:
    """Writes metrics.json."""
    write_json(pathlib.Path(out_dir) / "metrics.json", metrics, allow_nan=False)


def _note(scores: dict) -> str:
    note = f"{scores['matched']} of {scores['objects']} matched"
    has_order = scores["matched"] >= 2 and scores["rho"] is not None
    return f"{note}, rho {scores['rho']:.2f}" if has_order else note
