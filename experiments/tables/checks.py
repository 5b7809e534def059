"""Controlled checks of a trained model: does what raises salience raise its rank score?

    python -m experiments.tables.checks --workdir runs/demo
    python -m experiments.tables.checks --shrink 2 \
        --workdir runs/reproduce/lite-scenes/detection/seed0 \
        --branch runs/reproduce/lite-scenes/branches/ppa/seed0.npz

A run is checked with its own config, as by eval.py. An object of a drawn scene moves to the middle,
grows, or loses a neighbour that is like it. Writes OUT/checks.json and OUT/checks.png.
"""

import pathlib
from collections.abc import Callable

import numpy as np
from absl import flags, logging
from ml_collections import config_flags

from experiments.plots import checks_plot, write_figure
from experiments.tables.controlled import CHANGES, SCALES, SHARES, Variant
from sor_jax import commands, platform
from sor_jax.files import write_json
from sor_jax.structures import NUM_RANKS

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    str(commands.ROOT / "configs" / "base.py"),
    "For a model that has no config.json.",
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of its training.")
_BRANCH = flags.DEFINE_string("branch", None, "A ranking branch in place of the model's own.")
_SHRINK = flags.DEFINE_integer("shrink", 1, "As the branch was trained with.")
_SCENES = flags.DEFINE_integer("scenes", 200, "How many scenes a check.")
_OUT = flags.DEFINE_string("out", "results", "Folder of the numbers and the picture.")

# variants -> one f32[n] each: the expected rank class of every object, 4 = most salient.
RankScores = Callable[[list[Variant]], list[np.ndarray]]


def run_checks(scores_of: RankScores, *, image_hw, scenes: int, seed: int = 0) -> dict[str, dict]:
    """The watched object's score in every variant of many scenes.

    Returns:
      For each of CHANGES "score", its mean in each variant, "rise", the mean of the last variant
      (of the first removal where a neighbour is removed) less the first, with "low" and "high" of
      its 95 % interval, and "share", that of the scenes where it rises. "rise_of_stranger" is that
      of removing another object.
    """
    results = {}
    for name, change in CHANGES.items():
        drawn = [change(np.random.default_rng([seed, i]), image_hw) for i in range(scenes)]
        flat = [variant for variants in drawn for variant in variants]
        found = [s[v.target] for s, v in zip(scores_of(flat), flat, strict=True)]
        found = np.reshape(found, (scenes, -1)).astype(np.float64)
        is_removal = name == "neighbour removed"
        rise = found[:, 1 if is_removal else -1] - found[:, 0]
        margin = 1.96 * rise.std(ddof=1) / np.sqrt(scenes)
        results[name] = {
            "score": found.mean(axis=0).tolist(),
            "rise": rise.mean(),
            "low": rise.mean() - margin,
            "high": rise.mean() + margin,
            "share": (rise > 0).mean(),
        }
        if is_removal:
            results[name]["rise_of_stranger"] = (found[:, 2] - found[:, 0]).mean()
    return {name: _plain(result) for name, result in results.items()}


def _plain(result):
    return {k: v if isinstance(v, list) else float(v) for k, v in result.items()}


