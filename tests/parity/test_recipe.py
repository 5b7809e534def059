"""What the golden numbers were made from is made again from the seeds."""

import re

import numpy as np
import pytest

from tests.parity import golden, recipe


@pytest.mark.parametrize("file", golden.files("inputs_seed*.npz"))
def test_photograph_and_boxes(file):
    seed = int(re.search(r"seed(\d+)", file.stem)[1])
    with np.load(file) as stored:
        np.testing.assert_array_equal(recipe.make_image(seed), stored["image_bgr_uint8"])
        np.testing.assert_array_equal(recipe.FIXED_BOXES, stored["fixed_boxes"])
