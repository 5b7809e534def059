"""A photograph -> Ranking: the model loaded once, compiled once, asked as often as one likes."""

import os
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from sor_jax import pretrained
from sor_jax.checkpoints.model import read_model
from sor_jax.photograph import Photograph, read_photograph

if TYPE_CHECKING:
    from sor_jax.decode.paste import PhotoDetections
    from sor_jax.ranking import Ranking
    from sor_jax.structures import Images


def load(
    model: str | os.PathLike = pretrained.DEFAULT,
    *,
    top: int | None = None,
    threshold: float | None = None,
    rank_rule: str | None = None,
    batch_size: int | None = None,
    needs_ranks: bool = True,
) -> "Ranker":
    """A ranker of photographs.

    Of shipped and converted weights only their own folder is read. Where jax has not been imported
    yet, compiled programs are kept in a cache on disk, see sor_jax.platform; the first photograph
    of a new model or another machine takes seconds longer than the others.

    Args:
      model: the name of a shipped model, a folder of converted or exported weights, or the workdir
        of a training run (its best checkpoint) or one checkpoint in it.
      top: at most so many objects a photograph, those that are seen first: 1 to how many ranks the
        model tells apart, five but for models of config.model.num_ranks; None is all of them.
      threshold: the probability above which a region is taken for an object, 0..1; None is the
        model's own. Lower finds more objects, and more that are none. Ranks are given among those
        that are found.
      rank_rule: "sequential" (the paper's: rank 1 to the region most probable to be first, then
        rank 2, ..) or "expected" (by the mean of a region's rank); None is the model's own.
      batch_size: photographs in one run of the compiled program; None is 1 on a CPU and 8 on an
        accelerator.
      needs_ranks: False takes a model that was trained without ranks, too, for `Ranker.find`.

    Raises:
      FileNotFoundError: there is no such model or folder.
      ValueError: the folder is damaged, holds no whole model, or an argument cannot be used.
    """
    if top is not None and top < 1:
        raise ValueError(f"top is {top}; expected 1 or more")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected 1 or more")
    known = read_model(model, threshold=threshold, rank_rule=rank_rule, needs_ranks=needs_ranks)
    return Ranker(
        known.variables,
        known.config,
        name=known.name,
        card=known.card,
        top=top,
        batch_size=batch_size,
    )


class Ranker:
    """Finds and ranks the objects of photographs; threads may share it.

    The program is compiled once, at the first photograph, for the one canvas that every photograph
    is fitted into.

    Attributes:
      name: of the model.
      card: what is known of the model, as of its card.json; empty where it has none.
      canvas_hw: height and width in pixels that photographs are fitted into, aspect kept.
      top: at most so many objects a photograph.
      batch_size: photographs in one run.
    """

    def __init__(
        self,
        variables: Any,
        config,
        *,
        name: str = "",
        card: dict | None = None,
        top: int | None = None,
        batch_size: int | None = None,
    ):
        """Of the variables {"params", "frozen"} of the model that a config describes.

        Raises:
          ValueError: they are those of another model.
        """
        import jax

        from sor_jax.programs import prediction

        num_ranks = config.model.num_ranks
        if top is not None and not 1 <= top <= num_ranks:
            raise ValueError(f"top is {top}; expected 1..{num_ranks}, the ranks of the model")
        self.name, self.card, self.top = name, dict(card or {}), top or num_ranks
        self.canvas_hw = tuple(config.data.canvas_hw)
        self.batch_size = batch_size or (1 if jax.default_backend() == "cpu" else 8)
        self._variables = jax.device_put(variables)
        self._predict = prediction(config, variables, self.batch_size)
        self._first, self._is_compiled = threading.Lock(), False

    @overload
    def __call__(self, photograph: Photograph) -> "Ranking": ...

    @overload
    def __call__(self, photographs: Sequence[Photograph]) -> "list[Ranking]": ...

    def __call__(self, photograph):
        """The Ranking of a photograph, or the list of those of a list.

        Args:
          photograph: a path, the bytes of an image file, a Pillow image, an array u8[H, W, 3], or
            a list or tuple of these, which is computed in batches.

        Raises:
          ValueError, OSError, TypeError: see `read_photograph`; of a list the first that fails.
        """
        if isinstance(photograph, list | tuple):
            named = [(read_photograph(one), _name_of(one)) for one in photograph]
            return [
                ranking for part in _parts(named, self.batch_size) for ranking in self.rank(part)
            ]
        return self.rank([(read_photograph(photograph), _name_of(photograph))])[0]

    def rank(self, named: Sequence[tuple[np.ndarray, str]]) -> "list[Ranking]":
        """The Rankings of at most `batch_size` photographs (u8[H, W, 3], name), in one run."""
        from sor_jax.ranking import ranking_of

        return [
            ranking_of(found, image, top=self.top, name=name, model=self.name)
            for found, (image, name) in zip(
                self.find([one for one, _ in named]), named, strict=True
            )
        ]

    def find(self, images: Sequence[np.ndarray]) -> "list[PhotoDetections]":
        """All that is found in at most `batch_size` photographs u8[H, W, 3], ranked or not."""
        from sor_jax.decode.paste import paste

        padded = self._on_canvas(images)
        detections = self._run(padded)
        return [
            paste(detections, slot, np.asarray(padded.valid_hw[slot]), image.shape[:2])
            for slot, image in enumerate(images)
        ]

    def __repr__(self) -> str:
        height, width = self.canvas_hw
        return f"Ranker({self.name}, {height}x{width}, top {self.top})"

    def _on_canvas(self, images: Sequence[np.ndarray]) -> "Images":
        from sor_jax.inputs.pad import empty_image, pad_image
        from sor_jax.structures import Images

        padded = [pad_image(image, canvas_hw=self.canvas_hw) for image in images]
        padded += [empty_image(canvas_hw=self.canvas_hw)] * (self.batch_size - len(images))
        stacked: dict[str, Any] = {
            name: np.stack([one[name] for one in padded]) for name in padded[0]
        }
        return Images(**stacked)

    def _run(self, images: "Images"):
        import jax

        if self._is_compiled:
            return jax.device_get(self._predict(self._variables, images))
        with self._first:  # or every thread would compile
            detections = jax.device_get(self._predict(self._variables, images))
            self._is_compiled = True
        return detections


def _name_of(photograph: Photograph) -> str:
    return str(photograph) if isinstance(photograph, str | os.PathLike) else ""


def _parts(items: Sequence, size: int) -> Iterable[Sequence]:
    return (items[start : start + size] for start in range(0, len(items), size))
