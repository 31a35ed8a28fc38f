// The wire itself: what a client gets for good, bad and hostile JSON-RPC.
import { test, describe, before } from "node:test";
import assert from "node:assert/strict";
import {
  ContractFactory, Interface, JsonRpcProvider, Transaction, Wallet, ZeroAddress, decodeRlp, encodeRlp, toBeHex,
} from "ethers";
import { WebSocket } from "ws";
import { ON_ANVIL, RPC, WS, CHAIN_ID, freshKey, notOnAnvil, post, raw, receiptOf, rpc, until } from "./lib/env.mjs";
import { artifact } from "./lib/compile.mjs";

const quantity = /^0x(0|[1-9a-f][0-9a-f]*)$/;
const word = (value) => toBeHex(value, 32);
const provider = new JsonRpcProvider(RPC, CHAIN_ID, { staticNetwork: true, cacheTimeout: -1, pollingInterval: 200 });
const probeAbi = new Interface(artifact("Probe").abi);
const signed = async (key, fields) => new Wallet(key).signTransaction({
  type: 2, chainId: CHAIN_ID, nonce: 0, to: ZeroAddress, gasLimit: 21_000n, maxFeePerGas: 2_000_000_000n, maxPriorityFeePerGas: 0n, ...fields,
});
const refuses = async (method, params, code) => {
  const answer = await raw(method, params);
  assert.ok(answer.error, `${method} ${JSON.stringify(params)} was accepted: ${JSON.stringify(answer.result)}`);
  assert.equal(typeof answer.error.message, "string");
  assert.ok(answer.error.message.length > 0);
  if (code !== undefined) assert.equal(answer.error.code, code, answer.error.message);
  return answer.error.message;
};

describe("rpc: names and shapes", () => {
  test("the_chain_says_who_it_is", async () => {
    assert.equal(Number(await rpc("eth_chainId")), CHAIN_ID);
    assert.equal(await rpc("net_version"), String(CHAIN_ID));
    assert.match(await rpc("web3_clientVersion"), /\S+\/\S+/);
    assert.equal(await rpc("net_listening"), true);
    assert.deepEqual(await rpc("eth_syncing"), false);
    assert.equal(await rpc("web3_sha3", ["0x68656c6c6f20776f726c64"]), "0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad");
  });

  test("node_keys_sign_nothing_for_clients", notOnAnvil("it has development accounts"), async () => {
    assert.deepEqual(await rpc("eth_accounts"), []);
  });

  test("peers_and_modules_are_reported", notOnAnvil("it has neither"), async () => {
    assert.match(await rpc("net_peerCount"), quantity);
    const modules = await rpc("rpc_modules");
    for (const name of ["eth", "net", "web3", "debug", "txpool"]) assert.ok(name in modules, `${name} is missing`);
  });

  test("fees_are_zero_everywhere", notOnAnvil("it suggests a tip of 1 gwei"), async () => {
    assert.equal(await rpc("eth_gasPrice"), "0x0");
    assert.equal(await rpc("eth_maxPriorityFeePerGas"), "0x0");
    const history = await rpc("eth_feeHistory", ["0x4", "latest", [10, 50, 90]]);
    for (const fee of history.baseFeePerGas) assert.equal(fee, "0x0");
    for (const row of history.reward ?? []) assert.deepEqual(row, ["0x0", "0x0", "0x0"]);
    const tip = await until("four blocks or fewer", () => rpc("eth_blockNumber"));
    const expected = Math.min(4, Number(tip) + 1);
    assert.ok(history.gasUsedRatio.length <= expected);
    assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
  });

  test("a_block_has_every_field_that_clients_read", async () => {
    const block = await rpc("eth_getBlockByNumber", ["latest", false]);
    for (const field of ["number", "timestamp", "gasLimit", "gasUsed", "size", "nonce", "difficulty", "baseFeePerGas"]) {
      assert.match(block[field], field === "nonce" ? /^0x[0-9a-f]{16}$/ : quantity, field);
    }
    for (const field of ["hash", "parentHash", "stateRoot", "transactionsRoot", "receiptsRoot", "sha3Uncles", "mixHash"]) {
      assert.match(block[field], /^0x[0-9a-f]{64}$/, field);
    }
    assert.match(block.logsBloom, /^0x[0-9a-f]{512}$/);
    assert.match(block.miner, /^0x[0-9a-f]{40}$/);
    assert.deepEqual(block.uncles, []);
    assert.deepEqual((await rpc("eth_getBlockByHash", [block.hash, true])).hash, block.hash);
    const parent = await rpc("eth_getBlockByHash", [block.parentHash, false]);
    if (Number(block.number) > 0) assert.equal(Number(parent.number), Number(block.number) - 1);
  });

  test("what_does_not_exist_is_null_and_not_an_error", async () => {
    const nothing = "0x" + "ab".repeat(32);
    assert.equal(await rpc("eth_getTransactionByHash", [nothing]), null);
    assert.equal(await rpc("eth_getTransactionReceipt", [nothing]), null);
    assert.equal(await rpc("eth_getBlockByHash", [nothing, false]), null);
    assert.equal(await rpc("eth_getBlockByNumber", ["0xffffffffff", false]), null);
  });

  test("a_block_object_as_in_eip_1898_is_understood", async () => {
    const block = await rpc("eth_getBlockByNumber", ["latest", false]);
    assert.match(await rpc("eth_getBalance", [ZeroAddress, { blockHash: block.hash }]), quantity);
    assert.match(await rpc("eth_getTransactionCount", [ZeroAddress, { blockNumber: block.number }]), quantity);
    await refuses("eth_getBalance", [ZeroAddress, { blockHash: "0x" + "cd".repeat(32) }]);
  });

  test("the_pool_can_be_read", async () => {
    const status = await rpc("txpool_status");
    assert.match(status.pending, quantity);
    assert.match(status.queued, quantity);
    const content = await rpc("txpool_content");
    assert.ok(content.pending && content.queued);
    assert.ok((await rpc("txpool_inspect")).pending);
  });
});

