"""How the processes of a run find each other."""

import os

import pytest

from sor_jax.distributed import cluster
from tests.distributed.test_hosts import free_port, start
from tests.processes import ended, finish


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({}, False),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "3"}, True),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, True),
    ],
)
def test_clusters_are_recognised(monkeypatch, environment, expected):
    for name in ("SLURM_NTASKS", "SLURM_PROCID", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cluster.is_cluster() == expected


def by_variables(index):
    return {"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(index)}


def by_slurm(index):
    # jax makes the port of the job's number, between 61440 and 65535.
    job = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost"}
    return job | {"SLURM_NTASKS": "2", "SLURM_PROCID": str(index), "SLURM_LOCALID": "0"}


_JOINS = """
from sor_jax.distributed import cluster
joined = cluster.join()
import jax
print("joined", joined, jax.process_index(), jax.process_count(), jax.device_count())
"""


@pytest.mark.parametrize("environment", [by_variables, by_slurm])
def test_processes_find_each_other_by_their_environment(environment):
    address = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}"}
    shared = address if environment is by_variables else {}
    runs = [start(["-c", _JOINS], devices=1, **shared, **environment(index)) for index in range(2)]
    with ended(*runs):
        outputs = [finish(run, seconds=100) for run in runs]
    for index, (code, output) in enumerate(outputs):
        assert code == 0 and f"joined True {index} 2 2" in output, output


@pytest.mark.parametrize("chips, has_libtpu", [(True, True), (True, False), (False, True)])
def test_a_tpu_host_is_recognised_by_its_chips_and_its_library(monkeypatch, chips, has_libtpu):
    for name in ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cluster.glob, "glob", lambda pattern: ["/dev/accel0"] * chips)
    found = object() if has_libtpu else None
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: found)
    assert cluster.is_cluster() == (chips and has_libtpu)


def test_half_of_the_flags_is_an_error(monkeypatch):
    with pytest.raises(ValueError, match="JAX_NUM_PROCESSES, JAX_PROCESS_ID .*--coordin"):
        cluster.join("10.0.0.1:99")
    monkeypatch.setenv("JAX_PROCESS_ID", "1")
    with pytest.raises(ValueError, match="JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES"):
        cluster.join()
