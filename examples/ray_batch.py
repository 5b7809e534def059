"""Ranks folders of photographs on a Ray cluster; a worker that dies costs its batch, no more.

    pip install "ray[data]"
    python examples/ray_batch.py PHOTOGRAPHS --out RESULTS [--workers 4] [--model lite0]

Each worker loads the model once. RESULTS gets the pictures and JSON of `sor-jax rank`, in the
folders' shape, and rankings.jsonl: a line a photograph, an "error" in place of the objects where
one could not be read. What is there already is not done again. On several machines PHOTOGRAPHS and
RESULTS must be folders that all of them see. Without Ray, job arrays do the same:
`sor-jax rank PHOTOGRAPHS --out RESULTS --shard 3/16`.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

from sor_jax import batch, pretrained
from sor_jax.files import write_whole
from sor_jax.jobs import Job, find_jobs

KINDS = ("picture", "json")


class Worker:
    """Ranks batches of photographs, which Ray gives and takes as {column: array}.

    Args:
      model: as of sor_jax.load.
    """

    def __init__(self, model: str):
        import sor_jax

        self.ranker = sor_jax.load(model)

    def __call__(self, rows: dict) -> dict:
        """{"source", "stem"} -> {"source", "line"}, a line of JSON; the files are written."""
        pairs = zip(rows["source"], rows["stem"], strict=True)
        lines = [self.rank(Job(pathlib.Path(p), pathlib.Path(stem))) for p, stem in pairs]
        return {"source": rows["source"], "line": np.array(lines, object)}

    def rank(self, job: Job) -> str:
        """The line of one photograph."""
        path = job.path("json")
        if job.is_done(KINDS, None):
            facts = json.loads(path.read_text())
        else:
            try:
                ranking = self.ranker(job.source)
            except (OSError, ValueError) as error:
                return json.dumps({"photograph": str(job.source), "error": str(error)})
            batch.save(ranking, job, KINDS, None)
            facts = ranking.to_dict()
        facts.pop("coco", None)
        return json.dumps(facts)


def rank(jobs: list[Job], model: str, *, workers: int, worker=Worker) -> list[str]:
    """The lines of all photographs, in the order of their paths."""
    import ray.data

    rows = [{"source": str(job.source), "stem": str(job.stem)} for job in jobs]
    results = (
        ray.data.from_items(rows)
        .repartition(max(len(rows) // 8, 1))  # what is done again when a worker dies
        .map_batches(
            worker,
            batch_size=8,
            fn_constructor_args=(model,),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
        )
    )
    return [row["line"] for row in sorted(results.take_all(), key=lambda row: row["source"])]


def main() -> int:
    """Reads the command line; 1 where a photograph could not be ranked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--model", default=pretrained.DEFAULT)
    parser.add_argument("--workers", type=int, default=2, help="leave Ray a CPU beside them [2]")
    arguments = parser.parse_args()
    jobs = find_jobs(arguments.photographs, out=pathlib.Path(arguments.out).absolute())
    jobs = [Job(job.source.absolute(), job.stem) for job in jobs]
    model = arguments.model
    if model not in pretrained.names():
        model = str(pathlib.Path(model).absolute())  # workers run in another folder
    lines = rank(jobs, model, workers=arguments.workers)
    write_whole(pathlib.Path(arguments.out) / "rankings.jsonl", "\n".join(lines) + "\n")
    failed = sum('"error"' in line for line in lines)
    print(f"{len(lines) - failed} ranked, {failed} could not be ranked")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
