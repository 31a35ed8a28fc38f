// Compiles BenchToken.sol with the compiler and the contracts that tests/clients pins, offline.
// HAWSER_CLIENTS names another folder with its node_modules.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const clients = resolve(process.env.HAWSER_CLIENTS ?? join(here, "../../../tests/clients"));
const solc = createRequire(join(clients, "package.json"))("solc");

const input = {
  language: "Solidity",
  sources: { "BenchToken.sol": { content: readFileSync(join(here, "BenchToken.sol"), "utf8") } },
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
const code = output.contracts["BenchToken.sol"].BenchToken.evm.bytecode.object;
writeFileSync(join(here, "BenchToken.hex"), `${code}\n`);
console.log(`BenchToken.hex: ${code.length / 2} bytes, ${solc.version()}`);
