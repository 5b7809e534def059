// A photograph -> what the model reads: scaled into the canvas as Pillow does, at the top left.

/** The largest [height, width] inside `inside` that keeps the aspect of `photo`. */
export function fittedSize(photo, inside) {
  const scale = Math.min(inside[0] / photo[0], inside[1] / photo[1]);
  return photo.map((side, axis) =>
    Math.min(Math.max(Math.floor(side * scale + 0.5), 1), inside[axis]),
  );
}

/** Weights of Pillow's bilinear filter: for every new cell its first old cell and its weights. */
function filter(from, to) {
  const scale = from / to;
  const support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, cell) => {
    const centre = (cell + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support + 0.5), from);
    const weights = [];
    for (let at = first; at < last; at++) {
      weights.push(Math.max(1 - Math.abs((at - centre + 0.5) / support), 0));
    }
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** One pass along rows of cells that lie `step` apart; three channels beside each other. */
function pass(source, target, lines, { from, to, step, lineIn, lineOut, stepOut }) {
  const cells = filter(from, to);
  for (let line = 0; line < lines; line++) {
    for (let cell = 0; cell < to; cell++) {
      const { first, weights } = cells[cell];
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        let at = line * lineIn + first * step + channel;
        for (let k = 0; k < weights.length; k++, at += step) sum += weights[k] * source[at];
        target[line * lineOut + cell * stepOut + channel] = Math.floor(sum + 0.5);
      }
    }
  }
}

/** u8 RGB [h, w] -> u8 RGB [newH, newW]: across first, rounded, then down, as Pillow does. */
export function resize(rgb, [h, w], [newH, newW]) {
  const wide = new Uint8Array(h * newW * 3);
  const across = { from: w, to: newW, step: 3, lineIn: w * 3, lineOut: newW * 3, stepOut: 3 };
  pass(rgb, wide, h, across);
  const small = new Uint8Array(newH * newW * 3);
  const row = newW * 3;
  pass(wide, small, newW, { from: h, to: newH, step: row, lineIn: 3, lineOut: 3, stepOut: row });
  return small;
}

/** RGBA of a canvas -> RGB. */
export function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return rgb;
}

/** {images, sizes} for a photograph of [h, w]. */
export function onCanvas(rgb, photo, canvas) {
  const size = fittedSize(photo, canvas);
  const small = photo.every((side, axis) => side === size[axis]) ? rgb : resize(rgb, photo, size);
  const images = new Uint8Array(canvas[0] * canvas[1] * 3);
  for (let row = 0; row < size[0]; row++) {
    const line = small.subarray(row * size[1] * 3, (row + 1) * size[1] * 3);
    images.set(line, row * canvas[1] * 3);
  }
  return { images, sizes: Int32Array.from(size) };
}
