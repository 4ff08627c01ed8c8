// node site_start.mjs PYODIDE_FOLDER PACKAGE.zip: starts as a tab does, and prints which Python files were loaded, as JSON.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

process.on("uncaughtException", (error) => {
  process.stderr.write(`${error.message}\n`); // without the megabyte of code that Node would quote
  process.exit(1);
});

const [home, archive] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(home, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: home, stdout: () => undefined });
globalThis.navigator ??= {}; // older Nodes have none; like newer ones, it has no GPU
python.FS.writeFile("/lib/package.zip", new Uint8Array(readFileSync(archive)));
python.runPython("import sys; sys.path.append('/lib/package.zip')");
python.runPython(readFileSync(new URL("site_start.py", import.meta.url), "utf8"));
await python.runPythonAsync("await start()");
process.stdout.write(python.runPython("loaded()"));
