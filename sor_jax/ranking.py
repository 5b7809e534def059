"""What a ranker says of one photograph: plain numpy at the photograph's own size."""

import dataclasses
import io
from collections.abc import Collection, Iterator

import numpy as np
from PIL import Image

from sor_jax.crop import best_window, parse_aspect
from sor_jax.datasets.masks import rle_as_json
from sor_jax.decode.paste import Crop, PhotoDetections, paste_crop
from sor_jax.metrics.sor import NUM_RANKS, rank_map
from sor_jax.visualize import ranked_overlay


@dataclasses.dataclass(frozen=True, eq=False)
class Thing:
    """One object of a photograph.

    Attributes:
      rank: 1 = seen first.
      score: 0..1, how sure the detector is that it is an object; it says nothing of the rank.
      rank_probabilities: K numbers, five of most models, that sum to 1: how probable the model
        finds rank 1, .., K.
      box: x0 y0 x1 y1 in pixels of the photograph; pixel (row i, column j) covers [j, j + 1) x
        [i, i + 1).
      crop: the mask's pixels within the rectangle that holds them.
    """

    rank: int
    score: float
    rank_probabilities: tuple[float, ...]
    box: tuple[float, float, float, float]
    crop: Crop = dataclasses.field(repr=False)
    image: np.ndarray = dataclasses.field(repr=False)

    @property
    def mask(self) -> np.ndarray:
        """bool[H, W] over the whole photograph; made anew each time."""
        mask = np.zeros(self.image.shape[:2], bool)
        self.crop.write_into(mask)
        return mask

    @property
    def share(self) -> float:
        """The mask's share of the photograph, 0..1."""
        height, width = self.image.shape[:2]
        return np.count_nonzero(self.crop.pixels) / (height * width)

    def cutout(self) -> Image.Image:
        """The object on a transparent ground (RGBA), cut to the rectangle of its mask."""
        rows, columns = (np.flatnonzero(self.crop.pixels.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return Image.new("RGBA", (1, 1))
        inside = self.crop.pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        top, left = self.crop.top + rows[0], self.crop.left + columns[0]
        height, width = inside.shape
        colours = self.image[top : top + height, left : left + width]
        opacity = inside[..., None].astype(np.uint8) * 255
        return Image.fromarray(np.concatenate([colours, opacity], axis=2))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Ranking:
    """The objects of one photograph, the one that is seen first in front.

    Attributes:
      image: u8[H, W, 3] RGB, the photograph as its EXIF tag turns it.
      things: at most K, in rising rank.
      name: what the photograph is called, "" for one that came without a name.
      model: the name of the model.
      num_ranks: K, how many ranks the model tells apart.
    """

    image: np.ndarray
    things: tuple[Thing, ...]
    name: str = ""
    model: str = ""
    num_ranks: int = NUM_RANKS

    def __len__(self) -> int:
        return len(self.things)

    def __iter__(self) -> Iterator[Thing]:
        return iter(self.things)

    def __getitem__(self, index: int) -> Thing:
        return self.things[index]

    def only(self, ranks: Collection[int]) -> "Ranking":
        """The same without the objects of other ranks."""
        things = tuple(thing for thing in self.things if thing.rank in ranks)
        return dataclasses.replace(self, things=things)

    @property
    def ranks(self) -> list[int]:
        """The rank of each thing, 1 = seen first."""
        return [thing.rank for thing in self.things]

    @property
    def masks(self) -> np.ndarray:
        """bool[n, H, W]; made anew each time."""
        masks = np.zeros((len(self.things), *self.image.shape[:2]), bool)
        for mask, thing in zip(masks, self.things, strict=True):
            thing.crop.write_into(mask)
        return masks

    def draw(self, *, height: int = 720, tint: bool = True) -> Image.Image:
        """The photograph in pale greys with the objects tinted, outlined and numbered.

        Args:
          tint: False keeps the photograph's colours and only outlines and numbers the objects.
          height: of the picture in pixels; it is at most twice as wide, and never larger than the
            photograph, but for one under 360 pixels, which is drawn 360 high.
        """
        height = min(height, max(self.image.shape[0], 360))
        return ranked_overlay(
            self.image, self.masks, self.ranks, height=height, tint=tint, num_ranks=self.num_ranks
        )

    def rank_map(self) -> np.ndarray:
        """u8[H, W]: 255 229 204 178 153 where the objects of ranks 1..5 are, 0 elsewhere.

        The field's format; of K ranks the greys are int(255 * (1 - (rank - 1) / 2K)). Where objects
        overlap the smaller is on top.
        """
        classes = self.num_ranks - np.array(self.ranks, int)
        return rank_map(self.masks, classes, self.num_ranks)

    def crop_box(self, aspect: str | float | tuple[float, float]) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1), whole pixels, of what `crop` keeps."""
        hw = self.image.shape[:2]
        aspect = parse_aspect(aspect)
        return best_window(self.masks, self.ranks, aspect, hw, num_ranks=self.num_ranks)

    def crop(self, aspect: str | float | tuple[float, float]) -> Image.Image:
        """The largest window of an aspect that keeps the most of what people look at.

        It is as wide or as high as the photograph and is moved along the other side. An object of
        rank r of K weighs K + 1 - r, spread evenly over its mask, however large it is. The first
        object is wholly inside wherever it fits; then as much weight as possible is; then the
        middle of the window is as near as can be to the weight's centre. Without objects it is the
        middle.

        Args:
          aspect: width and height: "4:5", (4, 5) or 0.8.
        """
        x0, y0, x1, y1 = self.crop_box(aspect)
        return Image.fromarray(np.ascontiguousarray(self.image[y0:y1, x0:x1]))

    def to_dict(self) -> dict:
        """All of it that is no picture, in plain types: what `--json` prints.

        Boxes are x0 y0 x1 y1 in pixels of the photograph, `share` is the mask's of the photograph.
        """
        height, width = self.image.shape[:2]
        things = [
            {
                "rank": thing.rank,
                "score": round(thing.score, 4),
                "rank_probabilities": [round(p, 4) for p in thing.rank_probabilities],
                "box": [round(side, 2) for side in thing.box],
                "share": round(thing.share, 5),
            }
            for thing in self.things
        ]
        facts = {"photograph": self.name, "width": width, "height": height, "model": self.model}
        return facts | {"things": things}

    def to_coco(self, *, image_id: int | str | None = None) -> list[dict]:
        """Results in COCO's format, one an object, with `rank` and `rank_probabilities` beside.

        Args:
          image_id: of the photograph; its name where it is None.
        """
        hw, results = self.image.shape[:2], []
        for thing in self.things:
            encoded = thing.crop.encode(hw)
            x0, y0, x1, y1 = thing.box
            results.append(
                {
                    "image_id": self.name if image_id is None else image_id,
                    "category_id": 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": thing.score,
                    "segmentation": rle_as_json(encoded),
                    "area": int(np.count_nonzero(thing.crop.pixels)),
                    "rank": thing.rank,
                    "rank_probabilities": list(thing.rank_probabilities),
                }
            )
        return results

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        count = f"{len(self)} object{'' if len(self) == 1 else 's'}"
        lines = [f"{self.name or 'photograph'}, {width}x{height}: {count}"]
        if self.things:
            ranks = f"how probable is rank 1 .. {self.num_ranks}"
            lines.append(f"rank  score  share  box (x0 y0 x1 y1)     {ranks}")
        for thing in self.things:
            box = " ".join(f"{side:4.0f}" for side in thing.box)
            probable = " ".join(f"{100 * p:3.0f}%" for p in thing.rank_probabilities)
            lines.append(
                f"{thing.rank:4}  {thing.score:5.2f}  {100 * thing.share:4.1f}%  {box:<20}  "
                f"{probable}"
            )
        return "\n".join(lines)

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.draw().save(file, "PNG")
        return file.getvalue()


def ranking_of(
    found: PhotoDetections, image: np.ndarray, *, top: int, name: str, model: str
) -> Ranking:
    """The first `top` ranked ones of a photograph's detections; the masks are drawn here."""
    things, num_ranks = [], found.rank_prob.shape[-1]
    for index in np.argsort(-found.rank_class, kind="stable"):
        rank = num_ranks - int(found.rank_class[index])
        if not 1 <= rank <= top:
            continue
        x0, y0, x1, y1 = found.xyxy[index]
        thing = Thing(
            rank=rank,
            score=float(found.score[index]),
            rank_probabilities=tuple(float(p) for p in found.rank_prob[index][::-1]),
            box=(float(x0), float(y0), float(x1), float(y1)),
            crop=paste_crop(found.mask_prob[index], found.xyxy[index], found.photo_hw),
            image=image,
        )
        things.append(thing)
    return Ranking(image, tuple(things), name=name, model=model, num_ranks=num_ranks)
