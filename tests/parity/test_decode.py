"""The released code's proposals from its own raw outputs, and its masks in the image."""

from functools import partial

import jax
import numpy as np

from sor_jax.decode.dense import proposals
from sor_jax.decode.paste import paste_mask
from tests.parity import archives


def decoded(raw, **options):
    """The valid boxes and scores that raw outputs decode to."""
    run = jax.jit(partial(proposals, points=archives.POINTS, **options))
    got = run(archives.dense_outputs(raw))
    count = int(got.boxes.valid.sum())
    return got.boxes.xyxy[:count], got.score[:count]


def test_proposals_at_inference(goldens):
    for name, raw, expected in archives.pairs(goldens, "b_fcos_raw", "c_proposals"):
        xyxy, score = decoded(raw, class_threshold=0.3, max_proposals=50)
        np.testing.assert_allclose(xyxy, expected["proposals.boxes"], atol=1e-4, err_msg=name)
        np.testing.assert_allclose(score, expected["proposals.scores"], atol=1e-6, err_msg=name)


def test_proposals_in_training(goldens):
    for name, raw, expected in archives.pairs(goldens, "b_fcos_raw", "f_train_own_proposals"):
        xyxy, score = decoded(raw, class_threshold=0.05, max_proposals=100)
        got = np.column_stack([xyxy, score])
        expected = np.column_stack([expected["proposals.boxes"], expected["proposals.scores"]])
        assert len(got) == len(expected), name
        # A second run of the network: its noise of 1e-5 may flip an overlap at the threshold.
        nearest = np.abs(expected[:, None] - got).max(axis=-1).min(axis=1)
        assert (nearest < 1e-3).mean() >= 0.95, name


def test_pasted_masks(goldens):
    having = "pred_masks28"
    for name, found in archives.of_part(goldens, "e_inference", having=having).items():
        packed = found["pasted_masks_packed"]
        expected = np.unpackbits(packed, axis=1).reshape(-1, *archives.IMAGE_HW)
        probs, boxes = found["pred_masks28"][:, 0], found["pasted_boxes"]
        got = [paste_mask(p, box, archives.IMAGE_HW) for p, box in zip(probs, boxes, strict=True)]
        # A probability within rounding of one half may fall to either side.
        assert (np.array(got) != expected).mean() < 1e-6, name
