import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import optax
import pytest

from sor_jax.checkpoints.checkpoint import Checkpoints
from sor_jax.checkpoints.saved import find_checkpoint
from sor_jax.distributed.sharding import make_mesh, replicated
from sor_jax.train.optimizer import make_optimizer
from sor_jax.train.state import create_state
from tests.train import toy


class Position:
    def __init__(self, state=None):
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = state


def make_state(seed=0, name="sgd", devices=4):
    optimizer = make_optimizer(name, optax.constant_schedule(0.1))
    key = jax.random.key(seed)
    mesh = make_mesh(jax.devices()[:devices])
    state = create_state(toy.init(key), optimizer, key)
    noisy = jax.tree.map(lambda leaf: (leaf + 1.5).astype(leaf.dtype), state.opt_state)
    return jax.device_put(state.replace(opt_state=noisy), replicated(mesh))


def abstract(state):
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state
    )


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype and x.sharding == y.sharding
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("position", [{"next_index": 12}, [3, "a"]])
def test_a_state_and_its_data_position_come_back_as_they_were(tmp_path, name, position):
    state = make_state(name=name)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.last_step is None
    checkpoints.save(7, state, Position(position))
    checkpoints.close()

    again = Checkpoints(tmp_path)
    assert again.last_step == 7
    data = Position()
    assert_same(again.restore(abstract(make_state(1, name)), data), state)
    assert data.state == position
    again.close()


def test_a_state_of_four_devices_is_restored_to_one(tmp_path):
    state, other = make_state(devices=4), make_state(1, devices=1)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state, Position(0))
    restored = checkpoints.restore(abstract(other), Position())
    np.testing.assert_array_equal(restored.params["head"]["kernel"], state.params["head"]["kernel"])
    assert restored.params["head"]["kernel"].sharding == other.params["head"]["kernel"].sharding
    checkpoints.close()


def test_a_workdir_without_a_checkpoint_says_so(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(FileNotFoundError, match="no checkpoint to restore"):
        checkpoints.restore(abstract(make_state()), Position())
    checkpoints.close()


def kept(path):
    return sorted(int(folder.name) for folder in (path / "checkpoints").iterdir())


@pytest.mark.parametrize(
    "metric, scores, best",
    [
        ("sor", {1: 0.2, 2: 0.7, 3: 0.5, 4: 0.7, 5: None}, 2),
        ("mae", {1: 0.2, 2: 0.1, 3: 0.5, 4: float("nan"), 5: 0.1}, 2),
        ("sor", {1: None, 2: None}, None),
        ("", {1: 0.1, 2: 0.5}, None),
    ],
)
def test_the_last_two_and_the_best_are_kept(tmp_path, metric, scores, best):
    checkpoints = Checkpoints(tmp_path, best_metric=metric)
    state = make_state()
    for step, score in scores.items():
        checkpoints.save(step, state, Position(step))
        checkpoints.note_score(step, score)
    checkpoints.save(9, state, Position(9))
    checkpoints.close()
    assert kept(tmp_path) == sorted({max(scores), 9, best} - {None})
    assert Checkpoints(tmp_path, best_metric=metric).best_step == best
    assert find_checkpoint(tmp_path, prefer="last").name == "9"
    assert find_checkpoint(tmp_path).name == str(best or 9)


def test_another_best_metric_begins_anew(tmp_path):
    checkpoints = Checkpoints(tmp_path, best_metric="sor")
    checkpoints.save(1, make_state(), Position(1))
    assert checkpoints.note_score(1, 0.9)
    checkpoints.close()
    other = Checkpoints(tmp_path, best_metric="mae")
    assert other.best_step is None
    other.save(2, make_state(), Position(2))
    assert other.note_score(2, 0.3)
    assert other.best_step == 2
    other.close()


def test_another_optimizer_is_refused_with_advice(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, make_state(name="sgd"), Position(1))
    with pytest.raises(ValueError, match=r"checkpoints/1 .*config\.optim.*new workdir"):
        checkpoints.restore(abstract(make_state(name="adamw")), Position())
    checkpoints.close()


def fields(state):
    return {name: getattr(state, name) for name in type(state).__dataclass_fields__}


def test_a_state_from_before_the_mean_of_weights_is_restored(tmp_path):
    state, other = make_state(), make_state(1)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, {k: v for k, v in fields(state).items() if k != "ema"}, Position(5))
    data = Position()
    assert_same(checkpoints.restore(abstract(other), data), state)
    assert data.state == 5
    with pytest.raises(ValueError, match=r"checkpoints/3: config\.train\.ema"):
        checkpoints.restore(abstract(other.replace(ema=other.params)), Position())
    checkpoints.close()


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda saved: saved.pop("key_data"), "lacks key_data"),
        (lambda saved: saved.update(noise=saved["step"]), "alone has noise"),
        (lambda saved: saved.update(step=saved["key_data"]), "shape are step"),
        (lambda saved: saved.update(params={}), "lacks params/head/bias, params/head/kernel"),
    ],
)
def test_another_state_is_refused_by_its_fields(tmp_path, change, told):
    checkpoints = Checkpoints(tmp_path)
    saved = fields(make_state())
    change(saved)
    checkpoints.save(1, saved, Position(0))
    with pytest.raises(ValueError, match=rf"checkpoints/1 .*{told}.*new workdir"):
        checkpoints.restore(abstract(make_state()), Position())
    checkpoints.close()


def test_no_checkpoint_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/runs/checkpoints/STEP"):
        find_checkpoint(tmp_path / "runs")
    with pytest.raises(ValueError, match="prefer is 'newest'"):
        find_checkpoint(tmp_path, prefer="newest")


_KILLED = """
import sys
import jax.numpy as jnp
from sor_jax.checkpoints.checkpoint import Checkpoints

class Position:
    def get_state(self):
        return 0

checkpoints = Checkpoints(sys.argv[1])
checkpoints.save(1, {"params": {"w": jnp.zeros(10)}}, Position())
print("saved", flush=True)
checkpoints.save(2, {"params": {"w": jnp.ones((100, 1 << 20))}}, Position())
"""


def test_a_checkpoint_whose_writer_was_killed_is_never_taken(tmp_path):
    folder = tmp_path / "checkpoints"
    writer = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "saved\n"
    deadline = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    partial = [path.name for path in folder.iterdir() if path.name != "1"]
    assert len(partial) == 1 and partial[0] != "2", f"killed too late or too early: {partial}"

    assert find_checkpoint(tmp_path).name == "1"
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.last_step == 1
    state = {"params": {"w": jax.device_put(np.ones(10, np.float32), jax.local_devices()[0])}}
    restored = checkpoints.restore(abstract(state), Position())
    np.testing.assert_array_equal(restored["params"]["w"], np.zeros(10))
    checkpoints.save(2, state, Position(0))
    checkpoints.close()
    assert kept(tmp_path) == [1, 2]
