// ethers 6 against the chain, from accounts that own nothing.
import { test, describe, before, after } from "node:test";
import assert from "node:assert/strict";
import {
  Contract, ContractFactory, Interface, JsonRpcProvider, Transaction, Wallet, WebSocketProvider,
  Signature, ZeroAddress, concat, getAddress, getCreateAddress, id, keccak256, sha256, toBeHex, toUtf8Bytes, zeroPadValue,
} from "ethers";
import { RPC, WS, CHAIN_ID, freshKey, notOnAnvil, raw, rpc, until } from "./lib/env.mjs";
import { artifact } from "./lib/compile.mjs";

const provider = new JsonRpcProvider(RPC, CHAIN_ID, { staticNetwork: true, cacheTimeout: -1, pollingInterval: 200 });
after(() => provider.destroy());

const wallet = async () => new Wallet(await freshKey(), provider);
async function deploy(name, signer, ...args) {
  const { abi, bytecode } = artifact(name);
  const contract = await new ContractFactory(abi, bytecode, signer).deploy(...args);
  await contract.waitForDeployment();
  return contract;
}
const mined = async (sending) => {
  const receipt = await (await sending).wait();
  assert.equal(receipt.status, 1);
  return receipt;
};

/** The custom error behind a rejection: ethers decodes calls itself and hands over the bytes for estimates. */
const decoded = (name, error) => error.revert ?? new Interface(artifact(name).abi).parseError(error.data);

describe("ethers: network and zero fees", () => {
  test("a_provider_without_hints_detects_the_chain", async () => {
    const plain = new JsonRpcProvider(RPC);
    assert.equal((await plain.getNetwork()).chainId, BigInt(CHAIN_ID));
    assert.ok((await plain.getBlockNumber()) >= 0);
    plain.destroy();
  });

  test("every_fee_suggestion_is_zero", notOnAnvil("it suggests a tip of 1 gwei"), async () => {
    const fees = await provider.getFeeData();
    assert.equal(fees.gasPrice, 0n);
    // ethers takes a base fee of zero for none, and then signs transactions of type 0 unless told otherwise.
    assert.equal(fees.maxPriorityFeePerGas ?? 0n, 0n);
    assert.equal(fees.maxFeePerGas ?? 0n, 0n);
    assert.equal((await provider.getBlock("latest")).baseFeePerGas, 0n);
  });

  test("safe_and_finalized_follow_latest", notOnAnvil("it keeps Ethereum's distance"), async () => {
    for (const tag of ["safe", "finalized"]) {
      const before = await provider.getBlockNumber();
      const block = await provider.getBlock(tag);
      assert.ok(block.number >= before, `${tag} lags behind latest`);
    }
  });

  test("a_tip_is_not_charged_to_an_account_that_has_nothing", notOnAnvil("it charges the tip"), async () => {
    const signer = await wallet();
    const receipt = await mined(signer.sendTransaction({
      to: ZeroAddress, value: 0, maxFeePerGas: 5_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n,
    }));
    assert.equal(receipt.gasPrice, 0n);
    assert.equal(await provider.getBalance(signer.address), 0n);
  });

  test("value_that_is_not_there_is_refused_before_mining", async () => {
    const signer = await wallet();
    const raw = await signer.signTransaction({
      type: 2, chainId: CHAIN_ID, nonce: 0, to: ZeroAddress, value: 10n ** 30n, gasLimit: 21_000n,
      maxFeePerGas: 0n, maxPriorityFeePerGas: 0n,
    });
    await assert.rejects(provider.broadcastTransaction(raw), { code: "INSUFFICIENT_FUNDS" });
  });

  test("an_estimate_for_value_that_is_not_there_is_refused", notOnAnvil("it estimates without looking at the balance"), async () => {
    const signer = await wallet();
    await assert.rejects(signer.estimateGas({ to: ZeroAddress, value: 10n ** 30n }));
  });
});

