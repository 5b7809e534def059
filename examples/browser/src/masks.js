// Masks over a photograph of [h, w], their outlines, and the window that keeps the most.

/** What pixel centres read from `side` cells that share [low, high): [cell, weight of the next]. */
function reads(side, low, high, from, to) {
  return Array.from({ length: to - from }, (_, pixel) => {
    let at = (side * (from + pixel + 0.5 - low)) / (high - low) + 0.5;
    at = Math.min(Math.max(at, 0), side + 1);
    const cell = Math.min(Math.floor(at), side);
    return [cell, at - cell];
  });
}

/** u8 [h, w], 1 where the probability is 0.5 and more; cells outside the box read 0. */
export function paste({ cells, side, box }, [h, w]) {
  const mask = new Uint8Array(h * w);
  const wide = side + 2;
  const padded = new Float64Array(wide * wide);
  for (let row = 0; row < side; row++) {
    padded.set(cells.subarray(row * side, (row + 1) * side), (row + 1) * wide + 1);
  }
  const [x0, y0, x1, y1] = box;
  const [left, right] = [Math.floor(x0), Math.min(Math.ceil(x1), w)];
  const [top, bottom] = [Math.floor(y0), Math.min(Math.ceil(y1), h)];
  const across = reads(side, x0, x1, left, right);
  reads(side, y0, y1, top, bottom).forEach(([row, below], i) => {
    across.forEach(([column, beside], j) => {
      const at = row * wide + column;
      const upper = padded[at] * (1 - beside) + padded[at + 1] * beside;
      const lower = padded[at + wide] * (1 - beside) + padded[at + wide + 1] * beside;
      if (upper * (1 - below) + lower * below >= 0.5) mask[(top + i) * w + left + j] = 1;
    });
  });
  return mask;
}

/** Pixels of the mask with a pixel outside of it at most `reach` away along a row or column. */
export function outline(mask, [h, w], reach) {
  const edge = new Uint8Array(h * w);
  const outside = (row, column) =>
    row < 0 || column < 0 || row >= h || column >= w || !mask[row * w + column];
  for (let row = 0; row < h; row++) {
    for (let column = 0; column < w; column++) {
      if (!mask[row * w + column]) continue;
      for (let step = 1; step <= reach; step++) {
        if (
          outside(row - step, column) ||
          outside(row + step, column) ||
          outside(row, column - step) ||
          outside(row, column + step)
        ) {
          edge[row * w + column] = 1;
          break;
        }
      }
    }
  }
  return edge;
}

/** Where a number is written: the pixel of the mask that is nearest its centre. */
export function middle(mask, w) {
  let [count, x, y] = [0, 0, 0];
  mask.forEach((inside, at) => {
    if (!inside) return;
    count += 1;
    x += at % w;
    y += Math.floor(at / w);
  });
  const [cx, cy] = [x / count, y / count];
  let best = null;
  mask.forEach((inside, at) => {
    if (!inside) return;
    const far = (at % w - cx) ** 2 + (Math.floor(at / w) - cy) ** 2;
    if (!best || far < best.far) best = { far, x: at % w, y: Math.floor(at / w) };
  });
  return best;
}

/**
 * [x0, y0, x1, y1] of the largest window of an aspect (width / height) that keeps the most weight,
 * rank r weighing 6 - r spread over its mask; the first object whole where it fits, then the most
 * weight, then the middle nearest the weight's centre. As sor_jax.crop.
 */
export function bestWindow(things, masks, aspect, [h, w]) {
  const alongX = w / h > aspect;
  const room = alongX ? w : h;
  const span = Math.min(Math.max(Math.round(alongX ? h * aspect : w / aspect), 1), room);
  const profiles = things
    .map(({ rank }, index) => profile(masks[index], [h, w], alongX, room, Math.max(6 - rank, 1)))
    .filter(Boolean);
  const start = bestStart(profiles, span, room);
  return alongX ? [start, 0, start + span, h] : [0, start, w, start + span];
}

function profile(mask, [, w], alongX, room, weight) {
  const counts = new Float64Array(room);
  let total = 0;
  mask.forEach((inside, at) => {
    if (!inside) return;
    counts[alongX ? at % w : Math.floor(at / w)] += 1;
    total += 1;
  });
  return total ? counts.map((count) => (weight * count) / total) : null;
}

function bestStart(profiles, span, room) {
  if (!profiles.length) return Math.floor((room - span) / 2);
  const first = profiles[0].findIndex((value) => value > 0);
  const last = profiles[0].findLastIndex((value) => value > 0);
  let starts = Array.from({ length: room - span + 1 }, (_, start) => start);
  const holding = starts.filter((start) => start <= first && start + span > last);
  if (holding.length) starts = holding;
  const before = [0];
  let centre = 0;
  for (let at = 0; at < room; at++) {
    const weight = profiles.reduce((sum, values) => sum + values[at], 0);
    before.push(before[at] + weight);
    centre += weight * (at + 0.5);
  }
  centre /= before[room];
  const kept = (start) => before[start + span] - before[start];
  const most = Math.max(...starts.map(kept));
  starts = starts.filter((start) => kept(start) >= most - 1e-9);
  const far = (start) => Math.abs(start + span / 2 - centre);
  return starts.reduce((best, start) => (far(start) < far(best) ? start : best));
}
