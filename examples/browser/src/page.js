// The page: a photograph in, outlines, numbers, a crop and files out. Nothing leaves the tab.
import { bestWindow, middle, outline, paste } from "./masks.js";
import { load } from "./model.js";
import { withoutAlpha } from "./pixels.js";

const COLOURS = [[214, 39, 40], [255, 127, 14], [235, 195, 20], [44, 160, 44], [31, 119, 200]];
const OTHERS = [110, 64, 170];
const LONGEST = 1600; // pixels of the picture that is drawn; the crop is of the whole photograph

const $ = (id) => document.getElementById(id);
const colour = (rank) => COLOURS[rank - 1] ?? OTHERS;
const css = (rank) => `rgb(${colour(rank).join(" ")})`;
let current = null; // {name, bitmap, shown, things, masks}
let model = null;

function say(text, state) {
  $("status").textContent = text;
  document.body.dataset.state = state;
}

/** A canvas with the bitmap on white, at most `longest` pixels along its longer side. */
function drawn(bitmap, longest = Infinity) {
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(Math.round(bitmap.width * scale), 1);
  canvas.height = Math.max(Math.round(bitmap.height * scale), 1);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

const pixels = (canvas) =>
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);

async function rankFile(file) {
  if (!file || !model) return;
  say(`reading ${file.name}`, "busy");
  try {
    const bitmap = await createImageBitmap(file);
    const whole = pixels(drawn(bitmap));
    say("ranking ..", "busy");
    await new Promise((done) => setTimeout(done, 30)); // lets the words be seen
    const begin = performance.now();
    const things = await model(withoutAlpha(whole.data), [whole.height, whole.width]);
    const took = performance.now() - begin;
    show(file.name, bitmap, things);
    document.body.dataset.milliseconds = Math.round(took);
    const count = `${things.length} object${things.length === 1 ? "" : "s"}`;
    say(`${count} in ${(took / 1000).toFixed(1)} s`, "ranked");
  } catch (error) {
    say(`${file.name} cannot be ranked: ${error.message}`, "failed");
  }
}

function show(name, bitmap, things) {
  const shown = drawn(bitmap, LONGEST);
  const scale = [shown.width / bitmap.width, shown.height / bitmap.height];
  const hw = [shown.height, shown.width];
  const masks = things.map((thing) =>
    paste({ ...thing, box: thing.box.map((at, i) => at * scale[i % 2]) }, hw),
  );
  current = { name: name.replace(/\.\w+$/, ""), bitmap, shown, things, masks };
  $("result").hidden = false;
  picture();
  table();
  crop();
}

function picture() {
  const { shown, things, masks } = current;
  const canvas = $("picture");
  [canvas.width, canvas.height] = [shown.width, shown.height];
  const context = canvas.getContext("2d");
  const image = pixels(shown);
  const data = image.data;
  for (let at = 0; at < data.length; at += 4) {
    const grey = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    data.fill(0.45 * grey + 0.55 * 245, at, at + 3);
  }
  const original = pixels(shown).data;
  const hw = [shown.height, shown.width];
  const reach = Math.max(Math.round(shown.height / 180), 2);
  const area = (index) => masks[index].reduce((sum, inside) => sum + inside, 0);
  const order = things.map((_, index) => index).sort((a, b) => area(b) - area(a));
  for (const index of order) {
    const paint = colour(things[index].rank);
    const edge = outline(masks[index], hw, reach);
    masks[index].forEach((inside, at) => {
      if (!inside) return;
      for (let channel = 0; channel < 3; channel++) {
        const i = at * 4 + channel;
        data[i] = edge[at] ? paint[channel] : 0.7 * original[i] + 0.3 * paint[channel];
      }
    });
  }
  context.putImageData(image, 0, 0);
  for (const index of order) {
    const place = middle(masks[index], shown.width);
    if (place) number(context, place, things[index].rank, shown.height);
  }
}

function number(context, { x, y }, rank, height) {
  const radius = Math.max(height / 24, 12);
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = css(rank);
  context.fill();
  context.fillStyle = "white";
  context.font = `bold ${1.3 * radius}px sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(rank, x, y + radius * 0.08);
}

function table() {
  $("things").replaceChildren(
    ...current.things.map((thing) => {
      const row = document.createElement("tr");
      const probable = thing.probabilities.map((p) => `${Math.round(100 * p)}%`).join("  ");
      for (const text of [thing.rank, thing.score.toFixed(2), probable]) {
        row.insertCell().textContent = text;
      }
      row.cells[0].style.background = css(thing.rank);
      return row;
    }),
  );
}

function crop() {
  const { bitmap, shown, things, masks } = current;
  const [across, down] = $("aspect").value.split(":").map(Number);
  const small = bestWindow(things, masks, across / down, [shown.height, shown.width]);
  const scale = [bitmap.width / shown.width, bitmap.height / shown.height];
  const [x0, y0, x1, y1] = small.map((at, i) => Math.round(at * scale[i % 2]));
  const canvas = $("crop");
  [canvas.width, canvas.height] = [x1 - x0, y1 - y0];
  canvas.getContext("2d").drawImage(drawn(bitmap), -x0, -y0);
}

function facts() {
  const { name, bitmap, things } = current;
  const told = things.map(({ rank, score, probabilities, box }) => ({
    rank,
    score,
    rank_probabilities: probabilities,
    box,
  }));
  const { width, height } = bitmap;
  return JSON.stringify({ photograph: name, width, height, things: told }, null, 1);
}

function give(blob, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${current.name}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

$("file").addEventListener("change", (event) => rankFile(event.target.files[0]));
$("aspect").addEventListener("change", crop);
$("get-picture").addEventListener("click", () =>
  $("picture").toBlob((blob) => give(blob, "ranked.png")),
);
$("get-crop").addEventListener("click", () => {
  const shape = $("aspect").value.replace(":", "x");
  $("crop").toBlob((blob) => give(blob, `crop-${shape}.jpg`), "image/jpeg", 0.92);
});
$("get-json").addEventListener("click", () =>
  give(new Blob([facts()], { type: "application/json" }), "ranked.json"),
);
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") rankFile(event.dataTransfer.files[0]);
  });
}

const begin = performance.now();
load().then(
  (loaded) => {
    model = loaded;
    $("file").disabled = false;
    document.body.dataset.loaded = Math.round(performance.now() - begin);
    say("ready: choose a photograph, or drop one anywhere", "ready");
  },
  (error) => {
    const hint = location.protocol === "file:" ? "; a browser reads it from a file server only" : "";
    say(`the model cannot be loaded: ${error.message}${hint}`, "failed");
  },
);
