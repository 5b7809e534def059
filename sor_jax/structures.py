"""The nouns of salient object ranking: fixed-size arrays, each with a mask that says what is real.

Axes, in this order everywhere:
  B images | H W C a map (NHWC) | P points of all pyramid levels, fine to coarse, row-major
  A anchors, likewise | M ground-truth objects | E edges of an object's outline | N detections
  R regions of interest | S side of a pooled region | D width of a visual token | K rank classes

Boxes are x0 y0 x1 y1 in pixels of the network's input, float32. Coordinates are continuous: pixel
(row i, column j) covers [j, j + 1) x [i, i + 1). Rank class K - 1 is the most salient
object, class 0 the K-th; people are shown rank = K - class. K is 5 unless config.model.num_ranks
says otherwise. What lies in a padded slot means nothing.
"""

import flax.struct
import jax

from sor_jax.metrics.sor import NO_RANK as NO_RANK
from sor_jax.metrics.sor import NUM_RANKS as NUM_RANKS


@flax.struct.dataclass
class Boxes:
    """Up to N axis-aligned boxes per image."""

    xyxy: jax.Array  # f32[*B, N, 4]
    valid: jax.Array  # bool[*B, N]


@flax.struct.dataclass
class Polygons:
    """The outline of each object: the edges of its parts, each part closed and of positive area."""

    edges: jax.Array  # f32[*B, M, E, 4] x0 y0 x1 y1, network-input pixels
    part: jax.Array  # i32[*B, M, E] the part of the object that an edge belongs to, from 0
    valid: jax.Array  # bool[*B, M, E]


@flax.struct.dataclass
class GroundTruth:
    """The objects of each image that are to be found; all others are background."""

    boxes: Boxes  # [B, M]
    rank_class: jax.Array  # i32[B, M] K - 1 = most salient .. 0, NO_RANK = not known
    masks: jax.Array  # u8[B, M, H, W] 0 or 1, in network-input pixels
    polygons: Polygons  # [B, M] an object without edges is known by its mask alone; E may be 0
    has_mask: jax.Array | None = None  # bool[B, M] False = a box and no mask; None = all have one


@flax.struct.dataclass
class Images:
    """Photographs of one padded size: all that a prediction needs."""

    image: jax.Array  # u8[B, H, W, 3] RGB; the photograph is at the top left
    valid_hw: jax.Array  # i32[B, 2] height and width of the photograph inside the padding
    valid: jax.Array  # bool[B] False = a filler that completes the batch


@flax.struct.dataclass
class Batch(Images):
    """Photographs of one padded size with their ground truth, for training."""

    gt: GroundTruth


@flax.struct.dataclass
class DenseOutputs:
    """Raw outputs of the dense detector at every pyramid point."""

    class_logit: jax.Array  # f32[*B, P]
    ltrb: jax.Array  # f32[*B, P, 4] distances to left, top, right, bottom in strides, >= 0
    centerness_logit: jax.Array  # f32[*B, P]


@flax.struct.dataclass
class AnchorOutputs:
    """Raw outputs of a region proposal network at every anchor of the pyramid."""

    objectness_logit: jax.Array  # f32[*B, A]
    delta: jax.Array  # f32[*B, A, 4] the anchor's offset to the object, as of ops.box_coding


@flax.struct.dataclass
class RegionBoxes:
    """What a box head says of regions of interest."""

    class_logit: jax.Array  # f32[*B, R, 2] salient object, background
    delta: jax.Array  # f32[*B, R, 4] the region's offset to the object, as of ops.box_coding


@flax.struct.dataclass
class Proposals:
    """Boxes that may hold an object, in falling score."""

    boxes: Boxes  # [*B, N]
    score: jax.Array  # f32[*B, N] the detector's: 0..1, of anchors a logit


@flax.struct.dataclass
class Rois:
    """Foreground regions of interest with the ground truth that each is matched to."""

    boxes: Boxes  # [*B, R]
    gt_index: jax.Array  # i32[*B, R] index into the M objects of the image
    num_left_out: jax.Array  # i32[*B] foreground regions that the slots could not hold


@flax.struct.dataclass
class Detections:
    """What the model says of each image, in falling box score."""

    boxes: Boxes  # [B, N]
    score: jax.Array  # f32[B, N] box score, 0..1
    mask_score: jax.Array  # f32[B, N] box score * predicted mask IoU
    mask_prob: jax.Array  # f32[B, N, 28, 28] probabilities over the box
    rank_logit: jax.Array  # f32[B, N, K]
    rank_class: jax.Array  # i32[B, N] K - 1 = most salient .. 0, NO_RANK = none
    finite: jax.Array  # bool[B] whether all raw outputs of the detector were; if not, read nothing
