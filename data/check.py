"""Looks through a data set before anybody trains on it: `python data/check.py FOLDER`.

It reads every record of every split, tells what cannot be used and what looks like a mistake, and
draws the twelve most suspicious records. Exit status 1 where a record is damaged or a photograph
is in two splits.
"""

import argparse
import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np
import tqdm
from absl import logging
from PIL import Image, ImageDraw

from sor_jax.commands import plain_errors
from sor_jax.datasets import coco
from sor_jax.datasets.assr import layout
from sor_jax.datasets.audit import Facts, copies, look_at
from sor_jax.datasets.irsr import MOST_OBJECTS
from sor_jax.datasets.masks import decode_masks
from sor_jax.datasets.source import FORMATS, GRADED, RecordSource, open_source
from sor_jax.files import write_json, write_png
from sor_jax.metrics.sor import NUM_RANKS
from sor_jax.visualize import INK, PAPER, contact_sheet, label_font, ranked_overlay

SHOWN = 12


def main():
    """Opens the splits, looks at each record, prints the table, draws the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=pathlib.Path, help="folder of any format of data/README.md")
    parser.add_argument("--rank_field", help="as config.data.rank_field [rank_order, of COCO rank]")
    parser.add_argument("--rank_values", default="places", choices=coco.MEANINGS)
    parser.add_argument("--cache_dir", help="where the records go (default ~/.cache/sor_jax)")
    parser.add_argument("--out", type=pathlib.Path, help="folder of check.json and check.png")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with plain_errors(debug=args.debug):
        is_good = check(args)
    sys.exit(0 if is_good else 1)


def check(args) -> bool:
    """Whether nothing is damaged and no photograph is in two splits."""
    logging.set_verbosity(logging.ERROR)  # the table tells what is left out
    sources, left_out = _open(args)
    facts = []
    for split, source in sources.items():
        looks = look_at(source, split)
        facts += tqdm.tqdm(looks, split, len(source), unit=" images", disable=None, leave=False)
    pairs = copies(facts)
    leaks = [(a, b) for a, b in pairs if a.split != b.split]
    _print(facts, left_out, pairs)
    out = args.out or pathlib.Path("results", "check", args.root.resolve().name)
    worst = sorted((one for one in facts if one.suspicions), key=lambda one: -one.weight)[:SHOWN]
    write_json(out / "check.json", _summary(facts, left_out, pairs))
    if worst:
        write_png(out / "check.png", _page(sources, worst))
    print(f"\nin {out}: check.json" + (f", check.png with the {len(worst)} worst" if worst else ""))
    return not leaks and not any(left_out.values())


def _open(args) -> tuple[dict[str, RecordSource], dict[str, list[str]]]:
    """The splits that can be opened, and what is damaged in every one."""
    root = args.root.expanduser()
    here = {name: builder.FOLDER.splits_in(root) for name, builder in FORMATS.items()}
    name, splits = next((each for each in here.items() if each[1]), ("", []))
    of_coco = "rank" if args.rank_field is None else args.rank_field
    rank_field = {"assr": args.rank_field or layout.RANKS, "coco": of_coco}.get(name, "")
    if not splits:
        raise FileNotFoundError(
            f"{root} is in none of the formats of data/README.md: it has no train_images.txt "
            "(ASSR), train.json (COCO), Annotations/train.pkl (IRSR) or "
            "train/train_annotations.json (SIFR), nor those of another split"
        )
    sources, damage = {}, {}
    for split in splits:
        try:
            sources[split] = open_source(
                name,
                root=root,
                split=split,
                cache_dir=args.cache_dir,
                canvas_hw=(480, 640),
                on_error="skip",
                rank_field=rank_field,
                rank_values=args.rank_values,
                num_ranks=MOST_OBJECTS if name in GRADED else NUM_RANKS,
            )
            damage[split] = sources[split].left_out
        except (ValueError, FileNotFoundError) as error:
            damage[split] = [str(error)]
    return sources, damage


def _print(facts, left_out, pairs) -> None:
    print(
        f"{'split':8s}{'images':>8s}{'damaged':>9s}{'objects':>9s}{'ranked':>8s}   images by ranks"
    )
    for split, reasons in left_out.items():
        here = [one for one in facts if one.split == split]
        ranks = collections.Counter(one.ranked for one in here)
        spread = ", ".join(f"{ranks[n]} with {n}" for n in sorted(ranks))
        objects, ranked = sum(one.objects for one in here), sum(one.ranked for one in here)
        print(f"{split:8s}{len(here):8d}{len(reasons):9d}{objects:9d}{ranked:8d}   {spread}")
    for split, reasons in left_out.items():
        for reason in reasons:
            print(f"damaged, {split}: {reason}")
    for a, b in pairs:
        kind = "LEAK" if a.split != b.split else "twice"
        print(f"{kind}: {a.split} {a.image_id} and {b.split} {b.image_id} look the same")
    suspicious = sorted((one for one in facts if one.suspicions), key=lambda one: -one.weight)
    print(f"{len(suspicious)} records are suspicious" + (", the worst:" if suspicious else ""))
    for one in suspicious[:SHOWN]:
        print(f"  {one.split} {one.image_id}: {_sentence(one)}")


def _sentence(facts: Facts) -> str:
    return "; ".join(sentence for _, sentence in sorted(facts.suspicions, reverse=True))


def _summary(facts, left_out, pairs) -> dict:
    return {
        "splits": {
            split: {
                "images": sum(one.split == split for one in facts),
                "objects": sum(one.objects for one in facts if one.split == split),
                "ranked": sum(one.ranked for one in facts if one.split == split),
                "damaged": reasons,
            }
            for split, reasons in left_out.items()
        },
        "look_the_same": [[[a.split, a.image_id], [b.split, b.image_id]] for a, b in pairs],
        "suspicious": {
            f"{one.split}/{one.image_id}": [sentence for _, sentence in one.suspicions]
            for one in facts
            if one.suspicions
        },
    }


def _page(sources, worst: list[Facts]) -> np.ndarray:
    pictures = []
    for one in worst:
        record = sources[one.split][one.index]
        classes = record.rank_class
        masks = decode_masks(record.masks, record.image.shape[:2])
        picture = ranked_overlay(
            record.image, masks, record.num_ranks - classes, num_ranks=record.num_ranks
        )
        draw, scale = ImageDraw.Draw(picture), picture.width / record.image.shape[1]
        for box in record.boxes[classes >= 0]:
            draw.rectangle([float(side) * scale for side in box], outline=INK, width=2)
        framed = Image.new("RGB", (picture.width + 16, picture.height + 56), PAPER)
        framed.paste(picture, (8, 48))
        text = ImageDraw.Draw(framed)
        text.text((8, 4), f"{one.split} {one.image_id}", INK, label_font(17))
        text.text((8, 26), _sentence(one)[:80], INK, label_font(14))
        pictures.append(np.asarray(framed))
    return contact_sheet(pictures, columns=3, scale=0.8)


if __name__ == "__main__":
    main()
