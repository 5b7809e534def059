"""Makes a trained model part of the package: sor_jax/pretrained/NAME.

    python -m experiments.ship RUN NAME --facts FACTS.json [--check FOLDER_OF_PHOTOGRAPHS] \\
        [--set model.proposals.test.class_threshold=0.3]

RUN is a workdir (its best checkpoint, the mean of the weights where it keeps one) or one checkpoint
in it. FACTS.json is what a person should know, a text or a list of texts each:

    summary      what it is, in one line
    trained_on   data sets and their sizes
    command      what trained it
    scores       measured, with intervals and the number of images
    bad_at       what it does wrong
    licence      of the weights

--set changes a field of the run's config, such as a threshold that was chosen after the training.
With --check every photograph of a folder is ranked in float32 and in the float16 that is shipped,
and the card says on how many the ranks or masks differ. Weights are committed once for each
version: each stays in the history for good. tests/door/test_ship.py looks at
what is shipped.
"""

import argparse
import json
import pathlib
import shutil
import sys

from sor_jax import commands, platform, pretrained
from sor_jax.config import flatten

MOST_BYTES = 17_000_000
_OF_THIS_MACHINE = {"init_from": "", "data.root": "", "data.cache_dir": "", "data.mixture": ()}
FACTS = ("summary", "trained_on", "command", "scores", "bad_at", "licence")


def main(argv=None) -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="experiments.ship", description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("name")
    parser.add_argument("--facts", required=True, help="a JSON file, see experiments/ship.py")
    parser.add_argument("--check", help="a folder of photographs to rank in both precisions")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
    arguments = parser.parse_args(argv)
    platform.configure()
    with commands.plain_errors():
        facts = read_facts(arguments.facts)
        folder = ship(
            arguments.run, arguments.name, facts, check=arguments.check, changes=arguments.set
        )
        print(f"{folder} is ready to be committed")


def read_facts(path) -> dict:
    """What FACTS.json says; nothing may be missing."""
    path = pathlib.Path(path)
    try:
        facts = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if missing := [key for key in FACTS if not facts.get(key)]:
        raise ValueError(f"{path} lacks {', '.join(missing)}: a model is shipped with all of them")
    return {key: facts[key] for key in FACTS}


def ship(
    run, name: str, facts: dict, *, check=None, changes=(), root=pretrained.HERE
) -> pathlib.Path:
    """Writes root/NAME, in place of one that is there; returns it."""
    from sor_jax.checkpoints.exported import write_exported
    from sor_jax.checkpoints.model import read_trained

    variables, config = read_trained(run)
    for change in changes:
        _set(config, *change.split("=", 1))
    folder, made = root / name, root / f".{name}.part"
    shutil.rmtree(made, ignore_errors=True)
    try:
        fields, card = flatten(config.to_dict()) | _OF_THIS_MACHINE, {"name": name, **facts}
        write_exported(made, variables, fields, card)
        if check is not None:
            card["float16"] = compare(variables, config, made, check)
            print(card["float16"])
            write_exported(made, variables, fields, card)
        size = sum(path.stat().st_size for path in made.iterdir())
        if size > MOST_BYTES:
            raise ValueError(f"{name} takes {size:,} bytes; at most {MOST_BYTES:,} are shipped")
        shutil.rmtree(folder, ignore_errors=True)
        made.replace(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _set(config, field: str, value: str = "") -> None:
    found = flatten(config.to_dict())
    if field not in found:
        raise ValueError(f"--set {field}={value}: the config has no such field")
    config.update_from_flattened_dict({field: type(found[field])(value)})


def compare(variables, config, folder, photographs) -> str:
    """On how many photographs of a folder float16 changes what is said, in words."""
    import numpy as np
    import tqdm

    from sor_jax.jobs import find_jobs
    from sor_jax.ranker import Ranker, load

    full, half = Ranker(variables, config), load(folder)
    jobs = find_jobs([photographs])
    ranks, pixels, worst = 0, 0, 0.0
    for job in tqdm.tqdm(jobs, unit=" photographs", disable=None):
        one, other = full(job.source), half(job.source)
        same = one.ranks == other.ranks and all(
            _overlap(a.mask, b.mask) > 0.5 for a, b in zip(one, other, strict=True)
        )
        ranks += not same
        pixels += not np.array_equal(one.rank_map(), other.rank_map())
        if same:
            worst = max([worst, *(_differ(a, b) for a, b in zip(one, other, strict=True))])
    return (
        f"of {len(jobs)} photographs float16 changes the objects or their ranks on {ranks}, a "
        f"pixel of the rank map on {pixels}; rank probabilities differ by at most {worst:.4f} "
        "on the others"
    )


def _overlap(a, b) -> float:
    return (a & b).sum() / max((a | b).sum(), 1)


def _differ(a, b) -> float:
    pairs = zip(a.rank_probabilities, b.rank_probabilities, strict=True)
    return max(abs(p - q) for p, q in pairs)


if __name__ == "__main__":
    sys.exit(main())
