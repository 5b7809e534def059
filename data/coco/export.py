"""Writes a split of any data set as COCO JSON: `python data/coco/export.py --root FOLDER --out F`.

The photographs stay where they are; "file_name" is a record's id with .jpg behind it.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from sor_jax.commands import plain_errors
from sor_jax.datasets.coco.export import to_coco
from sor_jax.datasets.prepare import progress
from sor_jax.datasets.source import NAMES, open_source
from sor_jax.files import write_json


def main():
    """Reads the split, writes one file, says what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="assr", choices=NAMES, help="the data set's format")
    parser.add_argument("--root", help="its folder")
    parser.add_argument("--split", default="train")
    parser.add_argument("--rank_field", default="rank_order", help="as config.data.rank_field")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the JSON file to write")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with plain_errors(debug=args.debug):
        source = open_source(
            args.name,
            root=args.root,
            split=args.split,
            cache_dir=None,
            canvas_hw=(480, 640),
            rank_field=args.rank_field,
        )
        records = (source[index] for index in range(len(source)))
        content = to_coco(progress(records, total=len(source), what=args.split))
        write_json(args.out, content, indent=None)
    ranked = sum(entry["rank"] is not None for entry in content["annotations"])
    print(
        f"{len(content['images'])} photographs, {len(content['annotations'])} objects, {ranked} "
        f"with a rank, in {args.out}"
    )


if __name__ == "__main__":
    main()
