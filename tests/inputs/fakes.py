"""Records that are made up, in a source that worker processes can import."""

import numpy as np

from sor_jax.datasets.record import Record
from tests.pictures import encode


def made_up_record(
    index=0, *, hw=(24, 32), boxes=((2, 3, 12, 20), (15, 4, 30, 22)), values=None, polygons=None
):
    """Noise whose pixel (0, 0) is `index`, with rectangles for objects, as RLEs by default."""
    values = (1.0, 0.9, 0.8, 0.7, 0.6, 0.0)[: len(boxes)] if values is None else values
    image = np.random.default_rng(index).integers(0, 256, (*hw, 3), np.uint8)
    image[0, 0] = index
    masks = np.zeros((len(boxes), *hw), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, np.array(boxes, int).reshape(-1, 4), strict=True):
        mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return Record(
        image_id=f"made_up_{index}",
        image=image,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        masks=[encode(mask) for mask in masks],
        polygons=[[]] * len(boxes) if polygons is None else polygons,
        rank_order=np.array(values, np.float32).reshape(-1),
        grey=np.zeros(hw, np.uint8),
    )


class FakeSource:
    """`length` records; those of `unranked` have no ranked object, reading `broken` raises."""

    def __init__(self, length, *, unranked=(), broken=(), hw=(24, 32)):
        self.length, self.unranked, self.broken, self.hw = length, unranked, broken, hw

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if index in self.broken:
            raise ValueError(f"fake.file, record made_up_{index}: broken")
        return made_up_record(index, hw=self.hw, values=self.rank_order(index))

    def rank_order(self, index):
        return np.float32([0, 0.5]) if index in self.unranked else np.float32([0.9, 1])

    def __repr__(self):
        return "fake.file"
