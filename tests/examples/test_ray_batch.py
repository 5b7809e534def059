"""Ranking on a local Ray: the results of one process, a killed worker's part done again.

Needs `pip install "ray[data]"`, which the test requirements leave out for its size.
"""

import json
import os

import numpy as np
import pytest
from PIL import Image

import sor_jax
from examples import ray_batch
from sor_jax.jobs import find_jobs
from tests.door.models import exported, photograph

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "ray[data]"')
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
COUNT = int(os.environ.get("SOR_RAY_PHOTOGRAPHS", "24"))


class WorkerThatDiesOnce(ray_batch.Worker):
    """Its process ends in the middle of a batch, the first time."""

    def rank(self, job):
        if job.source.name == "p5.png":
            marker = job.source.parent / "died"
            if not marker.exists():
                marker.touch()
                os._exit(1)
        return super().rank(job)

    def __init__(self, model):
        from tests import small  # its body is known to the tests alone

        assert small.VOVNETS["tiny"]
        super().__init__(model)


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=4, include_dashboard=False, logging_level="ERROR")
    yield
    ray.shutdown()


def test_a_killed_workers_part_is_done_again_and_all_is_as_of_one_process(cluster, tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed in range(COUNT - 1):
        Image.fromarray(photograph(seed)).save(folder / f"p{seed}.png")
    (folder / "broken.png").write_bytes(b"no image")
    jobs = find_jobs([folder], out=tmp_path / "out")
    lines = ray_batch.rank(jobs, exported(), workers=2, worker=WorkerThatDiesOnce)
    assert (folder / "died").exists()
    assert len(lines) == COUNT
    ranker = sor_jax.load(exported())
    for line, job in zip(lines, sorted(jobs, key=lambda job: str(job.source)), strict=True):
        facts = json.loads(line)
        assert facts["photograph"] == str(job.source)
        if job.source.name == "broken.png":
            assert "broken.png" in facts["error"]
            continue
        expected = ranker(job.source).to_dict()
        assert [thing["rank"] for thing in facts["things"]] == [
            thing["rank"] for thing in expected["things"]
        ]
        for found, thing in zip(facts["things"], expected["things"], strict=True):
            np.testing.assert_allclose(found["box"], thing["box"], atol=0.02)
        assert job.path("picture").is_file()
        assert job.path("json").is_file()
