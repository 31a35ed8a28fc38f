// forge and cast, the real binaries, against the chain, from accounts that own nothing.
import { test, describe, before } from "node:test";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Wallet, getCreateAddress, toBeHex } from "ethers";
import { RPC, CHAIN_ID, freshKey, notOnAnvil, raw, receiptOf, rpc } from "./lib/env.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const machine = { x64: "amd64", arm64: "arm64" }[process.arch];
/** The tool itself and not its launcher, which ends with 0 whatever the tool says. */
const binary = (tool) => join(here, `node_modules/@foundry-rs/${tool}-${process.platform}-${machine}/bin/${tool}`);
const quiet = { FOUNDRY_DISABLE_NIGHTLY_WARNING: "1", NO_COLOR: "1", ETH_RPC_URL: RPC, CI: "true" };

/** Runs a Foundry tool; resolves to `{code, out, err}` and rejects on a failure unless `mayFail`. */
function run(tool, args, { cwd = here, mayFail = false } = {}) {
  return new Promise((resolve, reject) => {
    execFile(binary(tool), args, { cwd, env: { ...process.env, ...quiet }, timeout: 180_000, maxBuffer: 64 << 20 }, (error, out, err) => {
      const result = { code: error ? (error.code ?? 1) : 0, out: out.trim(), err: err.trim() };
      if (error && !mayFail) reject(new Error(`${tool} ${args.join(" ")}: ${error.message}\n${out}\n${err}`));
      else resolve(result);
    });
  });
}
const cast = (...args) => run("cast", args);
const number = (text) => BigInt(text.split(/\s+/)[0]);

// forge writes beside its sources and wants libraries inside its project: it gets a copy with links.
let project;
before(() => {
  const scratch = mkdtempSync(join(tmpdir(), "hawser-forge-"));
  project = join(scratch, "forge");
  cpSync(join(here, "forge"), project, { recursive: true, filter: (path) => !/\/(out|cache|broadcast)$/.test(path) });
  symlinkSync(join(here, "node_modules"), join(project, "node_modules"));
  symlinkSync(join(here, "lib"), join(scratch, "lib"));
  process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
});

describe("forge", () => {
  test("a_project_compiles_and_its_tests_pass", async () => {
    const { out } = await run("forge", ["test", "--json"], { cwd: project });
    const suites = Object.values(JSON.parse(out.slice(out.indexOf("{"))));
    const results = suites.flatMap((suite) => Object.values(suite.test_results));
    assert.equal(results.length, 2);
    for (const result of results) assert.equal(result.status, "Success");
  });

  for (const legacy of [false, true]) {
    test(`forge_create_broadcasts${legacy ? "_a_legacy_transaction" : ""}`, async () => {
      const key = await freshKey();
      const { out } = await run("forge", ["create", "src/Counter.sol:Counter", "--rpc-url", RPC, "--private-key", key, "--broadcast", "--json",
        ...(legacy ? ["--legacy"] : []), "--constructor-args", "41"], { cwd: project });
      const made = JSON.parse(out.slice(out.indexOf("{")));
      assert.equal(made.deployedTo.toLowerCase(), getCreateAddress({ from: new Wallet(key).address, nonce: 0 }).toLowerCase());
      const receipt = await receiptOf(made.transactionHash);
      assert.equal(receipt.status, "0x1");
      assert.equal(receipt.type, legacy ? "0x0" : "0x2");
      assert.equal(await rpc("eth_getStorageAt", [made.deployedTo, "0x1", "latest"]), toBeHex(41, 32));
    });
  }

  test("forge_script_deploys_and_calls", async () => {
    const key = await freshKey();
    await run("forge", ["script", "script/Deploy.s.sol:Deploy", "--rpc-url", RPC, "--private-key", key, "--broadcast", "--slow", "--non-interactive"], { cwd: project });
    const address = getCreateAddress({ from: new Wallet(key).address, nonce: 0 });
    assert.equal(await rpc("eth_getStorageAt", [address, "0x1", "latest"]), toBeHex(6, 32));
  });
});