def scorer(config, variables, *, branch=None, shrink: int = 1, slots: int = 8) -> RankScores:
    """Rank scores by a model at the true boxes.

    Args:
      config, variables: of the model.
      branch: parameters of a ranking branch in place of the model's own.
      shrink: as of training_regions.
      slots: objects of a scene at most.
    """
    import jax
    import jax.numpy as jnp

    from experiments.tables.branches import rank_logits
    from experiments.tables.regions import Regions, small
    from sor_jax.build import build_model
    from sor_jax.structures import Boxes

    model = build_model(config)
    branch = variables["params"]["ranking"] if branch is None else branch

    @jax.jit
    def expected(variables, branch, images, boxes, hw):
        bound = model.bind(variables)
        pooled, _ = bound.pool(bound.features(images, hw), boxes, hw)
        unknown = [jnp.zeros(boxes.valid.shape, jnp.int32)] * 2
        regions = Regions(small(pooled, shrink), boxes.xyxy, boxes.valid, *unknown, hw)
        share = jax.nn.softmax(rank_logits(model.ranking, branch, regions))
        return share @ jnp.arange(share.shape[-1], dtype=jnp.float32)

    def scores_of(variants, batch=32):
        found = []
        for start in range(0, len(variants), batch):
            part = variants[start : start + batch]
            images = np.zeros((batch, *part[0].image.shape), np.uint8)
            xyxy, valid = np.zeros((batch, slots, 4), np.float32), np.zeros((batch, slots), bool)
            for row, each in enumerate(part):
                images[row], count = each.image, len(each.boxes)
                xyxy[row, :count], valid[row, :count] = each.boxes, True
            hw = np.full((batch, 2), part[0].image.shape[:2], np.int32)
            scores = np.asarray(expected(variables, branch, images, Boxes(xyxy, valid), hw))
            found += [s[: len(each.boxes)] for s, each in zip(scores, part, strict=False)]
        return found

    return scores_of


_CANDIDATES = 12  # scenes of which the most typical one is drawn
_LABELS = {
    "moved to the middle": [f"{share:.0%} of the way" for share in SHARES],
    "enlarged": [f"x {scale:g}" for scale in SCALES],
    "neighbour removed": ["all", "without its twin", "without another one"],
}


def pictures(scores_of: RankScores, results: dict, *, image_hw, seed: int = 1000) -> list[tuple]:
    """Rows for plots.checks_plot: of each check the scene whose change is nearest to the mean.

    `results` are those of run_checks; `seed` is that of the scenes to choose from.
    """
    rows = []
    for name, change in CHANGES.items():
        mean, best = np.array(results[name]["score"]), None
        for number in range(_CANDIDATES):
            variants = change(np.random.default_rng([seed, number]), image_hw)
            pairs = zip(scores_of(variants), variants, strict=True)
            watched = np.array([scores[variant.target] for scores, variant in pairs])
            # The change matters, not how salient the object is to begin with.
            distance = np.abs((watched - watched[0]) - (mean - mean[0])).sum()
            if best is None or distance < best[0]:
                best = distance, variants, watched
        captions = [
            f"{label}: rank {NUM_RANKS - here:.2f}\nmean over scenes {NUM_RANKS - over_all:.2f}"
            for label, here, over_all in zip(_LABELS[name], best[2], mean, strict=True)
        ]
        panels = [
            (variant.image, variant.boxes[variant.target], caption)
            for variant, caption in zip(best[1], captions, strict=True)
        ]
        better = f"{results[name]['share']:.0%} of the scenes"
        rows.append((f"{name}: the expected rank gets better in {better}", panels))
    return rows


def main(_):
    """Checks a model, prints and writes."""
    platform.configure()
    logging.set_verbosity(logging.WARNING)

    from experiments.tables.shared import load_tree
    from sor_jax.checkpoints.model import trained_variables
    from sor_jax.checkpoints.run_config import run_config

    config, out = run_config(flags.FLAGS["config"], _WORKDIR.value), pathlib.Path(_OUT.value)
    variables = trained_variables(config, _WORKDIR.value)
    branch = load_tree(pathlib.Path(_BRANCH.value)) if _BRANCH.value else None
    scores_of = scorer(config, variables, branch=branch, shrink=_SHRINK.value)
    image_hw = tuple(config.data.canvas_hw)
    results = run_checks(scores_of, image_hw=image_hw, scenes=_SCENES.value)
    for name, result in results.items():
        print(
            f"{name}: {result['rise']:+.3f} [{result['low']:+.3f}, {result['high']:+.3f}] ranks, "
            f"up in {result['share']:.1%} of {_SCENES.value} scenes\n  {result}"
        )
    write_json(out / "checks.json", results)
    rows = pictures(scores_of, results, image_hw=image_hw)
    write_figure(out / "checks.png", checks_plot(rows))


if __name__ == "__main__":
    flags.mark_flag_as_required("workdir")
    commands.run(main)
