"""Records -> padded numpy batches for training, endless and shuffled.

A batch is a dict; H, W is the network's input, M the most objects that an image keeps, E the
most edges that an object's polygons may have. Evaluation needs the first three alone:
  image u8[B, H, W, 3]      the photograph is at the top left, zeros right of it and below
  valid_hw i32[B, 2]        its height and width there
  valid bool[B]             False = an empty image that completes the batch
  gt_boxes f32[B, M, 4]     x0 y0 x1 y1 in pixels of the input
  gt_valid bool[B, M]       False = padding
  gt_rank_class i32[B, M]   K - 1 = most salient .. 0, -1 = not known
  gt_masks u8[B, M, H, W]   0 or 1
  gt_has_mask bool[B, M]    False = the object is known by its box alone
  gt_edges f32[B, M, E, 4]  x0 y0 x1 y1 of its polygons; an object with none is an RLE or over E
  gt_edge_part i32[B, M, E] the part of the object that an edge belongs to, from 0
  gt_edge_valid bool[B, M, E]
  objects_left_out i32[B]   objects for which there was no room
  damage bytes[B]           only with on_error="skip": why the record is missing, else b""
"""

import functools
from typing import Any

from sor_jax.inputs.augment import Augmentation
from sor_jax.inputs.damage import Damaged, Tolerant, check_on_error, pad_or_skip
from sor_jax.inputs.iterator import TrainIterator
from sor_jax.inputs.mixture import Part, mixed_images
from sor_jax.inputs.pad import empty_image, pad_record
from sor_jax.inputs.shard import Shard, Sharded


def train_iterator(
    source,
    *,
    canvas_hw: tuple[int, int],
    batch_size: int,
    max_objects: int,
    max_edges: int = 0,
    seed: int,
    flip: bool = False,
    num_workers: int = 0,
    shuffle: bool = True,
    on_error: str = "raise",
    shard: Shard | None = None,
    targets: str = "ranked",
    augmentation: Augmentation | None = None,
) -> TrainIterator:
    """Batches without end; every image with an object comes once before any comes again.

    The order depends on `seed` and the sources alone, and so does every change of an image.

    Args:
      source: the records, or a sequence of Part to mix; an image of a part comes again when all of
        that part have come.
      canvas_hw, batch_size, max_objects, max_edges: the sizes above.
      seed: of the order and of what is changed at random.
      flip: mirror half of the images.
      num_workers: processes that read ahead; with 0 a thread does. Close the iterator to end them.
      shuffle: anew each time that all have come; False keeps the sources' order.
      on_error: with "skip" an empty image takes the place of a damaged record, which with "raise"
        ends the run.
      shard: what this process reads of each batch; None for all of it.
      targets: which objects of a single source are ground truth, see `target_indices`.
      augmentation: what else is changed; None is `flip` alone.
    """
    parts = source if isinstance(source, list | tuple) else [Part(source, targets=targets)]
    is_tolerant = check_on_error(on_error) == "skip"
    if is_tolerant:
        parts = [part._replace(source=Tolerant(part.source)) for part in parts]
    size: dict[str, Any] = {
        "canvas_hw": canvas_hw,
        "max_objects": max_objects,
        "max_edges": max_edges,
    }
    pad = functools.partial(pad_or_skip if is_tolerant else pad_record, **size)
    augmentation = augmentation or Augmentation(flip=flip)
    images = mixed_images(parts, pad, seed=seed, shuffle=shuffle, augmentation=augmentation)
    if shard is not None:
        filler = pad(Damaged("")) if is_tolerant else empty_image(**size)
        images, batch_size = Sharded(images, batch_size, shard, filler), len(shard)
    batch_bytes = batch_size * sum(field.nbytes for field in empty_image(**size).values())
    return TrainIterator(images.batch(batch_size), num_workers=num_workers, batch_bytes=batch_bytes)