describe("rpc: refusals", () => {
  test("an_unknown_method_is_minus_32601", () => refuses("hawser_noSuchMethod", [], -32601));
  test("a_namespace_that_is_not_there_is_minus_32601", () => refuses("nosuch_thing", [{}], -32601));
  test("missing_and_wrong_parameters_are_minus_32602", async () => {
    await refuses("eth_getBalance", [], -32602);
    await refuses("eth_getBalance", ["not an address", "latest"], -32602);
    await refuses("eth_getBalance", [ZeroAddress, "neverest"], -32602);
    await refuses("eth_getBlockByNumber", ["0xzz", false], -32602);
  });

  test("broken_json_is_minus_32700_and_a_non_request_is_minus_32600", notOnAnvil("it answers all of them with -32600"), async () => {
    assert.equal((await post("{\"jsonrpc\":")).body.error.code, -32700);
    assert.equal((await post("17")).body.error.code, -32600);
    assert.equal((await post("[]")).body.error.code, -32600);
  });

  test("a_transaction_for_another_chain_is_refused", async () => {
    const message = await refuses("eth_sendRawTransaction", [await signed(await freshKey(), { chainId: CHAIN_ID + 1 })]);
    assert.match(message, /chain/i);
  });

  test("a_used_nonce_is_refused", async () => {
    const key = await freshKey();
    const first = await rpc("eth_sendRawTransaction", [await signed(key, {})]);
    assert.equal((await receiptOf(first)).status, "0x1");
    const message = await refuses("eth_sendRawTransaction", [await signed(key, { gasLimit: 22_000n })]);
    assert.match(message, /nonce too low/i);
  });

  test("the_same_transaction_twice_is_reported_as_known", async () => {
    const key = await freshKey();
    // A gap in the nonces keeps it in the pool.
    const transaction = await signed(key, { nonce: 1 });
    const hash = await rpc("eth_sendRawTransaction", [transaction]);
    const again = await raw("eth_sendRawTransaction", [transaction]);
    if (again.error) assert.match(again.error.message, /already|known|import/i);
    else assert.equal(again.result, hash);
  });

  test("less_gas_than_a_transaction_costs_at_least_is_refused", async () => {
    const message = await refuses("eth_sendRawTransaction", [await signed(await freshKey(), { gasLimit: 20_999n })]);
    assert.match(message, /gas/i);
  });

  test("malformed_raw_transactions_are_refused_and_cost_nothing", notOnAnvil("it accepts trailing bytes"), async () => {
    const good = await signed(await freshKey(), {});
    const before = Date.now();
    for (const bad of ["0x", "0x02", "0x05c0", "0xc0", good.slice(0, -2), good + "00", good.replace("0x02", "0x7f"), "02f8", "0x0"]) {
      await refuses("eth_sendRawTransaction", [bad]);
    }
    assert.ok(Date.now() - before < 10_000);
    assert.ok(await rpc("eth_blockNumber"));
  });

  test("a_signature_with_a_high_s_is_refused", notOnAnvil("it accepts both signatures"), async () => {
    // EIP-2: the second, malleable signature of the same message.
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const good = Transaction.from(await signed(await freshKey(), {}));
    const { r, s, yParity } = good.signature;
    const fields = decodeRlp("0x" + good.serialized.slice(4));
    fields[9] = yParity === 0 ? "0x01" : "0x";
    fields[10] = r.replace(/^0x(00)+/, "0x");
    fields[11] = toBeHex(order - BigInt(s));
    await refuses("eth_sendRawTransaction", ["0x02" + encodeRlp(fields).slice(2)]);
  });

  test("an_ordinary_batch_is_answered_in_full", async () => {
    const batch = Array.from({ length: 50 }, (_, id) => ({ jsonrpc: "2.0", id, method: id === 7 ? "nosuch_method" : "eth_chainId", params: [] }));
    const { body } = await post(batch);
    assert.equal(body.length, 50);
    const byId = new Map(body.map((answer) => [answer.id, answer]));
    assert.equal(byId.get(7).error.code, -32601);
    for (let id = 0; id < 50; id++) if (id !== 7) assert.equal(Number(byId.get(id).result), CHAIN_ID);
  });

  test("an_oversized_batch_is_refused_and_the_node_goes_on", notOnAnvil("it has no such limit"), async () => {
    const batch = Array.from({ length: 5_000 }, (_, id) => ({ jsonrpc: "2.0", id, method: "eth_chainId", params: [] }));
    const { status, body } = await post(batch);
    const answers = Array.isArray(body) ? body : [body];
    assert.ok(status === 413 || answers.every((answer) => answer.error), "5000 calls in one batch were served");
    assert.equal(Number(await rpc("eth_chainId")), CHAIN_ID);
  });

  test("an_oversized_body_is_refused_and_the_node_goes_on", notOnAnvil("it has no such limit"), async () => {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "web3_sha3", params: ["0x" + "00".repeat(32 * 1024 * 1024)] });
    const answer = await post(body).catch((error) => ({ status: 413, body: String(error) }));
    assert.ok(answer.status === 413 || answer.body.error, "a body of 64 MiB was served");
    assert.equal(Number(await rpc("eth_chainId")), CHAIN_ID);
  });

  test("browsers_may_ask_from_other_origins", async () => {
    const response = await fetch(RPC, { method: "OPTIONS", headers: { origin: "https://example.org", "access-control-request-method": "POST", "access-control-request-headers": "content-type" } });
    assert.ok(response.ok);
    assert.ok(["*", "https://example.org"].includes(response.headers.get("access-control-allow-origin")));
  });
});

