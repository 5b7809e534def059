"""Checks and prepares a folder in ASSR layout: `python data/assr/prepare.py --root FOLDER`."""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from sor_jax.commands import plain_errors, print_error
from sor_jax.datasets.assr import builder, layout
from sor_jax.datasets.source import RecordSource


def main():
    """Prepares every split, says how many photographs each holds and where the records are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="the folder in ASSR layout (only read)")
    parser.add_argument("--cache_dir", help="where the records go (default ~/.cache/sor_jax)")
    parser.add_argument(
        "--on_error",
        choices=("raise", "skip"),
        default="raise",
        help="skip leaves damaged ones out",
    )
    parser.add_argument("--rank_field", default=layout.RANKS, help="the folder of the ranks")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    options = {"on_error": args.on_error, "rank_field": args.rank_field}
    failed = False
    with plain_errors(debug=args.debug):
        root = layout.require(args.root, None, args.rank_field)
    for split in layout.splits(root):
        try:
            prepared = builder(root, split, cache_dir=args.cache_dir, **options)
        except (ValueError, OSError) as error:
            if args.debug:
                raise
            print_error(error)
            failed = True
            continue
        source = RecordSource(prepared.data_dir, split)
        for reason in source.left_out:
            print(f"left out: {reason}", file=sys.stderr)
        print(f"{split:6s} {len(source):6d} photographs, records in {prepared.data_dir}")
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
