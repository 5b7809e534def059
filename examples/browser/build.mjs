// node build.mjs MODEL.onnx FOLDER: the page with its model, all that a file server needs.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const [model, out] = process.argv.slice(2).map((path) => resolve(path));
const runtime = join(here, "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm");

await mkdir(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: ["src/page.js"],
  outfile: join(out, "page.js"),
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2023",
});
await copyFile(join(here, "index.html"), join(out, "index.html"));
for (const [from, to] of [[runtime, "ort.wasm.gz"], [model, "model.onnx.gz"]]) {
  await writeFile(join(out, to), gzipSync(await readFile(from), { level: 9 }));
}
const sizes = await Promise.all((await readdir(out)).map((name) => stat(join(out, name))));
const bytes = sizes.reduce((sum, { size }) => sum + size, 0);
console.log(`${out}: ${(bytes / 1e6).toFixed(1)} MB`);