describe("ethers: OpenZeppelin contracts", () => {
  test("an_erc20_moves_approves_and_reports_its_events", async () => {
    const [owner, other] = [await wallet(), await wallet()];
    const token = await deploy("Token", owner, "Credit", "CRD", 1000n);
    assert.equal(await token.getAddress(), getCreateAddress({ from: owner.address, nonce: 0 }));
    assert.equal(await token.symbol(), "CRD");

    const receipt = await mined(token.transfer(other.address, 250n));
    assert.equal(receipt.logs.length, 1);
    assert.deepEqual([...receipt.logs[0].args], [owner.address, other.address, 250n]);
    await mined(token.approve(other.address, 100n));
    await mined(token.connect(other).transferFrom(owner.address, other.address, 100n));
    assert.equal(await token.balanceOf(owner.address), 650n);
    assert.equal(await token.balanceOf(other.address), 350n);

    const past = await token.queryFilter(token.filters.Transfer(owner.address, other.address), 0);
    assert.deepEqual(past.map((event) => event.args.value), [250n, 100n]);
    // Reading at the block before the second transfer gives the state of that moment.
    assert.equal(await token.balanceOf(other.address, { blockTag: receipt.blockNumber }), 250n);
  });

  test("an_erc20_permit_signed_off_chain_is_accepted", async () => {
    const [owner, spender] = [await wallet(), await wallet()];
    const token = await deploy("Token", owner, "Credit", "CRD", 1000n);
    const deadline = (await provider.getBlock("latest")).timestamp + 3600;
    const signature = await owner.signTypedData(
      { name: "Credit", version: "1", chainId: CHAIN_ID, verifyingContract: await token.getAddress() },
      { Permit: [
        { name: "owner", type: "address" }, { name: "spender", type: "address" }, { name: "value", type: "uint256" },
        { name: "nonce", type: "uint256" }, { name: "deadline", type: "uint256" },
      ] },
      { owner: owner.address, spender: spender.address, value: 5n, nonce: 0n, deadline },
    );
    const { r, s, v } = Signature.from(signature);
    await mined(token.connect(spender).permit(owner.address, spender.address, 5n, deadline, v, r, s));
    assert.equal(await token.allowance(owner.address, spender.address), 5n);
  });

  test("an_erc721_is_issued_by_its_registrar_only", async () => {
    const [registrar, holder] = [await wallet(), await wallet()];
    const deed = await deploy("Deed", registrar);
    await mined(deed.issue(holder.address, 7n, "urn:deed:7"));
    assert.equal(await deed.ownerOf(7n), holder.address);
    assert.equal(await deed.tokenURI(7n), "urn:deed:7");
    await mined(deed.connect(holder).transferFrom(holder.address, registrar.address, 7n));
    assert.equal(await deed.ownerOf(7n), registrar.address);
    await assert.rejects(deed.connect(holder).issue(holder.address, 8n, ""), (error) => {
      assert.equal(error.code, "CALL_EXCEPTION");
      assert.equal(decoded("Deed", error).name, "AccessControlUnauthorizedAccount");
      return true;
    });
  });

  test("a_uups_proxy_keeps_its_state_through_an_upgrade", async () => {
    const [owner, stranger] = [await wallet(), await wallet()];
    const first = await deploy("Vault", owner);
    const call = first.interface.encodeFunctionData("initialize", [owner.address, 41n]);
    const proxy = await deploy("VaultProxy", owner, await first.getAddress(), call);
    const vault = new Contract(await proxy.getAddress(), artifact("VaultV2").abi, owner);
    assert.equal(await vault.version(), 1n);
    const second = await deploy("VaultV2", owner);
    await assert.rejects(vault.connect(stranger).upgradeToAndCall(await second.getAddress(), "0x"),
      (error) => decoded("VaultV2", error).name === "OwnableUnauthorizedAccount");
    await mined(vault.upgradeToAndCall(await second.getAddress(), "0x"));
    assert.equal(await vault.version(), 2n);
    const receipt = await mined(vault.connect(stranger).raise(1n));
    assert.deepEqual([...receipt.logs[0].args], [stranger.address, 41n, 42n]);
    // EIP-1967: the implementation address lies in a known slot.
    const slot = toBeHex(BigInt(id("eip1967.proxy.implementation")) - 1n, 32);
    assert.equal(await provider.getStorage(vault, slot), zeroPadValue(await second.getAddress(), 32).toLowerCase());
  });
});

