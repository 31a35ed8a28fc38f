// Compiles the contracts of this folder with the compiler and the library that tests/clients pins, offline.
//   node compile.mjs           writes the .hex files
//   node compile.mjs --check   fails where a .hex file is not what its source gives
// HAWSER_CLIENTS names another folder with its node_modules.
import { createRequire } from "node:module";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const clients = resolve(process.env.HAWSER_CLIENTS ?? join(here, "../../../tests/clients"));
const solc = createRequire(join(clients, "package.json"))("solc");
const files = readdirSync(here).filter((file) => file.endsWith(".sol")).sort();

const input = {
  language: "Solidity",
  sources: Object.fromEntries(files.map((file) => [file, { content: readFileSync(join(here, file), "utf8") }])),
  settings: {
    evmVersion: "osaka",
    optimizer: { enabled: true, runs: 200 },
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["evm.bytecode.object"] } },
  },
};
const find = (path) => ({ contents: readFileSync(join(clients, "node_modules", path), "utf8") });
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
const errors = (output.errors ?? []).filter((entry) => entry.severity === "error");
if (errors.length > 0) throw new Error(errors.map((entry) => entry.formattedMessage).join("\n"));
for (const file of files) {
  const name = basename(file, ".sol");
  const code = `${output.contracts[file][name].evm.bytecode.object}\n`;
  const path = join(here, `${name}.hex`);
  if (process.argv.includes("--check")) {
    if (readFileSync(path, "utf8") !== code) throw new Error(`${name}.hex is not what ${file} compiles to`);
  } else {
    writeFileSync(path, code);
  }
  console.log(`${name}.hex: ${(code.length - 1) / 2} bytes, ${solc.version()}`);
}
