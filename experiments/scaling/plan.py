"""Which measurements an experiment on speed takes, and their efficiency."""

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

    def describe(self) -> str:
        """In words."""
        return f"{self.scaling}, {self.devices} devices, batch {self.batch}, {self.dtype}"


def points(
    devices: Sequence[int], batches_per_device: Sequence[int], dtypes: Sequence[str]
) -> list[Point]:
    """Weak scaling of every batch a device; strong scaling of the largest batch that this makes.

    With a single number of devices there is nothing to compare, and no strong scaling.
    """
    planned = []
    for dtype in dtypes:
        for each in batches_per_device:
            planned += [Point("weak", n, n * each, dtype) for n in devices]
            if len(devices) > 1:
                planned += [Point("strong", n, max(devices) * each, dtype) for n in devices]
    return planned


def series_of(result: dict) -> tuple[str, str, int]:
    """Kind of scaling, dtype, and batch (strong) or batch a device (weak): what a series shares."""
    is_weak = result["scaling"] == "weak"
    batch = result["batch"] // result["devices"] if is_weak else result["batch"]
    return result["scaling"], result["dtype"], batch


def with_efficiency(results: list[dict]) -> list[dict]:
    """Adds "efficiency": images a second and device, relative to the fewest devices of a series.

    Measurements that failed have None.
    """
    first, rated = {}, []
    for result in sorted(results, key=lambda result: result["devices"]):
        if "error" not in result:
            first.setdefault(series_of(result), result["images_per_second"] / result["devices"])
    for result in results:
        rated.append(result | {"efficiency": None})
        if "error" not in result:
            speed = result["images_per_second"] / result["devices"]
            rated[-1]["efficiency"] = speed / first[series_of(result)]
    return rated