describe("ethers: reverts", () => {
  let probe, signer;
  before(async () => {
    signer = await wallet();
    probe = await deploy("Probe", signer);
  });
  const refused = (code, why) => (error) => {
    assert.equal(error.code, "CALL_EXCEPTION");
    const { name, args } = decoded("Probe", error);
    assert.equal(name, "Refused");
    assert.deepEqual([...args], [code, why]);
    return true;
  };

  test("a_custom_error_is_decoded_from_a_call", () => assert.rejects(probe.fail.staticCall(9n), refused(9n, "on purpose")));
  test("a_custom_error_is_decoded_from_an_estimate", () => assert.rejects(probe.fail.estimateGas(9n), refused(9n, "on purpose")));
  test("a_custom_error_of_an_inner_contract_is_decoded", () => assert.rejects(probe.failInChild(3n), refused(3n, "child")));
  test("a_reason_string_is_decoded", () => assert.rejects(probe.failWithText(), { reason: "plain words" }));
  test("a_panic_code_is_decoded", () => assert.rejects(probe.failWithPanic(0n), (error) => error.revert.name === "Panic" && Number(error.revert.args[0]) === 0x12));

  test("a_failing_transaction_is_mined_with_status_zero_and_changes_nothing_but_the_nonce", async () => {
    const nonce = await signer.getNonce();
    const sent = await probe.fail(5n, { gasLimit: 200_000n });
    await assert.rejects(sent.wait(), (error) => error.code === "CALL_EXCEPTION" && error.receipt.status === 0);
    const receipt = await provider.getTransactionReceipt(sent.hash);
    assert.equal(receipt.status, 0);
    assert.equal(receipt.logs.length, 0);
    assert.equal(await probe.value(), 0n);
    assert.equal(await signer.getNonce(), nonce + 1);
    // The usual way to learn the reason afterwards: the same call at the same block.
    await assert.rejects(
      provider.call({ to: sent.to, from: sent.from, data: sent.data, blockTag: receipt.blockNumber }),
      (error) => new Interface(artifact("Probe").abi).parseError(error.data).name === "Refused",
    );
  });

  test("a_loop_without_end_uses_its_gas_limit_and_no_more", async () => {
    const sent = await probe.spin.populateTransaction();
    const response = await signer.sendTransaction({ ...sent, gasLimit: 100_000n });
    await assert.rejects(response.wait());
    assert.equal((await provider.getTransactionReceipt(response.hash)).gasUsed, 100_000n);
  });
});

describe("ethers: transaction types", () => {
  let signer, probe;
  before(async () => {
    signer = await wallet();
    probe = await deploy("Probe", signer);
  });
  const store = (value) => probe.interface.encodeFunctionData("store", [value]);
  const check = async (fields, type) => {
    const target = await probe.getAddress();
    const receipt = await mined(signer.sendTransaction({ to: target, ...fields }));
    const back = await provider.getTransaction(receipt.hash);
    assert.equal(back.type, type);
    assert.equal(receipt.type, type);
    assert.equal(back.from, signer.address);
    assert.equal(back.chainId, BigInt(CHAIN_ID));
    // What the node returns is what was signed: it hashes to the same id.
    assert.equal(Transaction.from({ ...back.toJSON(), from: null, signature: back.signature, accessList: back.accessList, authorizationList: back.authorizationList, gasPrice: type < 2 ? back.gasPrice : undefined, maxFeePerGas: type >= 2 ? back.maxFeePerGas : undefined, maxPriorityFeePerGas: type >= 2 ? back.maxPriorityFeePerGas : undefined }).hash, receipt.hash);
    return { receipt, raw: await rpc("eth_getTransactionByHash", [receipt.hash]) };
  };

  test("type_0_with_replay_protection", async () => {
    const { raw } = await check({ type: 0, data: store(10n) }, 0);
    assert.ok([CHAIN_ID * 2 + 35, CHAIN_ID * 2 + 36].includes(Number(raw.v)));
    assert.equal(await probe.value(), 10n);
  });

  test("type_1_returns_its_access_list", async () => {
    const accessList = [{ address: await probe.getAddress(), storageKeys: [toBeHex(0, 32)] }];
    const { raw } = await check({ type: 1, data: store(11n), accessList }, 1);
    assert.deepEqual(raw.accessList.map((entry) => [getAddress(entry.address), entry.storageKeys]), accessList.map((entry) => [entry.address, entry.storageKeys]));
    assert.equal(BigInt(raw.yParity), BigInt(raw.v));
    assert.equal(await probe.value(), 11n);
  });

  test("type_2", async () => {
    const { raw } = await check({ type: 2, data: store(12n) }, 2);
    assert.equal(BigInt(raw.yParity), BigInt(raw.v));
    assert.equal(await probe.value(), 12n);
  });

  test("type_4_gives_an_account_the_code_of_a_contract", async () => {
    const authority = await wallet();
    const target = await probe.getAddress();
    const auth = await authority.authorize({ address: target, nonce: 0, chainId: CHAIN_ID });
    const receipt = await mined(signer.sendTransaction({
      type: 4, to: authority.address, data: store(77n), authorizationList: [auth],
    }));
    assert.equal(receipt.type, 4);
    assert.equal((await provider.getCode(authority.address)).toLowerCase(), "0xef0100" + target.slice(2).toLowerCase());
    assert.equal(await provider.getStorage(authority.address, 0), toBeHex(77n, 32));
    assert.equal(await new Contract(authority.address, artifact("Probe").abi, provider).value(), 77n);
    const raw = await rpc("eth_getTransactionByHash", [receipt.hash]);
    assert.equal(raw.authorizationList.length, 1);
    assert.equal(getAddress(raw.authorizationList[0].address), target);
    // An authorization to the zero address takes the code away again; the account sends it itself.
    const clear = await authority.authorize({ address: ZeroAddress, nonce: 2, chainId: CHAIN_ID });
    await mined(authority.sendTransaction({ type: 4, nonce: 1, to: authority.address, authorizationList: [clear] }));
    assert.equal(await provider.getCode(authority.address), "0x");
  });

  test("a_blob_transaction_is_refused_with_a_clear_error", async () => {
    // A well-formed type 3 envelope without its blobs, as it stands in a block (EIP-4844).
    const blobHash = "0x01" + "11".repeat(31);
    const raw = await new Wallet(await freshKey()).signTransaction({
      type: 3, chainId: CHAIN_ID, nonce: 0, to: ZeroAddress, gasLimit: 21_000n, maxFeePerGas: 0n,
      maxPriorityFeePerGas: 0n, maxFeePerBlobGas: 1n, blobVersionedHashes: [blobHash],
    });
    await assert.rejects(provider.send("eth_sendRawTransaction", [raw]));
  });

  test("many_transactions_of_one_sender_sent_at_once_are_all_mined_in_order", async () => {
    const sender = await wallet();
    const target = await probe.getAddress();
    const hashes = await Promise.all(Array.from({ length: 20 }, (_, nonce) => sender.sendTransaction({
      type: 2, nonce, to: target, data: store(BigInt(100 + nonce)), gasLimit: 100_000n,
    })));
    const receipts = await Promise.all(hashes.map((sent) => sent.wait()));
    for (let i = 1; i < receipts.length; i++) {
      const [a, b] = [receipts[i - 1], receipts[i]];
      assert.ok(a.blockNumber < b.blockNumber || (a.blockNumber === b.blockNumber && a.index < b.index));
    }
    assert.equal(await sender.getNonce(), 20);
    assert.equal(await probe.value(), 119n);
  });
});

