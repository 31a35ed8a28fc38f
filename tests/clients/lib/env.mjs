// Where the chain is, fresh accounts on it, and waiting without guessing block times.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Wallet } from "ethers";

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run these tests with \`make test\` or \`node run.mjs --help\``);
  return value;
}

export const RPC = need("HAWSER_RPC");
export const WS = need("HAWSER_WS");
export const CHAIN_ID = Number(need("HAWSER_CHAIN_ID"));
/**
 * Set to `anvil` when the tests themselves are being checked against that independent node. It suggests a
 * tip and charges it, so accounts get a balance there, and cases it cannot pass name it in `skip`.
 */
export const REFERENCE = process.env.HAWSER_REFERENCE ?? "";
export const ON_ANVIL = REFERENCE === "anvil";
export const WAIT_MS = Number(process.env.HAWSER_WAIT_MS ?? 60_000);

/** Options for `test()`: skipped against anvil for the reason given, run everywhere else. */
export const notOnAnvil = (reason) => (ON_ANVIL ? { skip: `anvil: ${reason}` } : {});

let nextId = 1;
/** Posts any JSON body and returns `{status, body}`; a body that is no JSON is returned as text. */
export async function post(body, headers = {}) {
  const response = await fetch(RPC, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  try {
    return { status: response.status, body: JSON.parse(text), headers: response.headers };
  } catch {
    return { status: response.status, body: text, headers: response.headers };
  }
}

/** One JSON-RPC call; returns the whole response object, error or result. */
export async function raw(method, params = []) {
  const id = nextId++;
  const { body } = await post({ jsonrpc: "2.0", id, method, params });
  assert.equal(body.jsonrpc, "2.0", `${method}: not a JSON-RPC 2.0 answer: ${JSON.stringify(body)}`);
  assert.equal(body.id, id, `${method}: answer to another request`);
  return body;
}

/** One JSON-RPC call that has to succeed; returns its result. */
export async function rpc(method, params = []) {
  const answer = await raw(method, params);
  assert.equal(answer.error, undefined, `${method} failed: ${JSON.stringify(answer.error)}`);
  return answer.result;
}

/** A key that has never been used: no balance, no nonce. */
export async function freshKey() {
  const key = "0x" + randomBytes(32).toString("hex");
  if (ON_ANVIL) await rpc("anvil_setBalance", [new Wallet(key).address, "0xde0b6b3a7640000"]);
  return key;
}

/** Polls until `probe` returns something other than null, undefined or false. */
export async function until(what, probe, limitMs = WAIT_MS) {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (value !== null && value !== undefined && value !== false) return value;
    if (Date.now() > end) throw new Error(`waited ${limitMs} ms in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Waits for the receipt of a transaction hash. */
export const receiptOf = (hash) =>
  until(`the receipt of ${hash}`, () => rpc("eth_getTransactionReceipt", [hash]));
