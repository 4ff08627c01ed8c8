// node site_bytecode.mjs PYODIDE_FOLDER SOURCES.zip BYTECODE.zip: compiles Python sources with the Python of a tab.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

process.on("uncaughtException", (error) => {
  process.stderr.write(`${error.message}\n`); // without the megabyte of code that Node would quote
  process.exit(1);
});

const [home, source, target] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(home, "pyodide.mjs")));
// The same bytes each time; and lines without columns, which are a quarter of the bytecode and of use to nobody but who changes the package.
const python = await loadPyodide({ indexURL: home, env: { PYTHONHASHSEED: "0", PYTHONNODEBUGRANGES: "1", HOME: "/home/pyodide" } });
python.FS.writeFile("/source.zip", new Uint8Array(readFileSync(source)));
python.runPython(readFileSync(new URL("site_bytecode.py", import.meta.url), "utf8"));
python.runPython("compile_archive('/source.zip', '/target.zip')");
writeFileSync(target, python.FS.readFile("/target.zip"));
