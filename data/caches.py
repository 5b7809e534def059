"""Lists prepared records and removes those that nothing uses any more.

    python data/caches.py [--cache_dir DIR] [--remove]

Records are used while a folder has the content that they were made from. All can be made again.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from sor_jax.commands import plain_errors
from sor_jax.datasets.caches import caches, remove


def main():
    """One line for each, with its size and who uses it; the sum of what nothing uses."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache_dir", help="where the records are (default ~/.cache/sor_jax)")
    parser.add_argument("--remove", action="store_true", help="delete those that nothing uses")
    args = parser.parse_args()
    unused = 0
    with plain_errors():
        for cache in caches(args.cache_dir):
            state = f"unused: {cache.why_not}" if cache.why_not else ", ".join(cache.used_by)
            print(f"{cache.num_bytes / 1e6:9.1f} MB  {cache.path}  ({state})")
            if cache.why_not:
                unused += cache.num_bytes
                if args.remove:
                    remove(cache)
    done = "were removed" if args.remove else "are used by nothing; --remove deletes them"
    print(f"{unused / 1e6:9.1f} MB {done}")


if __name__ == "__main__":
    main()
