// The Solidity libraries for national cryptography and P-256, against the chain's precompiles and sm-crypto.
import { test, describe, before } from "node:test";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { createHash, createSign, generateKeyPairSync, randomBytes } from "node:crypto";
import { AbiCoder, ContractFactory, JsonRpcProvider, Wallet, getBytes, hexlify } from "ethers";
import { RPC, freshKey, ON_ANVIL, until } from "./lib/env.mjs";
import { artifact } from "./lib/compile.mjs";

const { sm2, sm3, sm4 } = createRequire(import.meta.url)("sm-crypto");
const hex = (value) => hexlify(value).slice(2);

/** A key pair of sm-crypto, and its point as the contracts take it. */
function keyPair() {
  const { privateKey, publicKey } = sm2.generateKeyPairHex();
  return { privateKey, publicKey, point: { x: "0x" + publicKey.slice(2, 66), y: "0x" + publicKey.slice(66) } };
}

function sign(message, key, options = {}) {
  const signature = sm2.doSignature([...getBytes(message)], key.privateKey, { hash: true, publicKey: key.publicKey, ...options });
  return { r: "0x" + signature.slice(0, 64), s: "0x" + signature.slice(64) };
}

describe("national cryptography", { skip: ON_ANVIL ? "anvil has no such precompiles" : false }, () => {
  let wallet, ciphers;
  async function deploy(name, ...args) {
    const { abi, bytecode } = artifact(name);
    const contract = await new ContractFactory(abi, bytecode, wallet).deploy(...args);
    return contract.waitForDeployment();
  }
  before(async () => {
    wallet = new Wallet(await freshKey(), new JsonRpcProvider(RPC, undefined, { cacheTimeout: -1, pollingInterval: 200 }));
    ciphers = await deploy("Ciphers");
  });

  test("SM3_agrees_with_sm_crypto_at_every_length_around_a_block", async () => {
    for (const length of [0, 1, 55, 56, 63, 64, 65, 200]) {
      const data = randomBytes(length);
      assert.equal(await ciphers.sm3(data), "0x" + sm3([...data]), `${length} bytes`);
    }
  });

  test("SM2_accepts_what_sm_crypto_signs_and_nothing_else", async () => {
    const [key, other] = [keyPair(), keyPair()];
    const message = hexlify(randomBytes(77));
    const signature = sign(message, key);
    assert.equal(await ciphers.sm2(key.point, message, signature), true);
    assert.equal(await ciphers.sm2(other.point, message, signature), false);
    assert.equal(await ciphers.sm2(key.point, message + "00", signature), false);
    assert.equal(await ciphers.sm2(key.point, message, { r: signature.s, s: signature.r }), false);
    assert.equal(await ciphers.sm2({ x: key.point.x, y: key.point.x }, message, signature), false, "off the curve");
  });

  test("SM2_takes_another_identity_through_the_digest", async () => {
    const key = keyPair();
    const message = hexlify(randomBytes(30));
    const signature = sign(message, key, { userId: "ALICE123@YAHOO.COM" });
    const identity = hexlify(Buffer.from("ALICE123@YAHOO.COM"));
    assert.equal(await ciphers.sm2As(key.point, identity, message, signature), true);
    assert.equal(await ciphers.sm2(key.point, message, signature), false, "the default identity is another");
  });

  test("SM4_agrees_with_sm_crypto_block_by_block", async () => {
    const key = randomBytes(16);
    const data = randomBytes(64);
    const encrypted = sm4.encrypt([...data], hex(key), { padding: "none" });
    assert.equal(await ciphers.sm4Encrypt(key, data), "0x" + encrypted);
    assert.equal(await ciphers.sm4Decrypt(key, "0x" + encrypted), hexlify(data));
    await assert.rejects(ciphers.sm4Encrypt(key, data.subarray(1)), /SM4Failed/);
  });

  test("SM4_undoes_its_stream_and_notices_a_changed_seal", async () => {
    const [key, counter, nonce] = [randomBytes(16), randomBytes(16), randomBytes(12)];
    const data = randomBytes(45);
    const hidden = await ciphers.sm4Ctr(key, counter, data);
    assert.equal(await ciphers.sm4Ctr(key, counter, hidden), hexlify(data));
    const about = hexlify(Buffer.from("about"));
    const sealed = await ciphers.sm4Seal(key, nonce, about, data);
    assert.equal(await ciphers.sm4Open(key, nonce, about, sealed), hexlify(data));
    await assert.rejects(ciphers.sm4Open(key, nonce, about + "00", sealed), /SM4Failed/);
  });

  test("P256_accepts_what_node_signs", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const { x, y } = publicKey.export({ format: "jwk" });
    const signature = createSign("sha256").update("a passkey").sign({ key: privateKey, dsaEncoding: "ieee-p1363" });
    const digest = createHash("sha256").update("a passkey").digest();
    const [r, s] = [signature.subarray(0, 32), signature.subarray(32)];
    const point = [Buffer.from(x, "base64url"), Buffer.from(y, "base64url")];
    assert.equal(await ciphers.p256(digest, r, s, ...point), true);
    assert.equal(await ciphers.p256(createHash("sha256").digest(), r, s, ...point), false);
  });

  test("a_sealed_bid_is_placed_by_an_SM2_key_and_opened_with_its_SM4_key", async () => {
    const bids = await deploy("SealedBids", 5);
    const bidder = keyPair();
    const account = "0x" + sm3([...getBytes("0x" + bidder.publicKey.slice(2))]).slice(24);
    const [secret, nonce] = [randomBytes(16), hexlify(randomBytes(12))];
    const amount = AbiCoder.defaultAbiCoder().encode(["uint256"], [123456n]);
    const sealed = await ciphers.sm4Seal(secret, nonce, account, amount);
    const signature = sign(await bids.message(nonce, sealed), bidder);
    const forged = { r: signature.s, s: signature.r };
    await assert.rejects(bids.place.staticCall(bidder.point, nonce, sealed, forged), /BadSignature/);
    const placed = await (await bids.place(bidder.point, nonce, sealed, signature)).wait();
    const event = bids.interface.parseLog(placed.logs[0]);
    assert.equal(event.args.bidder.toLowerCase(), account);
    assert.equal(event.args.fingerprint, "0x" + sm3([...getBytes(sealed)]));
    await assert.rejects(bids.open.staticCall(0, secret), /TooEarly/);
    const endsAt = await bids.endsAt();
    await until("the end of bidding", async () => {
      // An idle chain makes no blocks: a transaction moves its time.
      await (await wallet.sendTransaction({ to: wallet.address })).wait();
      const block = await wallet.provider.getBlock("latest");
      return BigInt(block.timestamp) >= endsAt;
    });
    await assert.rejects(bids.open.staticCall(0, randomBytes(16)), /BadKey/);
    await (await bids.open(0, secret)).wait();
    const bid = await bids.bidOf(0);
    assert.deepEqual([bid.opened, bid.amount], [true, 123456n]);
    await assert.rejects(bids.open.staticCall(0, secret), /AlreadyOpened/);
  });
});
