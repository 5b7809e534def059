"""Salient object ranking in JAX: find the objects of a photograph and say which is seen first.

    import sor_jax

    ranker = sor_jax.load()
    ranking = ranker("photo.jpg")
    ranking.draw().save("ranked.png")

Importing the package is instant; jax comes with the first `load`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sor_jax.ranker import Ranker as Ranker
    from sor_jax.ranker import load as load
    from sor_jax.ranking import Ranking as Ranking
    from sor_jax.ranking import Thing as Thing

_ROOMS = {"load": "ranker", "Ranker": "ranker", "Ranking": "ranking", "Thing": "ranking"}
__all__ = ["Ranker", "Ranking", "Thing", "load"]


def __getattr__(name):
    if name not in _ROOMS:
        raise AttributeError(f"module 'sor_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sor_jax.{_ROOMS[name]}"), name)


def __dir__():
    return sorted([*globals(), *__all__])
