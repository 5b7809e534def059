"""Made-up polygons, and what pycocotools and plain geometry say of them."""

import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.inputs.transforms import edges_of

KINDS = ("any", "whole", "fifths", "tenths", "star")


def made_up_parts(rng, *, size, kind, most_parts=3, most_vertices=16):
    """Parts f32[v, 2] about the middle of `size` (h, w), some far larger than it.

    Coordinates that are whole, in fifths or in tenths bring about ties in the rounding. A "star"
    does not cross itself; the others do.
    """
    parts = []
    for _ in range(rng.integers(1, most_parts + 1)):
        vertices = rng.integers(4, most_vertices + 1)
        if kind == "star":
            angle = 2 * np.pi * (np.arange(vertices) + rng.uniform(0, 0.9, vertices)) / vertices
            radius = rng.uniform(0.1, 0.5, vertices)
            shape = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
        else:
            shape = rng.uniform(-0.5, 0.5, (vertices, 2)) * rng.choice([0.2, 1, 1, 3, 12])
        points = (shape + rng.normal(0.5, 0.1, 2)) * size[::-1]
        step = {"whole": 1, "fifths": 5, "tenths": 10}.get(kind)
        parts.append(np.float32(np.round(points * step) / step if step else points))
    return parts


def padded_edges(objects, *, slots):
    """(edges f32[N, slots, 4], part i32[N, slots], valid bool[N, slots]) of N lists of parts."""
    edges = np.full((len(objects), slots, 4), np.nan, np.float32)
    part = np.full((len(objects), slots), 7, np.int32)
    valid = np.zeros((len(objects), slots), bool)
    for index, parts in enumerate(objects):
        found, of_part = edges_of(parts)
        edges[index, : len(found)], part[index, : len(found)] = found, of_part
        valid[index, : len(found)] = True
    return edges, part, valid


def rle_parts(parts, hw):
    """The parts' RLEs of a grid."""
    return coco_mask.frPyObjects([p.astype(np.float64).ravel().tolist() for p in parts], *hw)


def coco_fill(parts, hw):
    """bool[*hw]: what pycocotools fills, the union of the parts."""
    return coco_mask.decode(coco_mask.merge(rle_parts(parts, hw))).astype(bool)


def shoelace(part):
    """The area of one part."""
    x, y = part.astype(np.float64).T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
