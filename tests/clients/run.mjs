// Runs every client test against one chain, and ends with a line per client.
//   HAWSER_RPC=… HAWSER_WS=… HAWSER_CHAIN_ID=… node run.mjs [suite…]
//   node run.mjs --reference anvil [suite…]     checks the tests themselves against an independent node
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";

const here = dirname(fileURLToPath(import.meta.url));
const NODE_SUITES = ["ethers", "viem", "rpc", "foundry", "sm"];
const args = process.argv.slice(2);
if (args.includes("--help") || args.includes("-h")) {
  console.log("usage: HAWSER_RPC=http://… HAWSER_WS=ws://… HAWSER_CHAIN_ID=n node run.mjs [ethers|viem|rpc|foundry|sm|web3]…");
  console.log("       node run.mjs --reference anvil [suite]…");
  process.exit(0);
}
const env = { ...process.env };
const onCi = ["true", "1"].includes(env.CI ?? "");
const results = [];

async function startAnvil() {
  const port = await new Promise((found) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => found(port));
    });
  });
  const machine = { x64: "amd64", arm64: "arm64" }[process.arch];
  const binary = join(here, `node_modules/@foundry-rs/anvil-${process.platform}-${machine}/bin/anvil`);
  const anvil = spawn(binary, ["--port", String(port), "--chain-id", "7310", "--gas-price", "0", "--block-base-fee-per-gas", "0",
    "--block-time", "1", "--hardfork", "osaka", "--steps-tracing", "--silent"], { stdio: "ignore" });
  process.on("exit", () => anvil.kill());
  Object.assign(env, { HAWSER_RPC: `http://127.0.0.1:${port}`, HAWSER_WS: `ws://127.0.0.1:${port}`, HAWSER_CHAIN_ID: "7310", HAWSER_REFERENCE: "anvil" });
  for (let tries = 0; tries < 100; tries++) {
    const up = await fetch(env.HAWSER_RPC, { method: "POST", headers: { "content-type": "application/json" }, body: '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}' }).then((r) => r.ok, () => false);
    if (up) return;
    await sleep(100);
  }
  throw new Error("anvil did not start");
}

function python() {
  const inVenv = join(here, ".venv/bin/python3");
  if (existsSync(inVenv)) return [inVenv, {}];
  const beside = join(here, ".venv/packages");
  if (existsSync(beside)) return ["python3", { PYTHONPATH: beside }];
  return null;
}

const reference = args.indexOf("--reference");
if (reference >= 0) {
  if (args[reference + 1] !== "anvil") throw new Error("the only reference known is anvil");
  args.splice(reference, 2);
}
const wanted = args.length > 0 ? args : [...NODE_SUITES, "web3"];
const unknown = wanted.filter((name) => ![...NODE_SUITES, "web3"].includes(name));
if (unknown.length > 0) {
  console.error(`no such suite: ${unknown.join(", ")}; there are ${[...NODE_SUITES, "web3"].join(", ")}`);
  process.exit(2);
}
if (!existsSync(join(here, "node_modules/ethers"))) {
  console.error("the clients are not installed: run scripts/clients-setup first");
  process.exit(2);
}
if (reference >= 0) await startAnvil();
for (const name of ["HAWSER_RPC", "HAWSER_WS", "HAWSER_CHAIN_ID"]) {
  if (!env[name]) {
    console.error(`${name} is not set; see node run.mjs --help`);
    process.exit(2);
  }
}
const compiled = spawnSync(process.execPath, ["lib/compile.mjs"], { cwd: here, encoding: "utf8" });
if (compiled.status !== 0) {
  console.error(compiled.stderr);
  process.exit(1);
}
env.HAWSER_ARTIFACTS = compiled.stdout.trim();

for (const suite of wanted) {
  const started = Date.now();
  let status;
  if (suite === "web3") {
    const found = python();
    if (!found) {
      const why = "web3.py is not installed (is there a python3 with pip?)";
      results.push([suite, onCi ? "FAILED" : "SKIPPED", why]);
      continue;
    }
    status = spawnSync(found[0], ["test_web3.py"], { cwd: here, env: { ...env, ...found[1] }, stdio: "inherit", timeout: 300_000 }).status;
  } else {
    status = spawnSync(process.execPath, ["--test", "--test-reporter=spec", `${suite}.test.mjs`], { cwd: here, env, stdio: "inherit", timeout: 300_000 }).status;
  }
  results.push([suite, status === 0 ? "passed" : "FAILED", `${((Date.now() - started) / 1000).toFixed(0)} s`]);
}
console.log(`\nclients against ${env.HAWSER_RPC}${env.HAWSER_REFERENCE ? ` (${env.HAWSER_REFERENCE})` : ""}`);
for (const [suite, outcome, note] of results) console.log(`  ${suite.padEnd(8)} ${outcome.padEnd(8)} ${note}`);
process.exit(results.some(([, outcome]) => outcome === "FAILED") ? 1 : 0);