describe("ethers: events", () => {
  test("a_contract_event_arrives_through_an_http_filter", async () => {
    const signer = await wallet();
    const probe = await deploy("Probe", signer);
    const seen = [];
    await probe.on("Stored", (by, value, before) => seen.push([by, value, before]));
    await mined(probe.store(4n));
    await mined(probe.store(5n));
    await until("both events", () => seen.length >= 2);
    assert.deepEqual(seen, [[signer.address, 4n, 0n], [signer.address, 5n, 4n]]);
    await probe.removeAllListeners();
  });

  test("heads_logs_and_pending_transactions_arrive_over_websocket", async () => {
    const socket = new WebSocketProvider(WS, CHAIN_ID);
    try {
      const signer = new Wallet(await freshKey(), socket);
      const probe = await deploy("Probe", signer);
      const heads = [], logs = [], pending = [];
      await socket.on("block", (number) => heads.push(number));
      await probe.on("Stored", (by, value, before, event) => logs.push([value, event.log.transactionHash]));
      await socket.on("pending", (hash) => pending.push(hash));
      // ethers answers `on` before the node has confirmed the subscription; a round trip orders them.
      await socket.getBlockNumber();
      const receipt = await mined(probe.store(6n));
      await until("the log", () => logs.length > 0);
      assert.deepEqual(logs, [[6n, receipt.hash]]);
      await until("the head", () => heads.includes(receipt.blockNumber));
      await until("the pending hash", () => pending.includes(receipt.hash));
      await probe.removeAllListeners();
      await socket.removeAllListeners();
    } finally {
      // Not destroy(): ethers says goodbye in the background, and destroying it rejects what is still unanswered
      // where nobody listens.
      socket.websocket.close();
    }
  });

  test("logs_can_be_fetched_by_topic_range_and_block_hash", async () => {
    const probe = await deploy("Probe", await wallet());
    const receipt = await mined(probe.number(5n));
    const address = await probe.getAddress();
    const signature = id("Numbered(uint256)");
    const range = { address, fromBlock: receipt.blockNumber, toBlock: receipt.blockNumber };
    assert.equal((await provider.getLogs({ ...range, topics: [signature] })).length, 5);
    const two = [toBeHex(1, 32), toBeHex(3, 32)];
    const some = await provider.getLogs({ ...range, topics: [signature, two] });
    assert.deepEqual(some.map((log) => log.topics[1]), two);
    assert.equal((await provider.getLogs({ address, blockHash: receipt.blockHash })).length, 5);
    assert.equal((await provider.getLogs({ ...range, topics: [id("Other()")] })).length, 0);
    const [log] = await rpc("eth_getLogs", [{ address, blockHash: receipt.blockHash }]);
    const block = await provider.getBlock(receipt.blockNumber);
    assert.equal(Number(log.blockTimestamp), block.timestamp);
    assert.equal(log.removed, false);
  });
});

