"""The report: rules, the model untrained, trained, and trained with help; best and worst pages."""

import itertools
import os
import pathlib

import jax
import numpy as np
from ml_collections import ConfigDict

from experiments.photographs import ways
from experiments.photographs.scores import Row, markdown, mean_result
from sor_jax.build import build_model, build_predict
from sor_jax.checkpoints.model import start_variables, trained_variables
from sor_jax.checkpoints.provenance import read_provenance, with_normalisation
from sor_jax.distributed.sharding import make_mesh, make_predict, put
from sor_jax.evaluation.batches import EvalBatches
from sor_jax.evaluation.gallery import picture_of
from sor_jax.evaluation.loop import in_photograph, predicted
from sor_jax.evaluation.truth import truth_of
from sor_jax.files import write_json, write_png, write_whole
from sor_jax.visualize import contact_sheet


def write_report(
    config: ConfigDict,
    models: dict[str, str],
    data: dict[str, str],
    ranks: list[str],
    out: str | os.PathLike,
) -> None:
    """Scores every model on every data set and all ranks, prints and writes the tables.

    Args:
      config: describes the models.
      models: name -> workdir, checkpoint or weights.
      data: name -> "FOLDER:split,split", photographs in ASSR layout.
      ranks: the folders of ranks to score on, as config.data.rank_field.
      out: takes report.md, results.json and the galleries.
    """
    out, results, report = pathlib.Path(out), {}, []
    for name, place in data.items():
        root, _, splits = place.rpartition(":")
        for field in ranks:
            config = config.copy_and_resolve_references()
            config.data.update(root=root, rank_field=field)
            title = name if len(ranks) == 1 else f"{name}, {field}"
            folder = out / title.replace(" ", "_").replace(",", "")
            results[title] = _data_set(config, models, splits.split(","), folder)
            report.append(f"## {title}\n\n{markdown(results[title])}\n")
            print(report[-1], flush=True)
    write_whole(out / "report.md", "\n".join(report))
    write_json(out / "results.json", results)


def _data_set(config, models, splits, folder) -> dict[str, dict]:
    """{row: numbers} of the rules, the untrained model and all trained ones."""
    draws = {name: [Row() for _ in several] for name, several in ways.RULES.items()}
    for _, records in _batches(config, splits):
        for record, truth in ((record, truth_of(record)) for record in records):
            for name, rows in draws.items():
                for rule, row in zip(ways.RULES[name], rows, strict=True):
                    row.add(record, ways.in_order(truth, rule(truth)), truth)
    table = {
        f"true masks, {name}": mean_result([row.result() for row in rows])
        for name, rows in draws.items()
    }
    for name, source in {"untrained": "", **models}.items():
        rows = _score(config, source, splits)
        table |= {f"{name}{what}": row.result() for what, row in rows.items() if source or not what}
        if source:
            best_and_worst(rows[""].examples, folder / name)
    return table


def _score(config, source, splits) -> dict[str, Row]:
    """Rows of one model: as it is, and with a part of its work done for it."""
    config, variables = _load(config, source)
    predictor = build_predict(config, build_model(config))
    given = ways.TrueBoxes(predictor.model, predictor.rank_rule)
    mesh = make_mesh(jax.local_devices()[:1])
    find, rank = make_predict(predictor, mesh), make_predict(given, mesh, put=put)
    helped = (", true boxes", ", true boxes and masks", ", true order")
    rows = {"": Row(keep=True)} | {name: Row() for name in helped}

    def both(batch):
        return find(variables, batch), rank(variables, batch), np.asarray(batch["gt_valid"])

    for seen in itertools.chain.from_iterable(predicted(both, _batches(config, splits))):
        found, ranked, is_object = seen.output
        record, truth, own = seen.record, truth_of(seen.record), in_photograph(found, seen)
        order = ranked.rank_class[seen.slot][is_object[seen.slot]]
        predictions = (
            own,
            in_photograph(ranked, seen),
            ways.true_masks(order, record, truth),
            ways.true_order(own, truth),
        )
        for row, prediction in zip(rows.values(), predictions, strict=True):
            row.add(record, prediction, truth)
    return rows


def _load(config, source):
    """(config with the weights' normalisation, variables); without a source, before training."""
    if not source:
        return config, start_variables(config)
    config = with_normalisation(config, read_provenance(source))
    return config, trained_variables(config, source)


def _batches(config, splits):
    """Batches and records of the splits, one after the other."""
    for split in splits:
        yield from EvalBatches(config, split, ground_truth=True)(config.eval.batch_size)


def best_and_worst(examples: list[tuple], folder: pathlib.Path, *, count: int = 10) -> None:
    """Writes best.png and worst.png: photograph, ground truth and prediction of each.

    They are ordered by SA-SOR, which counts objects that are not found; equal ones by MAE.
    Photographs for which it is undefined, such as those with one object, take no part.
    """
    with_order = [e for e in examples if e[3]["sa_sor"] is not None]
    order = sorted(with_order, key=lambda e: (-e[3]["sa_sor"], e[3]["mae"]))
    note = "SA-SOR {sa_sor:.2f}, {matched} of {objects} matched"
    for name, chosen in (("best", order[:count]), ("worst", order[::-1][:count])):
        panels = [picture_of(*seen, note.format(**scores)) for *seen, scores in chosen]
        if panels:
            write_png(folder / f"{name}.png", contact_sheet(panels))
