// The exported model in WebAssembly. Its files are read once; after that nothing is fetched.
import * as ort from "onnxruntime-web/wasm";
import { onCanvas } from "./pixels.js";

async function unpacked(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  const blob = await answer.blob();
  const [first, second] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  if (first !== 0x1f || second !== 0x8b) return blob.arrayBuffer(); // unpacked by the server
  return new Response(blob.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** Reads the runtime and the model: rank(u8 RGB, [h, w]) -> ranked objects. */
export async function load() {
  const [runtime, weights] = await Promise.all([unpacked("ort.wasm.gz"), unpacked("model.onnx.gz")]);
  ort.env.wasm.wasmBinary = runtime;
  ort.env.wasm.numThreads = 1; // more need headers that a plain file server does not send
  const session = await ort.InferenceSession.create(weights, { executionProviders: ["wasm"] });
  const canvas = session.inputMetadata[0].shape.slice(1, 3); // height, width
  return (rgb, photo) => rank(session, canvas, rgb, photo);
}

/** The ranked objects of a photograph u8 RGB [h, w], the one that is seen first in front. */
async function rank(session, canvas, rgb, photo) {
  const { images, sizes } = onCanvas(rgb, photo, canvas);
  const found = await session.run({
    images: new ort.Tensor("uint8", images, [1, ...canvas, 3]),
    sizes: new ort.Tensor("int32", sizes, [1, 2]),
  });
  if (!found.finite.data[0]) throw new Error("the network overflowed on this photograph");
  const slots = found.ranks.dims[1];
  const [, , side] = found.masks.dims;
  const ranks = found.rank_probabilities.dims[2];
  const scale = [photo[1] / sizes[1], photo[0] / sizes[0]];
  const most = [photo[1], photo[0]];
  const things = [];
  for (let slot = 0; slot < slots; slot++) {
    if (!found.valid.data[slot] || !found.ranks.data[slot]) continue;
    const corners = Array.from(found.boxes.data.slice(slot * 4, slot * 4 + 4));
    const box = corners.map((at, i) => Math.min(Math.max(at * scale[i % 2], 0), most[i % 2]));
    if (box[2] <= box[0] || box[3] <= box[1]) continue;
    things.push({
      rank: found.ranks.data[slot],
      score: found.scores.data[slot],
      probabilities: Array.from(
        found.rank_probabilities.data.slice(slot * ranks, (slot + 1) * ranks),
      ),
      box,
      cells: found.masks.data.slice(slot * side * side, (slot + 1) * side * side),
      side,
    });
  }
  return things.sort((a, b) => a.rank - b.rank);
}
