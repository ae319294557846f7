// `make vendor`: fills src/lakehead/console/static/vendor from the packages that package-lock.json pins.
// Run in a folder into which `npm ci` has installed them; the argument is the folder to fill.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const target = process.argv[2];
const copied = {
  "htmx.org": ["dist/htmx.min.js"],
  idiomorph: ["dist/idiomorph-ext.min.js"],
  uplot: ["dist/uPlot.iife.min.js", "dist/uPlot.min.css"],
  "@dagrejs/dagre": ["dist/dagre.esm.js"],
};

rmSync(target, { recursive: true, force: true });
mkdirSync(join(target, "licences"), { recursive: true });
const told = [];

function meta(name) {
  return JSON.parse(readFileSync(join("node_modules", name, "package.json"), "utf8"));
}

function licence(name) {
  const folder = join("node_modules", name);
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  return readFileSync(join(folder, file), "utf8").trim();
}

function tell(file, packages, licenceText) {
  const names = packages.map((name) => `${name} ${meta(name).version}`);
  const kinds = [...new Set(packages.map((name) => meta(name).license))];
  const licenceFile = `licences/${packages.length > 1 ? "codemirror" : packages[0].replace(/^@|\..*$/g, "").replace("/", "-")}.txt`;
  writeFileSync(join(target, licenceFile), licenceText + "\n");
  const digest = createHash("sha256").update(readFileSync(join(target, file))).digest("hex");
  told.push(
    `[[file]]\nname = "${file}"\npackages = ${JSON.stringify(names)}\nlicence = "${kinds.join(" AND ")}"\n` +
      `licence_file = "${licenceFile}"\nsha256 = "${digest}"\n`,
  );
}

for (const [name, files] of Object.entries(copied)) {
  for (const file of files) {
    const base = file.split("/").at(-1);
    copyFileSync(join("node_modules", name, file), join(target, base));
    tell(base, [name], licence(name));
  }
}

const bundle = await build({
  entryPoints: ["editor.js"],
  outfile: join(target, "codemirror.js"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  metafile: true,
});
const inputs = Object.keys(bundle.metafile.inputs).map((path) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1]);
const bundled = [...new Set(inputs.filter(Boolean))].sort();
tell("codemirror.js", bundled, bundled.map((name) => `${name}\n\n${licence(name)}`).join("\n\n---\n\n"));

writeFileSync(
  join(target, "MANIFEST.toml"),
  "# Written by `make vendor`: where each file is from, and what it must be. codemirror.js is bundled from vendor/editor.js.\n\n" +
    told.join("\n"),
);
