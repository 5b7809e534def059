"""A run of two processes whose checkpoints somebody reads; two that read one together."""

from sor_jax.checkpoints.saved import find_damage, open_checkpoint, steps_in
from tests.distributed.test_hosts import free_port, start
from tests.processes import ended, finish, lines_until


def test_what_is_read_stays_and_readers_agree(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    command = ["-m", "tests.distributed.saving", tmp_path, address]
    runs = [start([*command, index], devices=1) for index in range(2)]
    with ended(*runs):
        lines_until(runs[0], "saved 2\n")
        with open_checkpoint(tmp_path, prefer="last") as folder:
            lines_until(runs[0], f"saved {int(folder.name) + 5}\n")
            assert find_damage(folder) is None
            saved = sorted(steps_in(folder.parent))
            assert saved[0] == int(folder.name)
            assert len(saved) <= 4  # this one, the last two, one that has just come
        newest = max(steps_in(folder.parent))
        lines_until(runs[0], f"saved {newest + 2}\n")  # the first that came when nobody read
        assert not folder.exists()
        (tmp_path / "stop").touch()
        outputs = [finish(run) for run in runs]
        assert [code for code, _ in outputs] == [0, 0], outputs
    *_, best, last = sorted(steps_in(folder.parent))
    assert last == best + 1
    for _, output in outputs:
        assert f"found {best}\n" in output and "both are told" in output, output
