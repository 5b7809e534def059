"""Photographs and fixations in, a ranked set out: the one loop over the photographs."""

import collections
import dataclasses

import numpy as np
import tqdm
from pycocotools import mask as coco_mask

from sor_jax.datasets.checks import BOX_FORMATS, check_most_usable, check_objects
from sor_jax.datasets.fixations.agreement import Agreement
from sor_jax.datasets.fixations.objects import NONE, objects_looked_at, outside, own_pixels
from sor_jax.datasets.fixations.photographs import Detect, Photograph
from sor_jax.datasets.fixations.protocols import NAMES, Evidence, density_on, rank_values, why_not
from sor_jax.datasets.fixations.ranked_set import RankedSet
from sor_jax.datasets.fixations.sheet import Sheet
from sor_jax.datasets.fixations.sources import DensitySource, FixationSource, match
from sor_jax.datasets.masks import decode_masks


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What ranks are made of.

    Attributes:
      photographs: each with its objects, or with None where `detect` finds them.
      fixations, density: at least one of them.
      detect: finds the objects of a photograph.
      margin: pixels, see `objects_looked_at`.
      by_number: whether files are matched by the last number in their names, see `sources.match`.
    """

    photographs: list[Photograph]
    fixations: FixationSource | None = None
    density: DensitySource | None = None
    detect: Detect | None = None
    margin: float = 0.0
    by_number: bool = False

    def matched(self) -> tuple[list[tuple[Photograph, dict[str, str]]], dict[str, dict[str, int]]]:
        """The photographs that have all, with their ids in the sources.

        And by source how many photographs it lacks, and how many it has that are not wanted.
        Raises ValueError where no photograph has all.
        """
        both = {"fixations": self.fixations, "density": self.density}
        sources = {name: source for name, source in both.items() if source is not None}
        wanted = [photograph.image_id for photograph in self.photographs]
        found = {
            name: match(wanted, source.ids(), by_number=self.by_number)
            for name, source in sources.items()
        }
        used = [
            (photograph, {name: ids[photograph.image_id] for name, ids in found.items()})
            for photograph in self.photographs
            if all(photograph.image_id in ids for ids in found.values())
        ]
        unmet = {
            name: {
                "lacking": len(wanted) - len(found[name]),
                "unwanted": len(source.ids() - set(found[name].values())),
            }
            for name, source in sources.items()
        }
        if not used:
            examples = {name: sorted(source.ids())[:2] for name, source in sources.items()}
            raise ValueError(
                f"no photograph has {' and '.join(sources)}: photographs are named "
                f"{', '.join(wanted[:2])}, the others "
                + "; ".join(f"{name} {', '.join(ids)}" for name, ids in examples.items())
                + "; --match number goes by the last number in the names"
            )
        return used, unmet


def rank_photographs(
    inputs: Inputs, target: RankedSet, *, protocols: list[str], halvings: int, seed: int
) -> dict:
    """Adds every photograph to the set and returns the report that is written beside it.

    Args:
      inputs: see Inputs.
      target: the set, entered.
      protocols: whose ranks the set holds; all others that the input serves are compared.
      halvings: of the people, see `Agreement`.
      seed: of the halvings.

    Raises ValueError with file and field for an input that is damaged or does not serve a protocol.
    """
    used, unmet = inputs.matched()
    agreement = Agreement(halvings=halvings, seed=seed)
    tally: collections.Counter[str] = collections.Counter()
    unusable = []
    sheet = Sheet(len(used), seed=seed)
    for number, (photograph, ids) in enumerate(
        tqdm.tqdm(used, unit=" images", disable=None, leave=False)
    ):
        photo_hw = photograph.photo_hw()
        objects, encoded, why = _objects(photograph, photo_hw, inputs.detect)
        unusable += why
        masks = decode_masks(encoded, photo_hw)
        evidence = _evidence(inputs, ids, photo_hw, masks, tally)
        values = _values(evidence, protocols, photograph)
        target.add(photograph, objects, {name: values[name] for name in protocols}, masks)
        iou = coco_mask.iou(encoded, encoded, [0] * len(encoded)) if encoded else np.zeros((0, 0))
        agreement.add(evidence, values, masks, iou)
        if number in sheet.chosen:
            encoded = photograph.path.read_bytes()
            sheet.add(encoded, masks, values[protocols[0]], evidence.looks)
        ranked = int((values[protocols[0]] > 0.5).sum())
        tally.update(photographs=1, objects=len(objects), ranked=ranked)
        tally.update({"without_rank": not ranked, "two_or_more": ranked >= 2})
    check_most_usable(unusable, tally["objects"])
    _check_coordinates(tally, inputs)
    report = {
        "protocols": protocols,
        "margin": inputs.margin,
        "halvings": halvings,
        "seed": seed,
        "counts": {name: int(number) for name, number in tally.items()},
        "unmet": unmet,
        "unusable_objects": unusable,
        "people": agreement.of_people(),
        "between_protocols": agreement.of_protocols(),
    }
    target.write_report(report, sheet.page())
    return report


def _objects(photograph: Photograph, photo_hw, detect: Detect | None):
    """(objects as ASSR's files have them, RLEs, what is wrong with those left out)."""
    objects = photograph.objects
    where = f"{photograph.source}, record {photograph.image_id}"
    if objects is None:
        if detect is None:
            raise ValueError(f"{where}: no objects, and nothing to find them with")
        objects, where = detect(photograph), f"detected in {photograph.path}"
    try:
        if not isinstance(objects, list):
            raise ValueError("object_data is no list")
        read = BOX_FORMATS[photograph.box_format]
        checked = check_objects(
            objects, [0.0] * len(objects), photo_hw=photo_hw, box_format=photograph.box_format
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    kept = []
    for one in (objects[index] for index in checked.kept):
        box = read(np.asarray(one["bbox"]), photo_hw).tolist()
        kept.append({"bbox": box, "segmentation": one["segmentation"]})
    return kept, checked.masks, [f"{where}: {why}" for why in checked.unusable]


def _evidence(inputs: Inputs, ids: dict[str, str], photo_hw, masks, tally) -> Evidence:
    owner = own_pixels(masks)
    area = np.count_nonzero(masks, axis=(1, 2))
    known = {"area": area}
    if inputs.fixations is not None:
        looks = inputs.fixations.of(ids["fixations"], photo_hw)
        on_own = objects_looked_at(looks, owner)
        on = objects_looked_at(looks, owner, margin=inputs.margin) if inputs.margin else on_own
        seen = np.bincount(on_own[on_own != NONE], minlength=len(area)) > 0
        known |= {"looks": looks, "on": on, "seen": seen}
        tally.update(
            fixations=len(looks.xy),
            on_objects=int((on != NONE).sum()),
            moved=int(((on != NONE) & (on_own == NONE)).sum()),
            outside=outside(looks, photo_hw),
            people=looks.num_people,
        )
    if inputs.density is not None:
        density = inputs.density.of(ids["density"], photo_hw)
        known["peak"], known["mean"] = density_on(density, owner, len(area))
    return Evidence(**known)


def _values(evidence: Evidence, protocols: list[str], photograph: Photograph) -> dict:
    """Rank values of the protocols asked for, and of the others that the input serves."""
    for protocol in protocols:
        lacking = why_not(protocol, evidence)
        if lacking:
            raise ValueError(
                f"{photograph.image_id}: --protocol {protocol} needs {lacking}; what is here "
                "serves " + ", ".join(n for n in NAMES if why_not(n, evidence) is None)
            )
    served = [name for name in NAMES if why_not(name, evidence) is None]
    return {name: rank_values(name, evidence) for name in served}


def _check_coordinates(tally: collections.Counter, inputs: Inputs) -> None:
    if inputs.fixations is not None and 2 * tally["outside"] > tally["fixations"]:
        raise ValueError(
            f"{inputs.fixations.path}: {tally['outside']} of {tally['fixations']} fixations lie "
            "outside their photographs; x y in pixels of the photograph are expected, from its "
            "upper left corner"
        )