describe("cast", () => {
  let key, owner, counter;
  before(async () => {
    key = await freshKey();
    owner = new Wallet(key).address;
    const { out } = await run("forge", ["create", "src/Counter.sol:Counter", "--rpc-url", RPC, "--private-key", key, "--broadcast", "--json", "--constructor-args", "1"], { cwd: project });
    counter = JSON.parse(out.slice(out.indexOf("{"))).deployedTo;
  });

  test("send_call_receipt_and_logs_agree", async () => {
    const sent = JSON.parse((await cast("send", counter, "set(uint256)", "12", "--private-key", key, "--json")).out);
    assert.equal(sent.status, "0x1");
    assert.equal(number((await cast("call", counter, "count()(uint256)")).out), 12n);
    const receipt = JSON.parse((await cast("receipt", sent.transactionHash, "--json")).out);
    assert.equal(receipt.blockHash, sent.blockHash);
    assert.equal(receipt.logs.length, 1);
    const logs = JSON.parse((await cast("logs", "--from-block", String(Number(receipt.blockNumber)), "--to-block", "latest", "--address", counter, "Counted(uint256 indexed)", "--json")).out);
    assert.equal(logs[0].transactionHash, sent.transactionHash);
    assert.equal(logs[0].topics[1], toBeHex(12, 32));
    const transaction = JSON.parse((await cast("tx", sent.transactionHash, "--json")).out);
    assert.equal(transaction.hash, sent.transactionHash);
  });

  test("every_transaction_type_is_accepted", async () => {
    for (const [flags, type] of [[["--legacy"], "0x0"], [["--access-list"], "0x1"], [[], "0x2"]]) {
      const args = type === "0x1" ? ["--legacy", ...flags] : flags;
      const sent = JSON.parse((await cast("send", counter, "increment()", "--private-key", key, "--json", ...args)).out);
      assert.equal(sent.status, "0x1");
      assert.equal(sent.type, type);
    }
  });

  test("an_authorization_is_signed_and_sent", async () => {
    const authority = await freshKey();
    const signed = (await cast("wallet", "sign-auth", counter, "--private-key", authority, "--chain", String(CHAIN_ID), "--nonce", "0")).out;
    const sent = JSON.parse((await cast("send", new Wallet(authority).address, "increment()", "--private-key", key, "--auth", signed, "--json")).out);
    assert.equal(sent.type, "0x4");
    const code = (await cast("code", new Wallet(authority).address)).out;
    assert.equal(code.toLowerCase(), "0xef0100" + counter.slice(2).toLowerCase());
  });

  test("balance_nonce_code_storage_and_block_can_be_read", async () => {
    assert.equal(number((await cast("balance", "0x" + "77".repeat(20))).out), 0n);
    assert.ok(number((await cast("nonce", owner)).out) >= 1n);
    assert.ok((await cast("code", counter)).out.length > 100);
    assert.equal((await cast("storage", counter, "0")).out.toLowerCase(), toBeHex(BigInt(owner), 32));
    const block = JSON.parse((await cast("block", "latest", "--json")).out);
    assert.match(block.hash, /^0x[0-9a-f]{64}$/);
    assert.ok((await cast("block", "latest")).out.includes("parentHash"));
    assert.equal(Number((await cast("chain-id")).out), CHAIN_ID);
    assert.equal((await cast("rpc", "eth_chainId")).out.replaceAll('"', ""), "0x" + CHAIN_ID.toString(16));
  });

  test("an_empty_account_keeps_nothing_and_owes_nothing", notOnAnvil("it charges the tip"), async () => {
    assert.equal(number((await cast("balance", owner)).out), 0n);
    assert.equal(number((await cast("gas-price")).out), 0n);
    assert.equal(number((await cast("base-fee")).out), 0n);
  });

  test("access_list_and_estimate_and_proof", async () => {
    const made = JSON.parse((await cast("access-list", counter, "increment()", "--from", owner, "--json")).out);
    const list = made.accessList ?? made.access_list;
    assert.deepEqual(list.map((entry) => [entry.address.toLowerCase(), entry.storageKeys]), [[counter.toLowerCase(), [toBeHex(1, 32)]]]);
    assert.ok(number((await cast("estimate", counter, "increment()", "--from", owner)).out) > 21_000n);
    const proof = JSON.parse((await cast("proof", counter, "1")).out);
    assert.equal(proof.storageProof.length, 1);
    assert.ok(BigInt(proof.storageProof[0].value) > 0n);
  });

  test("a_revert_is_explained", async () => {
    const stranger = await freshKey();
    const failed = await run("cast", ["send", counter, "set(uint256)", "1", "--private-key", stranger], { mayFail: true });
    assert.notEqual(failed.code, 0);
    assert.match(failed.err + failed.out, /execution reverted|OwnableUnauthorizedAccount/);
    // The answer that it is taken from: code 3 and the revert bytes.
    const { error } = await raw("eth_call", [{ from: new Wallet(stranger).address, to: counter, data: "0x60fe47b1" + toBeHex(1, 32).slice(2) }, "latest"]);
    assert.equal(error.code, 3);
    assert.equal(error.data.slice(0, 10), "0x118cdaa7");
  });

  test("a_transaction_is_replayed_step_by_step", async () => {
    // cast executes it again by itself and knows nothing of chains without fees: the balance must cover what was
    // signed, so nothing is offered here.
    const free = ["--legacy", "--gas-price", "0"];
    const sent = JSON.parse((await cast("send", counter, "increment()", "--private-key", key, ...free, "--json")).out);
    const { out } = await cast("run", sent.transactionHash, "--quick");
    assert.match(out, /Transaction successfully executed|increment|0xd09de08a/);
  });
});
