import json
import time

import jax.numpy as jnp
import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from sor_jax.distributed.hosts import duration
from sor_jax.files import read_records
from sor_jax.train.log import MetricsLog, training_line
from sor_jax.train.meter import EXAMPLES, RECORDS, SKIPPED, Meter


def board_events(workdir):
    """Decodes TensorBoard's record format: u64 length, u32 crc, the event, u32 crc."""
    events = []
    for path in sorted((workdir / "tensorboard").iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 8], "little")
            events.append(event_pb2.Event.FromString(data[at + 12 : at + 12 + size]))
            at += size + 16
    return events


def test_file_and_board_hold_the_same_numbers(tmp_path):
    log = MetricsLog(tmp_path, start_step=0)
    log.write(1, {"loss/total": 2.5, "learning_rate": 0.125})
    log.write(1, {"eval/sor": None, "eval/images": 4})
    log.write(2, {"loss/total": 1.5})
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 1, "loss/total": 2.5, "learning_rate": 0.125},
        {"step": 1, "eval/sor": None, "eval/images": 4},
        {"step": 2, "loss/total": 1.5},
    ]
    shown = [
        (event.step, value.tag, value.simple_value)
        for event in board_events(tmp_path)
        for value in event.summary.value
    ]
    assert shown == [
        (1, "loss/total", 2.5),
        (1, "learning_rate", 0.125),
        (1, "eval/images", 4.0),
        (2, "loss/total", 1.5),
    ]


def test_after_a_resume_no_step_is_there_twice(tmp_path):
    log = MetricsLog(tmp_path, start_step=0)
    for step in range(1, 8):
        log.write(step, {"loss/total": float(step)})
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "loss/to')  # killed while writing

    log = MetricsLog(tmp_path, start_step=5)
    assert log.has(5, "loss/") and not log.has(6, "loss/") and not log.has(5, "eval/")
    log.write(6, {"loss/total": 60.0})
    log.close()
    steps = [(r["step"], r["loss/total"]) for r in read_records(tmp_path / "metrics.jsonl")]
    assert steps == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0), (6, 60.0)]
    # TensorBoard drops what an earlier run wrote from a session's start on.
    starts = [e.step for e in board_events(tmp_path) if e.HasField("session_log")]
    assert starts[-1] == 6


def test_a_picture_reaches_the_board(tmp_path):
    log = MetricsLog(tmp_path, start_step=0)
    log.image(3, "examples/a", np.zeros((5, 7, 3), np.uint8))
    log.close()
    images = [
        v.image for e in board_events(tmp_path) for v in e.summary.value if v.HasField("image")
    ]
    assert [(image.height, image.width) for image in images] == [(5, 7)]


def test_a_broken_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for line in (b"nonsense", b"\xff\xfe", b"[1]", b'{"stp": 2}', b""):
        path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 3}\n')
        with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2"):
            read_records(path, "step")
    with pytest.raises(ValueError, match="Out of range float"):
        MetricsLog(tmp_path / "other", start_step=0).write(1, {"loss/total": float("nan")})


def test_the_line_says_all_there_is_to_know(monkeypatch):
    values = {
        "loss/rank": 0.5,
        "loss/total": 2.0,
        "grad_norm": 9.0,
        "learning_rate": 1e-4,
        "data/examples_seen": 1234,
        "images_per_second": 12.34,
        "input_wait": 0.254,
        "seconds_left": 3725.0,
    }
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    monkeypatch.setattr("time.localtime", time.gmtime)
    line = training_line(20, 100, values)
    for part in ("20/100", "total 2.0000", "rank 0.5000", "1.00e-04", "1,234 images"):
        assert part in line
    for part in ("12.3 images/s", "25%", "1 h 02 min", "Tue 23:15"):
        assert part in line
    del values["images_per_second"]
    line = training_line(1, 100, values)
    assert "1,234 images" in line and "images/s" not in line and "Tue" not in line


