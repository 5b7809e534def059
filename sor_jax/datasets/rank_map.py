"""The grey map of ranks follows from masks and ranks: a file that does not is a mistake of it."""

import numpy as np

_NEAR = 4  # grey values; neighbouring ranks are 25 apart
_EDGE = 5  # pixels; within this window the outlines of map and mask may differ
_LEAST_INSIDE, _LEAST_OUTSIDE = 0.9, 0.98  # shares of pixels that agree
_LEAST_OF_OBJECT = 0.5
_LEAST_PIXELS = 25  # an object of which less is seen says nothing by itself


def levels_of(rank_order: np.ndarray) -> np.ndarray:
    """i64[n] greys of rank values: int(255 * value), 255 229 204 178 153, and 0 without a rank."""
    value = np.asarray(rank_order, np.float64)
    return np.where(value > 0.5, np.floor(255 * value + 1e-3), 0).astype(int)


def check_rank_map(grey: np.ndarray, masks: np.ndarray, levels: np.ndarray) -> None:
    """Raises ValueError where a map cannot be that of these objects, with what it looks like.

    Where objects overlap any of their greys is right, and so is what lies between the greys within
    two pixels of an outline (smoothed edges, outlines drawn by another program).

    Args:
      grey: u8[h, w] the map.
      masks: bool[n, h, w] of all objects, ranked or not.
      levels: i[n] the grey of each, 0 for none; see `levels_of`.
    """
    expected = _Expected(masks, levels)
    wrong = expected.disagreement(grey)
    if wrong is not None:
        look = expected.look(grey)
        raise ValueError(f"the rank map does not follow from masks and ranks: {look or wrong}")


class _Expected:
    """What a map may be, pixel by pixel."""

    def __init__(self, masks, levels):
        from scipy import ndimage  # slow to import, and records that are prepared do without

        self._levels = np.asarray(levels)
        grey = self._levels[:, None, None]
        least = np.where(masks, grey, 255).min(axis=0, initial=255)
        self._most = np.where(masks, grey, 0).max(axis=0, initial=0)
        self._least = np.where(masks.any(axis=0), least, 0)
        self._low = ndimage.minimum_filter(self._least, _EDGE) - _NEAR
        self._high = ndimage.maximum_filter(self._most, _EDGE) + _NEAR
        self._is_object = self._least > 0
        self._is_ground = self._high <= _NEAR
        # The pixels that are one ranked object's alone, away from its outline.
        alone = self._is_object & (self._high - self._low == 2 * _NEAR)
        self._own = [(index, masks[index] & alone) for index in np.flatnonzero(self._levels)]
        self._own = [(i, own) for i, own in self._own if np.count_nonzero(own) >= _LEAST_PIXELS]

    def agrees(self, grey) -> bool:
        return self.disagreement(grey) is None

    def disagreement(self, grey) -> str | None:
        """What is wrong with a map."""
        right = (grey >= self._low) & (grey <= self._high)
        for index, own in self._own:
            if right[own].mean() < _LEAST_OF_OBJECT:
                return self._compared(grey) or f"object {index} is not seen at its place"
        inside, outside = _share(right, self._is_object), _share(right, self._is_ground)
        if inside < _LEAST_INSIDE or outside < _LEAST_OUTSIDE:
            return (
                f"{inside:.0%} of the pixels inside of ranked objects agree, and {outside:.0%} "
                "of those outside of them"
            )
        return None

    def _medians(self, grey) -> list[int]:
        return [int(np.median(grey[own])) for _, own in self._own]

    def _compared(self, grey) -> str:
        greys = " ".join(map(str, self._medians(grey)))
        wanted = " ".join(str(self._levels[index]) for index, _ in self._own)
        names = " ".join(str(index) for index, _ in self._own)
        return f"objects {names} have the greys {greys} (expected {wanted})"

    def look(self, grey) -> str | None:
        """What a map that disagrees looks like."""
        if not grey.any():
            return "it is all black"
        for name, other in {
            "inverted": 255 - grey,
            "mirrored left to right": grey[:, ::-1],
            "upside down": grey[::-1],
            "turned by 180 degrees": grey[::-1, ::-1],
            "transposed": grey.T if grey.shape[0] == grey.shape[1] else None,
            "inverted and mirrored": 255 - grey[:, ::-1],
        }.items():
            if other is not None and self.agrees(other):
                return f"it looks {name}"
        return self._look_of_levels(grey)

    def _look_of_levels(self, grey) -> str | None:
        """Where the outlines are right and the greys are not."""
        greys = self._medians(grey)
        wanted = [int(self._levels[index]) for index, _ in self._own]
        is_right = np.abs(np.subtract(greys, wanted)).max(initial=0) <= _NEAR
        if is_right or not self._agrees_as(grey, greys):
            return None
        if len(wanted) > 1 and len(set(greys)) == 1:
            return f"it looks binary: every object has the grey {greys[0]}; {self._compared(grey)}"
        if max(greys) <= 16:
            return f"it looks like indices, not greys; {self._compared(grey)}"
        if sorted(greys) == sorted(wanted):
            backwards = [greys[i] for i in np.argsort(wanted)] == sorted(greys, reverse=True)
            return ("its order is turned round: " if backwards else "its ranks are others: ") + (
                self._compared(grey)
            )
        return f"its outlines are right, but {self._compared(grey)}"

    def _agrees_as(self, grey, greys: list[int]) -> bool:
        """Whether every object is of one grey throughout."""
        return all(
            (np.abs(grey[own].astype(int) - level) <= _NEAR).mean() >= _LEAST_INSIDE
            for (_, own), level in zip(self._own, greys, strict=True)
        )


def _share(right, where) -> float:
    return float(right[where].mean()) if where.any() else 1.0