describe("rpc: websocket", () => {
  test("requests_batches_and_subscriptions_share_one_socket", async () => {
    const socket = new WebSocket(WS);
    const inbox = [];
    socket.on("message", (data) => inbox.push(JSON.parse(data.toString())));
    await new Promise((open, fail) => socket.once("open", open).once("error", fail));
    const ask = async (id, method, params) => {
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
      return until(`answer ${id}`, () => inbox.find((message) => message.id === id));
    };
    try {
      assert.equal(Number((await ask(1, "eth_chainId", [])).result), CHAIN_ID);
      const unknown = (await ask(2, "nosuch_method", [])).error;
      assert.equal(unknown.code, ON_ANVIL ? -32602 : -32601);
      socket.send(JSON.stringify([{ jsonrpc: "2.0", id: 3, method: "eth_chainId", params: [] }, { jsonrpc: "2.0", id: 4, method: "net_version", params: [] }]));
      const batch = await until("the batch", () => inbox.find((message) => Array.isArray(message)));
      assert.equal(batch.length, 2);
      const heads = (await ask(5, "eth_subscribe", ["newHeads"])).result;
      assert.match(heads, /^0x[0-9a-f]+$/);
      assert.ok((await ask(6, "eth_subscribe", ["nosuchtopic"])).error);
      await rpc("eth_sendRawTransaction", [await signed(await freshKey(), {})]);
      const head = await until("a head", () => inbox.find((message) => message.method === "eth_subscription" && message.params.subscription === heads));
      assert.match(head.params.result.number, quantity);
      assert.match(head.params.result.hash, /^0x[0-9a-f]{64}$/);
      assert.equal((await ask(7, "eth_unsubscribe", [heads])).result, true);
      assert.equal((await ask(8, "eth_unsubscribe", [heads])).result ?? false, false);
    } finally {
      socket.close();
    }
  });
});

