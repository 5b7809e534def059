"""Makes a ranked data set from where people looked.

    python data/rank_from_fixations.py --objects FOLDER --fixations FILE --protocol first --out NEW

docs/your_data.md goes through it with an example; the protocols are defined below.
"""

import argparse
import pathlib
import sys

import numpy as np
from pycocotools import mask as coco_mask

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import sor_jax
from sor_jax.commands import plain_errors
from sor_jax.datasets.fixations import protocols, report
from sor_jax.datasets.fixations.photographs import (
    Detect,
    Photograph,
    deal,
    holds_objects,
    of_folder,
    of_objects,
)
from sor_jax.datasets.fixations.ranked_set import RankedSet
from sor_jax.datasets.fixations.ranking import Inputs, rank_photographs
from sor_jax.datasets.fixations.sources import DensitySource, FixationSource
from sor_jax.datasets.masks import rle_as_json
from sor_jax.decode.paste import PhotoDetections, paste_crop
from sor_jax.photograph import read_photograph

_SAME = 0.5  # IoU of two masks of one thing


def main():
    """Reads, ranks, writes, reports."""
    args = _parser().parse_args()
    names = list(dict.fromkeys(args.protocol))
    with plain_errors(debug=args.debug), RankedSet(args.out, names, copy=args.copy) as target:
        made = rank_photographs(
            _inputs(args), target, protocols=names, halvings=args.halvings, seed=args.seed
        )
    print(report.text(made))
    if target.converted:
        print(f"\n{target.converted} photographs were no JPEG and were written as JPEG, quality 95")
    print(
        f"\nwritten to {args.out}; the numbers above are in ranks_from_fixations.json there, and "
        "twelve photographs to look at in ranks_from_fixations.png"
    )


def _inputs(args) -> Inputs:
    if args.fixations is None and args.density is None:
        raise ValueError("neither --fixations nor --density is given; at least one is needed")
    photographs, detect = _photographs(args)
    if args.shares is not None:
        photographs = deal(photographs, tuple(args.shares), args.seed)
    return Inputs(
        photographs=photographs,
        fixations=args.fixations and FixationSource(args.fixations),
        density=args.density and DensitySource(args.density),
        detect=detect,
        margin=_pixels(args.margin, args.pixels_per_degree),
        by_number=args.match == "number",
    )


def _photographs(args) -> tuple[list[Photograph], Detect | None]:
    """The photographs, and what finds their objects where --objects is a model."""
    folder = pathlib.Path(args.objects).expanduser()
    if holds_objects(folder):
        return of_objects(folder, args.images), None
    try:
        ranker = sor_jax.load(
            args.objects, threshold=args.threshold, batch_size=1, needs_ranks=False
        )
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--objects {args.objects} holds no objects in ASSR layout (data/assr/README.md) or in "
            f"COCO JSON (data/coco/README.md), and as a model it cannot be used: {error}"
        ) from error
    if args.images is None:
        raise ValueError(f"--objects {args.objects} is a model: give the photographs as --images")

    def detect(photograph: Photograph) -> list[dict]:
        (found,) = ranker.find([read_photograph(photograph.path)])
        return _as_objects(found)

    return of_folder(args.images), detect


def _as_objects(found: PhotoDetections) -> list[dict]:
    """Detections as ASSR's files have objects, each in the box of its mask, if it has a pixel.

    Of two whose masks overlap by an IoU above _SAME the one of higher score is taken: a model may
    find a thing twice, in boxes that differ.
    """
    objects, taken = [], []
    for prob, box in zip(found.mask_prob, found.xyxy, strict=True):
        crop = paste_crop(prob, box, found.photo_hw)
        rows, columns = (np.flatnonzero(crop.pixels.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        encoded = crop.encode(found.photo_hw)
        if taken and coco_mask.iou([encoded], taken, [0] * len(taken)).max() > _SAME:
            continue
        taken.append(encoded)
        start = [crop.left + columns[0], crop.top + rows[0]]
        end = [crop.left + columns[-1] + 1, crop.top + rows[-1] + 1]
        objects.append(
            {"bbox": [int(v) for v in (*start, *end)], "segmentation": rle_as_json(encoded)}
        )
    return objects


def _pixels(margin: str, pixels_per_degree: float | None) -> float:
    """A margin "20", "20px" or "1deg" in pixels."""
    text = margin.strip().lower()
    in_degrees = text.endswith("deg")
    try:
        number = float(text.removesuffix("deg").removesuffix("px"))
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(f"--margin is {margin!r}; expected pixels (20) or degrees (1deg)")
    if not in_degrees:
        return number
    if pixels_per_degree is None or not pixels_per_degree > 0:
        raise ValueError(
            f"--margin {margin} needs --pixels_per_degree: how many pixels of the photograph one "
            "degree of the visual field spans"
        )
    return number * pixels_per_degree


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__ + "\n" + protocols.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, path = parser.add_argument, pathlib.Path
    add(
        "--objects",
        required=True,
        help="a folder in ASSR layout or with COCO JSON, ranks are not needed; or a model that "
        "finds the objects of --images: a shipped one's name, a workdir, a folder of weights",
    )
    add(
        "--threshold",
        type=float,
        help="of a model: the probability above which a region is an object; its own by default",
    )
    add("--images", type=path, help="the photographs, where --objects does not hold them")
    add(
        "--fixations",
        type=path,
        help="scanpaths or points in .json, a table in .csv (image, x, y, person, t, duration), "
        "or a folder of SALICON's .mat files or of fixation maps",
    )
    add("--density", type=path, help="a folder of smoothed maps of fixations, one a photograph")
    add(
        "--protocol",
        nargs="+",
        choices=protocols.NAMES,
        required=True,
        help="how ranks come about; of further ones the ranks go to rank_order_NAME and gt_NAME",
    )
    add("--out", type=path, required=True, help="the new folder in ASSR layout")
    add(
        "--margin",
        default="0",
        help="a fixation off every object goes to the nearest within this many pixels, or degrees "
        "(1deg); 0 by default",
    )
    add("--pixels_per_degree", type=float, help="of the photographs as people saw them")
    add(
        "--match",
        choices=("name", "number"),
        default="name",
        help="photographs and fixations belong together by the whole name, or by its last number",
    )
    add(
        "--shares",
        type=int,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        help="deals the photographs anew at random to train, val and test, e.g. 80 10 10",
    )
    add("--copy", action="store_true", help="copies the photographs; they are linked otherwise")
    add("--halvings", type=int, default=20, help="random halvings of the people; 20 by default")
    add("--seed", type=int, default=0, help="of the halvings and of --shares")
    add("--debug", action="store_true", help="shows the traceback of every error")
    return parser


if __name__ == "__main__":
    main()
