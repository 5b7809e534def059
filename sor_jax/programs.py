"""The compiled prediction of a config, whose tracing is kept on disk beside jax's compile cache."""

import functools
import hashlib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import export

from sor_jax.files import write_whole
from sor_jax.structures import Boxes, Detections, Images

FOLDER = "sor_jax_programs"
KEPT = 32  # the newest; each takes some hundred kB
_PACKAGES = ("jax", "jaxlib", "flax", "numpy")  # that trace, or lower what was traced
_PACKAGE = pathlib.Path(__file__).parent


def prediction(
    config, variables: Any, batch_size: int, *, is_kept: bool = True
) -> Callable[[Any, Images], Detections]:
    """The predictor of config's model as a compiled function of (variables, images).

    What tracing it gives (StableHLO, as of jax.export) is kept in the folder of the compile cache
    where there is one, and found again for the same config, sizes, code, packages and settings of
    jax. So a later process neither traces nor compiles.

    Args:
      config: of the model, see build.build_predict.
      variables: {"params", "frozen"} of the model, arrays or jax.ShapeDtypeStruct.
      batch_size: images of a run, each of config.data.canvas_hw.
      is_kept: False keeps and looks up nothing, as for several devices.

    Raises:
      ValueError: the variables are not those of config's model; it names them.
    """
    arguments = _shapes(config, variables, batch_size)
    folder = jax.config.values["jax_compilation_cache_dir"]
    if not is_kept or not folder or jax.default_backend() != "cpu":
        return _checked(config, arguments)
    path = pathlib.Path(folder) / FOLDER / _key(config, arguments)
    kept = _read(path)
    if kept is None:
        _register()
        kept = export.export(_checked(config, arguments))(*arguments)
        _write(path, kept)
    return jax.jit(kept.call)


def _checked(config, arguments):
    """The predictor under jax.jit, once it has been traced and has read all of the variables."""
    from flax.errors import FlaxError

    from sor_jax.build import build_model, build_predict

    function = jax.jit(build_predict(config, build_model(config)))
    try:
        jaxpr = function.trace(*arguments).jaxpr
    except FlaxError as error:
        raise ValueError(f"the weights are of another model than the config's: {error}") from None
    read = {variable for equation in jaxpr.eqns for variable in map(id, equation.invars)}
    names = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree_util.tree_leaves_with_path(arguments[0])
    ]
    # The variables come first among the arguments.
    unread = [name for name, x in zip(names, jaxpr.jaxpr.invars, strict=False) if id(x) not in read]
    if unread:
        raise ValueError(
            "the weights are of another model than the config's, which has no "
            f"{', '.join(unread[:4])}{', ..' if unread[4:] else ''}"
        )
    return function


def _shapes(config, variables, batch_size):
    height, width = config.data.canvas_hw
    images = Images(
        image=jax.ShapeDtypeStruct((batch_size, height, width, 3), np.uint8),
        valid_hw=jax.ShapeDtypeStruct((batch_size, 2), np.int32),
        valid=jax.ShapeDtypeStruct((batch_size,), bool),
    )
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), variables), images


def _key(config, arguments) -> str:
    """Of everything that a traced program depends on."""
    facts = {
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "devices": [jax.devices()[0].device_kind],
        "settings": {name: repr(value) for name, value in sorted(jax.config.values.items())},
        "flags": os.environ.get("XLA_FLAGS", ""),
        "code": _digest_of_code(),
        "config": {
            name: config[name].to_dict()
            for name in ("model", "reference", "train")
            if name in config
        },
        "arguments": str(arguments),
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _digest_of_code() -> str:
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _read(path: pathlib.Path):
    """A kept program; None where there is none or it is not as it was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        return None
    _register()
    return export.deserialize(bytearray(content[32:]))


def _write(path: pathlib.Path, exported) -> None:
    """Keeps a program, and the newest others; a cache that cannot be written costs time alone."""
    content = bytes(exported.serialize())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, hashlib.sha256(content).digest() + content)
        kept = sorted(path.parent.iterdir(), key=lambda one: one.stat().st_mtime)
        for old in kept[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return


@functools.cache
def _register() -> None:
    """Tells jax.export how our nouns are called on disk."""
    for noun in (Boxes, Images, Detections):
        export.register_pytree_node_serialization(
            noun,
            serialized_name=f"sor_jax.{noun.__name__}",
            serialize_auxdata=lambda _: b"",
            deserialize_auxdata=lambda _: (),
        )
