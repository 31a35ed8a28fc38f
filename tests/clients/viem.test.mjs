// viem against the chain, from accounts that own nothing.
import { test, describe, before } from "node:test";
import assert from "node:assert/strict";
import {
  createPublicClient, createWalletClient, defineChain, encodeFunctionData, getContractAddress, http, keccak256,
  BaseError, ContractFunctionRevertedError, toHex, webSocket,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { RPC, WS, CHAIN_ID, freshKey, notOnAnvil, raw, until } from "./lib/env.mjs";
import { artifact } from "./lib/compile.mjs";

const chain = defineChain({
  id: CHAIN_ID, name: "chain under test", nativeCurrency: { name: "unit", symbol: "U", decimals: 18 },
  rpcUrls: { default: { http: [RPC], webSocket: [WS] } },
});
const reader = createPublicClient({ chain, transport: http(RPC), pollingInterval: 200, cacheTime: 0 });
const { abi, bytecode } = artifact("Probe");

async function walletOf(transport = http(RPC)) {
  return createWalletClient({ account: privateKeyToAccount(await freshKey()), chain, transport, pollingInterval: 200 });
}
const mined = async (hash) => {
  const receipt = await reader.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, "success");
  return receipt;
};

describe("viem", () => {
  let wallet, address, deployed;
  before(async () => {
    wallet = await walletOf();
    deployed = await mined(await wallet.deployContract({ abi, bytecode, args: [] }));
    address = deployed.contractAddress;
  });
  const write = async (functionName, args, who = wallet) => mined(await who.writeContract({ address, abi, functionName, args }));
  const read = (functionName, args = [], more = {}) => reader.readContract({ address, abi, functionName, args, ...more });

  test("a_contract_is_deployed_where_its_creator_and_nonce_say", () => {
    assert.equal(address.toLowerCase(), getContractAddress({ from: wallet.account.address, nonce: 0n }).toLowerCase());
  });

  test("a_write_is_read_back_now_and_not_before_its_block", async () => {
    const receipt = await write("store", [21n]);
    assert.equal(await read("value"), 21n);
    assert.equal(await read("value", [], { blockNumber: receipt.blockNumber }), 21n);
    assert.equal(await read("value", [], { blockNumber: deployed.blockNumber }), 0n);
  });

  test("the_price_paid_is_zero", notOnAnvil("it charges its suggested tip"), async () => {
    const receipt = await write("store", [22n]);
    assert.equal(receipt.effectiveGasPrice, 0n);
    assert.ok(receipt.gasUsed > 21_000n);
  });

  test("a_transaction_can_be_prepared_whether_or_not_the_node_fills_it", async () => {
    const answer = await raw("eth_fillTransaction", [{ from: wallet.account.address, to: address, data: "0x" }]);
    if (answer.error) {
      // Clients fall back on "method not found" and pass every other error on to the user.
      assert.ok([-32601, 3].includes(answer.error.code), JSON.stringify(answer.error));
    } else {
      assert.ok(answer.result.raw && answer.result.tx, "fillTransaction answers {raw, tx}");
    }
    const request = await wallet.prepareTransactionRequest({ to: address, data: encodeFunctionData({ abi, functionName: "store", args: [1n] }) });
    assert.equal(request.chainId, CHAIN_ID);
    assert.ok(request.gas > 21_000n);
  });

  test("watchEvent_sees_an_event_by_polling", async () => {
    const seen = [];
    const stop = reader.watchContractEvent({ address, abi, eventName: "Stored", pollingInterval: 200, onLogs: (logs) => seen.push(...logs) });
    try {
      // The filter is made in the background: events are produced until one is seen.
      let value = 1000n;
      await until("an event", async () => {
        await write("store", [value++]);
        return seen.length > 0;
      });
      assert.equal(seen[0].eventName, "Stored");
      assert.equal(seen[0].args.by, wallet.account.address);
    } finally {
      stop();
    }
  });

  test("watchEvent_and_watchBlocks_work_over_websocket", async () => {
    const client = createPublicClient({ chain, transport: webSocket(WS, { reconnect: false, keepAlive: false }) });
    const logs = [], blocks = [];
    const stopLogs = client.watchContractEvent({ address, abi, eventName: "Stored", onLogs: (found) => logs.push(...found) });
    const stopBlocks = client.watchBlockNumber({ onBlockNumber: (number) => blocks.push(number) });
    try {
      let value = 2000n;
      await until("an event and a head", async () => {
        await write("store", [value++]);
        return logs.length > 0 && blocks.length > 0;
      });
    } finally {
      stopLogs();
      stopBlocks();
      (await client.transport.getRpcClient()).close();
    }
  });

  test("simulateContract_returns_the_result_without_sending", async () => {
    const { result, request } = await reader.simulateContract({ address, abi, functionName: "relay", args: [8n], account: wallet.account });
    assert.equal(result, 16n);
    await mined(await wallet.writeContract(request));
  });

  test("simulateContract_decodes_a_custom_error", async () => {
    await assert.rejects(
      reader.simulateContract({ address, abi, functionName: "fail", args: [6n], account: wallet.account }),
      (error) => {
        assert.ok(error instanceof BaseError);
        const inner = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
        assert.equal(inner.data.errorName, "Refused");
        assert.deepEqual(inner.data.args, [6n, "on purpose"]);
        return true;
      },
    );
  });

  test("getProof_shows_the_account_and_the_slot", async () => {
    const receipt = await write("store", [31n]);
    const slot = toHex(0n, { size: 32 });
    const proof = await reader.getProof({ address, storageKeys: [slot], blockNumber: receipt.blockNumber });
    assert.equal(proof.address.toLowerCase(), address.toLowerCase());
    assert.equal(proof.nonce, 2); // one for itself (EIP-161) and one for the child that it made
    assert.equal(proof.balance, 0n);
    assert.equal(proof.codeHash, keccak256(await reader.getCode({ address })));
    assert.ok(proof.accountProof.length > 0);
    assert.equal(proof.storageProof.length, 1);
    assert.equal(proof.storageProof[0].value, 31n);
    assert.ok(proof.storageProof[0].proof.length > 0);
  });

  test("createAccessList_names_the_slots_a_call_touches", async () => {
    const { accessList, gasUsed } = await reader.createAccessList({
      account: wallet.account.address, to: address, data: encodeFunctionData({ abi, functionName: "relay", args: [3n] }),
    });
    assert.ok(gasUsed > 21_000n);
    const slots = Object.fromEntries(accessList.map((entry) => [entry.address.toLowerCase(), entry.storageKeys]));
    const child = (await read("child")).toLowerCase();
    assert.deepEqual(slots[address.toLowerCase()], [toHex(2n, { size: 32 })]);
    assert.deepEqual(slots[child], [toHex(0n, { size: 32 })]);
  });

  test("simulateBlocks_runs_calls_on_top_of_each_other", async () => {
    const stranger = "0x" + "5a".repeat(20);
    const before = await read("value");
    const blocks = await reader.simulateBlocks({ blocks: [
      { calls: [
        { account: stranger, to: address, abi, functionName: "store", args: [555n] },
        { account: stranger, to: address, abi, functionName: "value" },
      ] },
      { calls: [
        { account: stranger, to: address, abi, functionName: "value" },
        { account: stranger, to: address, abi, functionName: "fail", args: [1n] },
      ] },
    ] });
    assert.equal(blocks.length, 2);
    assert.equal(blocks[0].calls[0].status, "success");
    assert.equal(blocks[0].calls[0].logs.length, 1);
    assert.equal(blocks[0].calls[1].result, 555n);
    assert.equal(blocks[1].calls[0].result, 555n);
    assert.equal(blocks[1].calls[1].status, "failure");
    assert.equal(blocks[1].number, blocks[0].number + 1n);
    assert.equal(await read("value"), before);
  });

  test("a_call_can_be_made_with_other_state_than_the_chain_has", async () => {
    const elsewhere = "0x" + "c0".repeat(20);
    const result = await reader.readContract({
      address: elsewhere, abi, functionName: "value",
      stateOverride: [{ address: elsewhere, code: artifact("Probe").deployedBytecode, stateDiff: [{ slot: toHex(0n, { size: 32 }), value: toHex(99n, { size: 32 }) }] }],
    });
    assert.equal(result, 99n);
  });

  test("a_contract_sees_the_block_that_the_node_reports", async () => {
    const block = await reader.getBlock();
    const [number, time, id, fee] = await read("where", [], { blockNumber: block.number });
    assert.equal(id, BigInt(CHAIN_ID));
    assert.equal(number, block.number);
    assert.equal(time, block.timestamp);
    assert.equal(fee, block.baseFeePerGas);
  });
});
