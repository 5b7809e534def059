"""Which measurements a scaling experiment takes, and what they say together."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Point:
    """One measurement.

    Attributes:
      scaling: "weak", the batch grows with the devices, or "strong", it stays.
      devices: how many.
      batch: images over all devices.
      dtype: what the network computes in.
    """

    scaling: str
    devices: int
    batch: int
    dtype: str


def points(
    devices: Sequence[int], batches_per_device: Sequence[int], dtypes: Sequence[str]
) -> list[Point]:
    """Weak scaling of every batch a device; strong scaling of the largest batch that this makes.

    With a single number of devices there is nothing to compare, and no strong scaling.
    """
    found = []
    for dtype in dtypes:
        for each in batches_per_device:
            found += [Point("weak", n, n * each, dtype) for n in devices]
            if len(devices) > 1:
                whole = max(devices) * each
                found += [Point("strong", n, whole, dtype) for n in devices]
    return found


def with_efficiency(results: list[dict]) -> list[dict]:
    """Adds "efficiency": images a second and device, relative to the fewest devices of a series.

    A series has one kind of scaling, one dtype and one batch (strong) or batch a device (weak).
    Measurements that failed have None.
    """
    base = {}
    for result in sorted(results, key=lambda r: r["devices"]):
        if "error" not in result:
            base.setdefault(_series(result), _per_device(result))
    return [
        result | {"efficiency": None if "error" in result else _per_device(result) / first}
        for result in results
        for first in [base.get(_series(result))]
    ]


def _series(result):
    is_weak = result["scaling"] == "weak"
    batch = result["batch"] // result["devices"] if is_weak else result["batch"]
    return result["scaling"], result["dtype"], batch


def _per_device(result):
    return result["images_per_second"] / result["devices"]
