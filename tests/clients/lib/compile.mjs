// Compiles the example and test contracts with solc-js, offline, and keeps the result on disk.
// `node lib/compile.mjs` prints the path of the artifact file; the Python tests read it from there.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, writeFileSync, existsSync, renameSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The newest target that a chain with this EVM has to run; solc's own default since 0.8.31. */
export const EVM_VERSION = "osaka";

const here = dirname(fileURLToPath(import.meta.url));
const clients = resolve(here, "..");
const examples = resolve(clients, "../../examples/solidity");
const require = createRequire(import.meta.url);

const SOURCES = {
  "Token.sol": join(examples, "Token.sol"),
  "Deed.sol": join(examples, "Deed.sol"),
  "Vault.sol": join(examples, "Vault.sol"),
  "VaultProxy.sol": join(examples, "VaultProxy.sol"),
  "SM2.sol": join(examples, "SM2.sol"),
  "SM3.sol": join(examples, "SM3.sol"),
  "SM4.sol": join(examples, "SM4.sol"),
  "P256.sol": join(examples, "P256.sol"),
  "SealedBids.sol": join(examples, "SealedBids.sol"),
  "Probe.sol": join(clients, "contracts/Probe.sol"),
};
export const ARTIFACT_FILE = join(clients, "node_modules/.cache/hawser/artifacts.json");

function build() {
  const sources = {};
  for (const [name, path] of Object.entries(SOURCES)) sources[name] = { content: readFileSync(path, "utf8") };
  const settings = {
    evmVersion: EVM_VERSION,
    optimizer: { enabled: true, runs: 200 },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"] } },
  };
  const version = require("solc/package.json").version;
  const openzeppelin = require("@openzeppelin/contracts/package.json").version;
  const key = createHash("sha256").update(JSON.stringify([version, openzeppelin, sources, settings])).digest("hex");
  if (existsSync(ARTIFACT_FILE)) {
    const kept = JSON.parse(readFileSync(ARTIFACT_FILE, "utf8"));
    if (kept.key === key) return kept;
  }
  const solc = require("solc");
  const findImport = (path) => {
    try {
      return { contents: readFileSync(join(clients, "node_modules", path), "utf8") };
    } catch (error) {
      return { error: String(error) };
    }
  };
  const input = { language: "Solidity", sources, settings };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));
  const errors = (output.errors ?? []).filter((entry) => entry.severity === "error");
  if (errors.length > 0) throw new Error(errors.map((entry) => entry.formattedMessage).join("\n"));
  const contracts = {};
  for (const file of Object.keys(SOURCES)) {
    for (const [name, made] of Object.entries(output.contracts[file])) {
      contracts[name] = {
        abi: made.abi,
        bytecode: "0x" + made.evm.bytecode.object,
        deployedBytecode: "0x" + made.evm.deployedBytecode.object,
      };
    }
  }
  const built = { key, evmVersion: EVM_VERSION, contracts };
  mkdirSync(dirname(ARTIFACT_FILE), { recursive: true });
  // Written aside and renamed, because several test files may compile at the same moment.
  const aside = `${ARTIFACT_FILE}.${process.pid}`;
  writeFileSync(aside, JSON.stringify(built));
  renameSync(aside, ARTIFACT_FILE);
  return built;
}

let loaded;
/** `{abi, bytecode, deployedBytecode}` of one contract by name. */
export function artifact(name) {
  loaded ??= build();
  const found = loaded.contracts[name];
  if (!found) throw new Error(`no contract named ${name}`);
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  build();
  console.log(ARTIFACT_FILE);
}
