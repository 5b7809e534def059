"""Decoding: EXIF, colour modes, ranks, masks, and what broken bytes say."""

import json

import numpy as np
import pytest
from PIL import Image

from sor_jax.datasets import images, masks, record
from tests.datasets import assr_tree
from tests.pictures import encode, encoded

HW = (16, 24)


def example(**changes):
    """A stored example with a rectangle as polygons and another one as RLE."""
    boxes = [(2, 3, 9, 12), (10, 1, 20, 15)]
    segmentations = [assr_tree.polygon(boxes[0]), assr_tree.rle(boxes[1], HW)]
    return {
        "image_id": b"photo",
        "image": encoded(np.full((*HW, 3), 50, np.uint8)),
        "grey": encoded(np.zeros(HW, np.uint8)),
        "objects": {
            "bbox": [np.float32(box) for box in boxes],
            "rank_order": [np.float32(0.9), np.float32(1.0)],
            "segmentation": [json.dumps(mask).encode() for mask in segmentations],
        },
    } | changes


def test_rank_classes_survive_float32():
    values = np.float32([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.0])
    np.testing.assert_array_equal(record.rank_classes(values), [4, 3, 2, 1, 0, -1, -1, -1])
    np.testing.assert_array_equal(
        record.rank_classes(values.astype(float)), [4, 3, 2, 1, 0] + 3 * [-1]
    )
    # By place: no file is read whose values have gaps, see checks.check_rank_values.
    np.testing.assert_array_equal(record.rank_classes(np.float32([0.55, 0.85])), [3, 4])
    assert record.rank_classes(np.zeros(0, np.float32)).shape == (0,)


def test_ranked_indices_most_salient_first():
    values = np.float32([0.6, 0.0, 1.0, 0.9, 0.5, 0.9])
    np.testing.assert_array_equal(record.ranked_indices(values), [2, 3, 5, 0])
    assert record.ranked_indices(np.zeros(0, np.float32)).shape == (0,)


def test_decodes_polygons_and_rle():
    got = record.decode_record(example(), where="file")
    want = [assr_tree.mask_of((2, 3, 9, 12), HW), assr_tree.mask_of((10, 1, 20, 15), HW)]
    np.testing.assert_array_equal(masks.decode_masks(got.masks, HW), np.stack(want))
    np.testing.assert_array_equal(got.polygons[0], [[[2, 3], [9, 3], [9, 12], [2, 12]]])
    assert got.polygons[1] == []  # an RLE
    assert got.image_id == "photo"
    assert (got.image == 50).all()
    np.testing.assert_array_equal(got.boxes, np.float32([[2, 3, 9, 12], [10, 1, 20, 15]]))


def test_a_mask_of_several_polygons_is_their_union():
    boxes = [(1, 1, 6, 6), (4, 4, 12, 9), (15, 2, 20, 14)]
    rle = masks.to_rle([assr_tree.polygon(box)[0] for box in boxes], HW)
    want = np.any([assr_tree.mask_of(box, HW) for box in boxes], axis=0)
    np.testing.assert_array_equal(masks.decode_masks([rle], HW)[0], want)


def test_decoded_masks_are_bool_in_rows():
    mask = np.random.default_rng(0).random((3, *HW)) < 0.5
    got = masks.decode_masks([encode(m) for m in mask], HW)
    assert got.dtype == bool
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, mask)
    assert masks.decode_masks([], HW).shape == (0, *HW)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_tag_turns_the_photograph(orientation):
    # The upright picture is red at the top left, green at the top right, blue at the bottom left.
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24, 0] = upright[:16, 24:, 1] = upright[16:, :24, 2] = 255
    # What a camera stores of it under each tag, by the definition of the tag: where its row 0 and
    # its column 0 lie in the upright picture.
    stored = {
        1: upright,  # top, left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.transpose(1, 0, 2),  # left, top
        6: upright.transpose(1, 0, 2)[::-1],  # right, top
        7: upright.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
        8: upright.transpose(1, 0, 2)[:, ::-1],  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    picture = np.ascontiguousarray(stored)
    got = images.decode_image(assr_tree.jpeg(picture, exif=exif, quality=95, subsampling=0))
    assert got.shape == upright.shape
    assert np.abs(got.astype(int) - upright).mean() < 3


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_any_colour_mode_becomes_rgb(mode):
    image = Image.fromarray(np.full((*HW, 3), 255, np.uint8)).convert(mode)
    got = images.decode_image(encoded(image, "TIFF" if mode == "CMYK" else "PNG"))
    assert got.shape == (*HW, 3)
    assert (got == 255).all()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("image", b"no image", "cannot identify"),
        ("image", assr_tree.jpeg(assr_tree.photograph("x"))[:900], "truncated"),
        ("grey", encoded(np.zeros((5, 5), np.uint8)), r"\(5, 5\)"),
        ("objects", {"bbox": [], "rank_order": []}, "segmentation"),
        (
            "objects",
            {"bbox": [np.zeros(4)], "rank_order": [1.0], "segmentation": [b'{"size": [9, 9]}']},
            r"\[9, 9\]",
        ),
    ],
)
def test_a_broken_record_is_named(field, value, said):
    with pytest.raises(ValueError, match=rf"some\.file, record photo: .*{said}"):
        record.decode_record(example(**{field: value}), where="some.file")
