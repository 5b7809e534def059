"""Ranks photographs from the command line.

sor-jax rank photo.jpg                 photo.ranked.png beside it, and a table
sor-jax rank FOLDER --out RESULTS      every photograph in it, with its sub-folders
sor-jax export lite0 --format stablehlo --out lite0.stablehlo
sor-jax models                         what there is to rank with
"""

import argparse
import sys
from collections.abc import Sequence

from sor_jax import pretrained
from sor_jax.jobs import KINDS, Shard, find_jobs

FORMATS = ("stablehlo", "onnx")
_MODEL = f"a shipped model, a folder of weights or a workdir [{pretrained.DEFAULT}]"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line (None: the program's own); returns the exit status.

    0: all is done; 1: something could not be done, and a message on stderr says what; 2: the
    command line is wrong; 130: interrupted.
    """
    from sor_jax.commands import plain_errors

    arguments = parser().parse_args(argv)
    with plain_errors(debug=arguments.debug):
        return arguments.run(arguments)


def _rank(arguments: argparse.Namespace) -> int:
    from sor_jax import batch
    from sor_jax.crop import parse_aspect
    from sor_jax.ranker import load

    kinds = arguments.save
    if kinds is None:
        kinds = () if arguments.json else ("picture", *(("crop",) if arguments.crop else ()))
    if "crop" in kinds and not arguments.crop:
        raise ValueError("--save crop needs an aspect: --crop 1:1")
    if arguments.crop:
        parse_aspect(arguments.crop)
    jobs = find_jobs(arguments.photographs, out=arguments.out, shard=arguments.shard)
    todo = [job for job in jobs if arguments.again or not job.is_done(kinds, arguments.crop)]
    done_before = len(jobs) - len(todo)
    counts = batch.Counts(0, 0)
    if todo:
        ranker = load(
            arguments.model,
            top=arguments.top,
            threshold=arguments.threshold,
            rank_rule=arguments.rank_rule,
        )
        counts = batch.rank_all(
            ranker, todo, kinds=kinds, crop=arguments.crop, as_json=bool(arguments.json)
        )
    told = [f"{counts.ranked} ranked"]
    if done_before:
        told.append(f"{done_before} done before (--again does them again)")
    if counts.failed:
        told.append(f"{counts.failed} could not be ranked")
    if len(jobs) > 1 or done_before or counts.failed:
        print(", ".join(told), file=sys.stderr)
    return 1 if counts.failed else 0


def _export(arguments: argparse.Namespace) -> int:
    import importlib.util
    import pathlib

    if arguments.format == "onnx" and not importlib.util.find_spec("onnx"):
        raise ValueError("--format onnx needs the package onnx: pip install 'sor_jax[onnx]'")

    from sor_jax.checkpoints.model import read_model
    from sor_jax.files import write_whole

    model = read_model(
        arguments.model, threshold=arguments.threshold, rank_rule=arguments.rank_rule
    )
    from sor_jax.export.program import build_program

    program = build_program(
        model.variables,
        model.config,
        name=model.name,
        card=model.card,
        canvas_hw=arguments.canvas,
        dtype=arguments.dtype,
    )
    if arguments.format == "onnx":
        from sor_jax.export.onnx_file import to_onnx

        encoded = to_onnx(program, batch=arguments.batch)
    else:
        from sor_jax.export.stablehlo import to_stablehlo

        encoded = to_stablehlo(program, batch=arguments.batch, platforms=arguments.platforms)
    write_whole(pathlib.Path(arguments.out), encoded)
    print(f"written: {arguments.out}, {len(encoded) / 1e6:.1f} MB")
    return 0


def _models(arguments: argparse.Namespace) -> int:
    from sor_jax.checkpoints.exported import describe

    print("\n\n".join(describe(pretrained.HERE / name) for name in pretrained.names()))
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from sor_jax.web import serve

    serve(model=arguments.model, host=arguments.host, port=arguments.port)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line, with `run` set to what does it."""
    parser = argparse.ArgumentParser(
        prog="sor-jax",
        description="Finds the objects of photographs and says which one people look at first.",
    )
    parser.set_defaults(debug=False)
    commands = parser.add_subparsers(required=True, metavar="rank | serve | export | models")

    _add_rank(commands)
    _add_serve(commands)
    _add_export(commands)
    models = commands.add_parser("models", help="what there is to rank with")
    models.set_defaults(run=_models)
    return parser


def _add_rank(commands) -> None:
    rank = commands.add_parser("rank", help="rank photographs and folders of them")
    rank.set_defaults(run=_rank)
    rank.add_argument("photographs", nargs="+", help="files, or folders with all they hold")
    _add_model(rank)
    rank.add_argument(
        "--out", metavar="DIR", help="where results go, in the folders' shape [beside each one]"
    )
    rank.add_argument(
        "--save",
        type=_kinds,
        metavar="KIND,..",
        help=f"what is written: {', '.join(KINDS)} [picture]",
    )
    rank.add_argument(
        "--crop", metavar="W:H", help="the window of this aspect that keeps what is looked at"
    )
    rank.add_argument("--top", type=int, help="at most so many objects [the model's ranks, 5]")
    _add_rules(rank)
    rank.add_argument(
        "--json", choices=("-",), help="a line of JSON a photograph on the standard output"
    )
    rank.add_argument("--again", action="store_true", help="do what is done, too")
    rank.add_argument(
        "--shard", type=Shard.parse, metavar="I/N", help="the I-th of N parts, for job arrays"
    )


def _add_serve(commands) -> None:
    serve = commands.add_parser("serve", help="the page, in a browser")
    serve.set_defaults(run=_serve)
    _add_model(serve)
    serve.add_argument("--port", type=int, default=7860, help="[7860]")
    serve.add_argument(
        "--host", default="127.0.0.1", help="0.0.0.0 lets other machines in [127.0.0.1]"
    )
    serve.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _add_export(commands) -> None:
    export = commands.add_parser("export", help="a model as one file that runs without this code")
    export.set_defaults(run=_export)
    export.add_argument(
        "model", nargs="?", default=pretrained.DEFAULT, metavar="NAME_OR_DIR", help=_MODEL
    )
    export.add_argument("--format", choices=FORMATS, required=True, help="of the file")
    export.add_argument("--out", required=True, metavar="FILE", help="where it is written")
    export.add_argument(
        "--canvas",
        type=_canvas,
        metavar="HxW",
        help="pixels that photographs are fitted into [the model's]",
    )
    export.add_argument(
        "--batch", type=_batch, default=1, metavar="1|N", help="images in a call; N leaves it open"
    )
    export.add_argument(
        "--platforms",
        type=lambda text: tuple(text.split(",")),
        default=("cpu",),
        metavar="P,..",
        help="stablehlo: of cpu, cuda, rocm, tpu [cpu]",
    )
    export.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="of layers [float32]"
    )
    _add_rules(export)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default=pretrained.DEFAULT,
        metavar="NAME_OR_DIR",
        help=_MODEL,
    )


def _add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threshold", type=float, help="probability of an object [the model's]")
    parser.add_argument("--rank-rule", choices=("sequential", "expected"), help="[the model's]")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _canvas(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}; expected HEIGHTxWIDTH, such as 256x320")
    return int(height), int(width)


def _batch(text: str) -> int | None:
    if text == "N":
        return None
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number, or N for any")
    return int(text)


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(word for word in text.split(",") if word)
    if unknown := [word for word in kinds if word not in KINDS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(KINDS)}")
    return kinds
