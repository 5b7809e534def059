"""Checks and prepares a folder in ASSR layout: `python data/assr/prepare.py --root FOLDER`."""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from sor_jax.datasets.assr.builder import builder


def main():
    """Prepares, then says how many photographs each split holds and where the records are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="the folder in ASSR layout (only read)")
    parser.add_argument("--cache_dir", help="where the records go (default ~/.cache/sor_jax)")
    args = parser.parse_args()
    prepared = builder(args.root, cache_dir=args.cache_dir)
    for name, split in prepared.info.splits.items():
        print(f"{name:6s} {split.num_examples:6d} photographs")
    print(f"records in {prepared.data_dir}")


if __name__ == "__main__":
    main()
