// node site_bytecode.mjs PYODIDE_FOLDER SOURCES.zip BYTECODE.zip: compiles Python sources with the Python of a tab.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [home, source, target] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(home, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: home, env: { PYTHONHASHSEED: "0", HOME: "/home/pyodide" } });
python.FS.writeFile("/source.zip", new Uint8Array(readFileSync(source)));
python.runPython(readFileSync(new URL("site_bytecode.py", import.meta.url), "utf8"));
python.runPython("compile_archive('/source.zip', '/target.zip')");
writeFileSync(target, python.FS.readFile("/target.zip"));