describe("ethers: batches and storage", () => {
  test("concurrent_reads_travel_as_one_json_batch_and_come_back_in_place", async () => {
    const batching = new JsonRpcProvider(RPC, CHAIN_ID, { staticNetwork: true, batchMaxCount: 50, batchStallTime: 20, cacheTimeout: -1 });
    const [chain, code, balance, missing] = await Promise.all([
      batching.send("eth_chainId", []),
      batching.getCode(ZeroAddress),
      batching.getBalance("0x" + "12".repeat(20)),
      batching.send("hawser_noSuchMethod", []).catch((error) => error),
    ]);
    assert.equal(Number(chain), CHAIN_ID);
    assert.equal(code, "0x");
    assert.equal(balance, 0n);
    assert.ok(missing instanceof Error);
    batching.destroy();
  });

  test("mapping_slots_hold_what_the_contract_wrote", async () => {
    const signer = await wallet();
    const probe = await deploy("Probe", signer);
    await mined(probe.note(99n));
    const slot = keccak256(zeroPadValue(signer.address, 32) + toBeHex(1, 32).slice(2));
    assert.equal(await provider.getStorage(probe, slot), toBeHex(99n, 32));
  });
});

describe("ethers: evidence in sets", () => {
  const EVIDENCE = "0x0000000000000000000000000000000000010001";
  const ABI = [
    "event SetRegistered(bytes32 indexed setId, address indexed owner, bytes32 indexed root, uint8 algorithm, uint32 count, bytes32 setHash)",
    "function registerSet(uint8 algorithm, bytes digests, string mediaType, string description, bytes sealedOwner) returns (bytes32 setId)",
    "function isMember(bytes32 setId, uint32 index, bytes digest, bytes32[] path) view returns (bool)",
  ];
  const leaf = (digest, i) => keccak256(concat([toUtf8Bytes("hawser/evidleaf1"), toBeHex(i, 4), digest]));
  const node = (left, right) => keccak256(concat([toUtf8Bytes("hawser/node///01"), left, right]));
  /** Root and path of one leaf, as examples/solidity/IEvidence.sol and docs/spec/evidence.md (EV-11) say. */
  function tree(leaves, index) {
    const path = [];
    for (let level = leaves, at = index; ; at >>= 1) {
      if (level.length === 1) return { root: level[0], path };
      if (level[at ^ 1] !== undefined) path.push(level[at ^ 1]);
      level = level.flatMap((left, i) => (i % 2 ? [] : [i + 1 < level.length ? node(left, level[i + 1]) : left]));
    }
  }

  test("a_set_has_the_root_that_a_client_computes_and_its_paths", notOnAnvil("it has no native contracts"), async (context) => {
    if ((await rpc("hawser_status")).suite !== "intl") return context.skip("the tree is made with SM3 there");
    const contract = new Contract(EVIDENCE, ABI, await wallet());
    const digests = Array.from({ length: 11 }, (_, i) => sha256(toUtf8Bytes(`file ${i} of ${contract.runner.address}`)));
    const receipt = await mined(contract.registerSet(1, concat(digests), "text/plain", "from ethers", "0x"));
    const { args } = contract.interface.parseLog(receipt.logs[0]);
    assert.equal(args.count, 11n);
    const leaves = digests.map(leaf);
    for (const [index, digest] of digests.entries()) {
      const { root, path } = tree(leaves, index);
      assert.equal(root, args.root);
      assert.equal(await contract.isMember(args.setId, index, digest, path), true);
      assert.equal(await contract.isMember(args.setId, (index + 1) % 11, digest, path), false);
    }
    let proof;
    await until("the proof", async () => (proof = (await raw("hawser_getEvidenceSetProof", [args.setId, 8])).result));
    assert.deepEqual(proof.member, { index: 8, digest: digests[8], path: tree(leaves, 8).path });
  });
});