describe("rpc: receipts and traces of a known contract", () => {
  let signer, probe, child;
  before(async () => {
    signer = new Wallet(await freshKey(), provider);
    probe = await new ContractFactory(probeAbi, artifact("Probe").bytecode, signer).deploy();
    await probe.waitForDeployment();
    child = (await probe.child()).toLowerCase();
    await (await probe.store(5n)).wait();
  });
  const address = async () => (await probe.getAddress()).toLowerCase();
  const send = async (name, args, overrides = {}) => {
    const data = probeAbi.encodeFunctionData(name, args);
    const { hash } = await signer.sendTransaction({ to: await address(), data, ...overrides });
    return { hash, data, receipt: await receiptOf(hash) };
  };

  test("a_receipt_has_every_field_that_clients_read", async () => {
    const { hash, receipt } = await send("store", [6n], { type: 2 });
    assert.equal(receipt.transactionHash, hash);
    assert.equal(receipt.status, "0x1");
    assert.equal(receipt.type, "0x2");
    assert.equal(receipt.contractAddress, null);
    assert.equal(receipt.from, signer.address.toLowerCase());
    assert.equal(receipt.to, await address());
    for (const field of ["gasUsed", "cumulativeGasUsed", "effectiveGasPrice", "blockNumber", "transactionIndex"]) assert.match(receipt[field], quantity, field);
    assert.match(receipt.logsBloom, /^0x[0-9a-f]{512}$/);
    assert.notEqual(BigInt(receipt.logsBloom), 0n);
    assert.equal(receipt.logs[0].blockHash, receipt.blockHash);
    const all = await rpc("eth_getBlockReceipts", [receipt.blockNumber]);
    assert.deepEqual(all.find((other) => other.transactionHash === hash), receipt);
    const block = await rpc("eth_getBlockByHash", [receipt.blockHash, false]);
    assert.equal(block.transactions[Number(receipt.transactionIndex)], hash);
    assert.equal(await rpc("eth_getBlockTransactionCountByHash", [receipt.blockHash]), "0x" + block.transactions.length.toString(16));
    assert.equal((await rpc("eth_getTransactionByBlockHashAndIndex", [receipt.blockHash, receipt.transactionIndex])).hash, hash);
  });

  test("raw_transactions_come_back_as_they_were_sent", async () => {
    const transaction = await signed(await freshKey(), {});
    const hash = await rpc("eth_sendRawTransaction", [transaction]);
    await receiptOf(hash);
    assert.equal(await rpc("debug_getRawTransaction", [hash]), transaction);
  });

  test("callTracer_shows_the_frames_of_a_nested_call", async () => {
    const { hash, data, receipt } = await send("relay", [21n]);
    const trace = await rpc("debug_traceTransaction", [hash, { tracer: "callTracer" }]);
    assert.equal(trace.type, "CALL");
    assert.equal(trace.from, signer.address.toLowerCase());
    assert.equal(trace.to, await address());
    assert.equal(trace.input, data);
    assert.equal(trace.output, word(42n));
    assert.equal(trace.gasUsed, receipt.gasUsed);
    assert.equal(BigInt(trace.value ?? "0x0"), 0n);
    assert.equal(trace.error, undefined);
    assert.equal(trace.calls.length, 1);
    const [inner] = trace.calls;
    assert.equal(inner.type, "CALL");
    assert.equal(inner.from, await address());
    assert.equal(inner.to, child);
    assert.equal(inner.input, new Interface(artifact("Child").abi).encodeFunctionData("note", [21n]));
    assert.equal(inner.output, word(42n));
  });

  test("callTracer_shows_why_and_the_logs_when_asked", async () => {
    const { hash, receipt } = await send("fail", [4n], { gasLimit: 200_000n });
    assert.equal(receipt.status, "0x0");
    const trace = await rpc("debug_traceTransaction", [hash, { tracer: "callTracer" }]);
    assert.equal(trace.error, "execution reverted");
    assert.equal(trace.output, probeAbi.encodeErrorResult("Refused", [4n, "on purpose"]));
    const stored = await send("store", [8n]);
    const withLogs = await rpc("debug_traceTransaction", [stored.hash, { tracer: "callTracer", tracerConfig: { withLog: true } }]);
    assert.equal(withLogs.logs.length, 1);
    assert.equal(withLogs.logs[0].address, await address());
    assert.deepEqual(withLogs.logs[0].topics, stored.receipt.logs[0].topics);
  });

  test("prestateTracer_shows_the_slot_before_and_the_difference_after", async () => {
    const before = await probe.value();
    const { hash } = await send("store", [before + 1n]);
    const plain = await rpc("debug_traceTransaction", [hash, { tracer: "prestateTracer" }]);
    assert.equal(plain[await address()].storage[word(0)], word(before));
    assert.ok(plain[signer.address.toLowerCase()]);
    const diff = await rpc("debug_traceTransaction", [hash, { tracer: "prestateTracer", tracerConfig: { diffMode: true } }]);
    assert.equal(diff.pre[await address()].storage[word(0)], word(before));
    assert.equal(diff.post[await address()].storage[word(0)], word(before + 1n));
    const sender = signer.address.toLowerCase();
    assert.equal(diff.post[sender].nonce, (diff.pre[sender].nonce ?? 0) + 1);
  });

  test("the_struct_logger_lists_the_steps", async () => {
    const { hash, receipt } = await send("store", [1234n]);
    const trace = await rpc("debug_traceTransaction", [hash]);
    assert.equal(trace.failed, false);
    assert.equal(BigInt(trace.gas), BigInt(receipt.gasUsed));
    assert.ok(["", "0x"].includes(trace.returnValue));
    const store = trace.structLogs.find((step) => step.op === "SSTORE");
    assert.equal(store.depth, 1);
    const [value, slot] = store.stack.slice(-2).map((item) => BigInt(item));
    assert.equal(slot, 0n);
    assert.equal(value, 1234n);
    assert.ok(trace.structLogs.every((step) => Number.isInteger(step.pc) && Number.isInteger(step.gas)));
    assert.ok(["STOP", "RETURN"].includes(trace.structLogs.at(-1).op));
  });

  test("a_block_is_traced_whole", async () => {
    const { hash, receipt } = await send("store", [77n]);
    const traces = await rpc("debug_traceBlockByNumber", [receipt.blockNumber, { tracer: "callTracer" }]);
    const mine = traces[Number(receipt.transactionIndex)];
    assert.equal(mine.txHash ?? hash, hash);
    assert.equal(mine.result.to, await address());
    const same = await rpc("debug_traceBlockByHash", [receipt.blockHash, { tracer: "callTracer" }]);
    assert.deepEqual(same, traces);
  });

  test("a_call_is_traced_without_being_sent", async () => {
    const data = probeAbi.encodeFunctionData("relay", [2n]);
    const trace = await rpc("debug_traceCall", [{ from: signer.address, to: await address(), data }, "latest", { tracer: "callTracer" }]);
    assert.equal(trace.output, word(4n));
    assert.equal(trace.calls[0].to, child);
  });

  test("a_trace_of_something_unknown_is_an_error", notOnAnvil("it answers with an empty trace"), async () => {
    await refuses("debug_traceTransaction", ["0x" + "ab".repeat(32), { tracer: "callTracer" }]);
    const { hash } = await send("store", [3n]);
    await refuses("debug_traceTransaction", [hash, { tracer: "noSuchTracer" }]);
  });
});
