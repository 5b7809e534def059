"""Where people looked on one photograph."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Looks:
    """The fixations of one photograph, those of a person in the order of looking.

    Attributes:
      xy: f64[n, 2] x y in pixels of the photograph; pixel (row i, column j) covers
        [j, j + 1) x [i, i + 1).
      person: i64[n] whose fixation it is, 0 .. num_people - 1; None where nobody can tell.
      num_people: how many people saw the photograph; 0 where they are not told apart.
      duration: f64[n] milliseconds; None where unknown.
      is_ordered: whether the order in which a person looked is known.
    """

    xy: np.ndarray
    person: np.ndarray | None = None
    num_people: int = 0
    duration: np.ndarray | None = None
    is_ordered: bool = False

    def __post_init__(self):
        if not np.isfinite(self.xy).all():
            raise ValueError("a fixation's x or y is not a finite number; pixels are expected")
        if self.duration is not None and not (self.duration >= 0).all():
            raise ValueError(
                f"a fixation lasts {self.duration.min()}; milliseconds of 0 or more are expected"
            )

    def pixels(self) -> np.ndarray:
        """i64[n, 2] the row and the column that each fixation falls in."""
        return np.floor(self.xy[:, ::-1]).astype(np.int64)


def looks_of_people(paths: list[np.ndarray]) -> Looks:
    """Looks from one scanpath f64[m, 2 or 3] a person: x, y and, if all have it, milliseconds."""
    columns = {path.shape[1] for path in paths if len(path)}
    if len(columns) > 1:
        raise ValueError("some fixations have a duration and others have none; all or none are to")
    width = columns.pop() if columns else 2
    joined = np.concatenate([path.reshape(-1, width) for path in paths] or [np.zeros((0, width))])
    return Looks(
        xy=joined[:, :2],
        person=np.repeat(np.arange(len(paths)), [len(path) for path in paths]),
        num_people=len(paths),
        duration=joined[:, 2] if width == 3 else None,
        is_ordered=True,
    )
