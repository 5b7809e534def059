"""The table that people read."""

from sor_jax.metrics.scoreboard import Scoreboard, table


def test_table_of_a_typical_result():
    metrics = Scoreboard().result() | {
        "mae": 0.0812,
        "sor": 0.8409,
        "images_used": 2371,
        "images": 2418,
        "sor_multi": 0.7955,
        "multi_images": 1800,
        "objects_matched": 5000,
        "objects": 8000,
        "box_ap": 0.5,
        "box_ap50": 0.75,
    }
    lines = [line.strip() for line in table(metrics).split("\n")]
    assert lines[:4] == [
        "images 2418",
        "SOR 0.841 (2371 images)",
        "SOR multi 0.795 (1800 images with two or more matched objects)",
        "matched 5000 of 8000 ranked objects (62.5 %)",
    ]
    assert "MAE 0.081" in lines
    assert "box AP 0.500 (AP50 0.750)" in lines
    assert "mask AP -- (AP50 --)" in lines


def test_table_without_a_used_image():
    lines = [line.strip() for line in table(Scoreboard().result()).split("\n")]
    assert "SOR -- (0 images)" in lines
    assert "matched 0 of 0 ranked objects" in lines
