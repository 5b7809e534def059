"""Shows that EfficientNet-Lite and its conversion are right: it classifies photographs.

    make check-weights [LITE=1]

which is `python -m experiments.classify CHECKPOINT.pth FOLDER`; FOLDER holds the packages
scikit-image and scikit-learn (pip install --target), whose photographs are used. Fails unless each
has a right class of ImageNet among its five most probable.
"""

import pathlib

from absl import logging

from sor_jax import commands, platform

SIDE = 224
SHARE = 0.875  # of the shorter side, cut from the middle
# Not scikit-learn's other photograph, flower.jpg: a dahlia, for which ImageNet has no class.
PHOTOGRAPHS = {
    "skimage/data/chelsea.png": {281: "tabby", 282: "tiger cat", 285: "Egyptian cat"},
    "skimage/data/coffee.png": {967: "espresso", 968: "cup"},
    "skimage/data/motorcycle_left.png": {665: "moped", 670: "motor scooter"},
    "skimage/data/rocket.jpg": {657: "missile", 744: "projectile", 812: "space shuttle"},
    "sklearn/datasets/images/china.jpg": {698: "palace", 663: "monastery"},
}


def main(argv):
    """Prints the best right class of every photograph, its place and its probability."""
    if len(argv) != 3:
        raise ValueError("expected CHECKPOINT.pth FOLDER")
    platform.configure()
    logging.set_verbosity(logging.ERROR)

    import numpy as np
    from PIL import Image

    folder = pathlib.Path(argv[2])
    photographs = [np.asarray(_middle(Image.open(folder / name))) for name in PHOTOGRAPHS]
    probabilities = _classify(argv[1], np.stack(photographs))
    places = []
    for (name, right), probability in zip(PHOTOGRAPHS.items(), probabilities, strict=True):
        order = np.argsort(-probability).tolist()
        best = min(right, key=order.index)
        places.append(order.index(best) + 1)
        print(f"{name:36}{right[best]:16}place {places[-1]:3}  {probability[best]:.2f}")
    if max(places) > 5:
        raise SystemExit("a right class is not among the first five")


def _middle(image):
    side = int(SHARE * min(image.size))
    left, top = ((length - side) // 2 for length in image.size)
    return image.convert("RGB").resize((SIDE, SIDE), box=(left, top, left + side, top + side))


def _classify(source, images):
    """u8[n, SIDE, SIDE, 3] -> probabilities f32[n, 1000]."""
    import jax
    import jax.numpy as jnp

    from sor_jax.convert.families import EFFICIENTNET_LITE
    from sor_jax.convert.fit import MISMATCH, MISSING, fit
    from sor_jax.convert.readers import read_checkpoint
    from sor_jax.models.efficientnet_lite import EFFICIENTNET_LITES, Classifier

    checkpoint = read_checkpoint(source)
    given = EFFICIENTNET_LITE.normalisation(checkpoint)
    x = (images - jnp.array(given.pixel_mean)) / jnp.array(given.pixel_std)
    valid_hw = jnp.full((len(images), 2), SIDE)
    for name, spec in EFFICIENTNET_LITES.items():
        model = Classifier(spec)
        shapes = jax.eval_shape(model.init, jax.random.key(0), x, valid_hw)
        result = fit(checkpoint.arrays, EFFICIENTNET_LITE, shapes)
        if not result.of(MISSING, MISMATCH):
            print(f"{source}: {name}")
            return jax.nn.softmax(jax.jit(model.apply)(result.variables(), x, valid_hw))
    raise SystemExit(f"{source} fits none of {', '.join(EFFICIENTNET_LITES)}")


if __name__ == "__main__":
    commands.run(main, takes_words=True)