@pytest.mark.parametrize(
    "seconds, text",
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (18_420, "5 h 07 min")]
    + [(51 * 3600, "2 d 3 h")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_meter_gives_means_and_forgets():
    meter = Meter(batch_size=4)
    for step, loss in enumerate([1.0, 3.0, 8.0]):
        meter.add(step, {"loss/total": jnp.float32(loss), "data/objects_left_out": 3.0 * step})
    meter.check()
    values = meter.summary()
    assert values["loss/total"] == 4.0 and values["data/objects_left_out"] == 3.0
    assert values["images_per_second"] > 0
    meter.add(3, {"loss/total": jnp.float32(7)})
    assert meter.summary()["loss/total"] == 7.0


def test_the_meter_adds_up_what_counts_from_the_first_step():
    meter = Meter(batch_size=4)
    for step in (1, 2):
        meter.add(step, {"loss/total": 1.0, EXAMPLES: 4.0, RECORDS: float(step)})
    assert meter.summary()[EXAMPLES] == 8
    meter.add(3, {"loss/total": 1.0, EXAMPLES: 4.0, RECORDS: 0.0})
    values = meter.summary()
    assert (values[EXAMPLES], values[RECORDS]) == (12, 3)


def test_a_meter_goes_on_where_another_was_saved():
    scalars = [{"loss/total": jnp.float32(0.1) * i, EXAMPLES: 4.0} for i in range(5)]
    whole, first, second = (Meter(batch_size=4) for _ in range(3))
    for step, values in enumerate(scalars):
        whole.add(step, values)
        (first if step < 3 else second).add(step, values)
    first.check()
    second.set_state(json.loads(json.dumps(first.get_state())))
    expected, found = whole.summary(), second.summary()
    assert found["loss/total"] == expected["loss/total"] and found[EXAMPLES] == 20


def test_the_share_of_the_wait_for_input(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    meter = Meter(batch_size=4)
    for waited in (0.5, 0.0, 1.5):
        now[0] += 4
        meter.add(1, {"loss/total": 1.0}, waited=waited)
    assert meter.summary()["input_wait"] == pytest.approx(2 / 12)
    now[0] += 1
    meter.add(2, {"loss/total": 1.0})
    assert meter.summary()["input_wait"] == 0


def test_skipped_steps_count_and_too_many_end_the_run(capsys):
    meter = Meter(batch_size=1, max_skipped=1)
    meter.add(1, {"loss/total": 3.0, SKIPPED: 0.0})
    meter.add(2, {"loss/total": jnp.float32(jnp.nan), SKIPPED: 1.0})
    values = meter.summary()
    assert values["loss/total"] == 3.0 and values[SKIPPED] == 1
    assert "loss/total = nan" in capsys.readouterr().out
    meter.add(3, {"loss/total": jnp.float32(jnp.inf), SKIPPED: 1.0})
    with pytest.raises(FloatingPointError, match="2 steps .* = 1"):
        meter.check()


def test_the_meter_counts_the_steps_since_its_clock_began(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    meter = Meter(batch_size=4)
    meter.add(0, {"loss/total": 1.0})
    now[0] += 60  # compiling
    meter.restart_clock()
    assert "images_per_second" not in meter.summary()
    for step in (1, 2, 3):
        meter.add(step, {"loss/total": 1.0})
        now[0] += 2
    assert meter.summary()["images_per_second"] == pytest.approx(2.0)


def test_the_first_step_that_is_not_finite_is_named_with_its_scalars():
    meter = Meter(batch_size=1)
    meter.add(6, {"loss/a": jnp.float32(1), "loss/b": jnp.float32(1)})
    meter.add(7, {"loss/a": jnp.float32(jnp.nan), "loss/b": jnp.float32(1), "grad_norm": jnp.inf})
    meter.add(8, {"loss/a": jnp.float32(1), "loss/b": jnp.float32(jnp.nan)})
    with pytest.raises(FloatingPointError, match="step 7 .*grad_norm = inf, loss/a = nan$"):
        meter.check()
