import { describe, expect, it } from "vitest";
import { algorithms, evidenceBundle, findEvidence } from "../src/evidence";
import { health, type HealthInput, SLOW_MS } from "../src/health";
import {
  millis, readBlock, readCertificate, readCommittee, readEvidence, readPoolContent, readReceipt, readSets, readStatus, readSummary, readTransaction, revertReason, signerAddress,
} from "../src/model";
import { readRoute } from "../src/router";
import { RpcError, type RpcClient } from "../src/rpc/client";

const junk: unknown[] = [null, undefined, 1, "x", true, [], {}, [null], [[1]], { validators: 7 }, { signatures: {} }, { pending: { a: 1 } }];

describe("reading", () => {
  it("never throws, whatever the node sends", () => {
    for (const value of junk) {
      for (const read of [readStatus, readCommittee, readCertificate, readBlock, readTransaction, readReceipt, readEvidence]) {
        expect(() => read(value)).not.toThrow();
      }
      expect(readPoolContent(value, 10)).toEqual([]);
    }
  });
  it("takes heights as numbers and as quantities", () => {
    expect(readStatus({ height: 7 })?.height).toBe(7);
    expect(readStatus({ height: "0x7" })?.height).toBe(7);
  });
  it("tells seconds from milliseconds", () => {
    expect(millis("0x6a9270c0")).toBe(0x6a9270c0 * 1000);
    expect(millis(1_788_000_000_123)).toBe(1_788_000_000_123);
  });
  it("finds signers by their position among the sorted addresses", () => {
    const committee = readCommittee([{ address: "0xB", weight: 1 }, { address: "0xa", weight: 2 }]);
    const certificate = readCertificate({ height: 1, round: 0, blockHash: "0x1", signatures: [{ validator: 1, signature: "s" }] });
    expect(signerAddress(certificate!.signers[0]!, committee)).toBe("0xb");
    expect(committee?.quorum).toBe(3);
  });
  it("reads a native transaction with all its calls", () => {
    const native = readTransaction({
      hash: "0x1", type: "0x68", from: "0x2", value: "0x0", hawser: {
        scheme: "sm2", signer: "sm2:00", ordering: { unordered: { expiresMs: "0x1a04e2a1400", salt: "0x7" } },
        calls: [{ to: "0xAA", value: "0x1", input: "0x" }, { to: null, value: "0x0", input: "0x60" }],
      },
    })?.native;
    expect(native?.ordering).toEqual({ kind: "unordered", expires: 0x1a04e2a1400, salt: "7" });
    expect(native?.calls.map((call) => [call.kind, call.to])).toEqual([["call", "0xaa"], ["create", null]]);
  });
  it("bounds the list of waiting transactions", () => {
    const account = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [String(i), { hash: `0x${i}` }]));
    expect(readPoolContent({ pending: { a: account } }, 5)).toHaveLength(5);
  });
});

describe("evidence", () => {
  it("asks with every algorithm that a digest can have been made with", () => {
    expect(algorithms(`0x${"ab".repeat(32)}`)).toEqual(["sha-256", "sm3", "keccak-256"]);
    expect(algorithms(`0x${"ab".repeat(48)}`)).toEqual(["sha-384"]);
    expect(algorithms(`0x${"ab".repeat(64)}`)).toEqual(["sha-512"]);
    expect(algorithms("0xab")).toEqual([]);
  });
  it("reads the node's record", () => {
    const [record] = readEvidence([{ id: "0x1", owner: "0xAA", height: 7, timeMs: 1_788_000_000_123, transactionHash: "0x2", mediaType: "a/b", description: "d" }]);
    expect(record).toMatchObject({ id: "0x1", owner: "0xaa", block: 7, time: 1_788_000_000_123, transaction: "0x2", mediaType: "a/b", description: "d" });
  });
  it("reads the node's sets", () => {
    const { sets, next } = readSets({ sets: [{ index: 17, set: { id: "0x1", owner: "0xAA", count: 300 } }, { set: { id: "0x2" } }, 7], next: 9 });
    expect(sets).toHaveLength(1);
    expect(sets[0]).toMatchObject({ index: 17, count: 300, record: { id: "0x1", owner: "0xaa" } });
    expect(next).toBe(9);
    for (const value of junk) expect(readSets(value)).toEqual({ sets: [], next: null });
  });
  it("goes on through sets, asks older nodes for records only, and makes what the command line checks", async () => {
    const asked: unknown[] = [];
    const rpc = (answers: Record<string, (params: never[]) => unknown>) =>
      ({
        call: async (method: string, params: never[]) => {
          asked.push([method, ...params]);
          const answer = answers[method];
          if (!answer) throw new RpcError(-32601, "no such method");
          return answer(params);
        },
      }) as unknown as RpcClient;
    const digest = `0x${"ab".repeat(48)}`;
    const set = { id: "0x7", owner: "0xaa", count: 3 };
    const node = rpc({
      hawser_findEvidence: () => [{ id: "0x1" }],
      hawser_findEvidenceDigest: ([query]: { below?: number }[]) =>
        query?.below === undefined ? { sets: [], next: 100_000 } : { sets: [{ index: 2, set }], next: null },
      hawser_getEvidenceSetProof: () => ({ set, encodedSet: "0x01", member: { index: 2 }, proof: "0x02", certifiedBy: { encoded: "0x03" } }),
      hawser_getEvidenceProof: () => ({ record: { id: "0x1" }, encodedRecord: "0x04", proof: "0x05", certifiedBy: { encoded: "0x06" }, committeeChanges: ["0x07"] }),
      hawser_getGenesis: () => ({ hash: "0x08", genesis: { name: "n" } }),
    });
    const found = await findEvidence(node, [{ digest, algorithm: null }]);
    expect(found.map(({ member }) => member)).toEqual([null, { index: 2, count: 3 }]);
    expect(asked).toContainEqual(["hawser_findEvidenceDigest", { algorithm: "sha-384", digest, below: 100_000 }]);
    expect(await evidenceBundle(node, found[1]!)).toEqual({
      format: "hawser-evidence-set", version: 1, set, encodedSet: "0x01", member: { index: 2 }, certifiedHeader: "0x03", stateProof: "0x02",
      committeeChanges: [], genesis: { name: "n" },
    });
    expect(asked).toContainEqual(["hawser_getEvidenceSetProof", "0x7", digest]);
    expect(await evidenceBundle(node, found[0]!)).toEqual({
      format: "hawser-evidence", version: 1, record: { id: "0x1" }, encodedRecord: "0x04", certifiedHeader: "0x06", stateProof: "0x05",
      committeeChanges: ["0x07"], genesis: { name: "n" },
    });
    expect(await findEvidence(rpc({ hawser_findEvidence: () => [{ id: "0x1" }] }), [{ digest, algorithm: "sha-384" }])).toHaveLength(1);
    await expect(findEvidence(rpc({}), [{ digest, algorithm: "sha-384" }])).rejects.toThrow();
  });
});

describe("headers", () => {
  it("give what lists need", () => {
    const header = { height: 7, time: 1_788_000_000_123, proposer: "0xAA", transactionsCount: 3 };
    expect(readSummary({ hash: "0x1", header })).toEqual({ height: 7, hash: "0x1", time: 1_788_000_000_123, proposer: "0xaa", count: 3 });
    for (const value of junk) expect(readSummary(value)).toBeNull();
  });
});

describe("revert reasons", () => {
  const word = (n: number): string => n.toString(16).padStart(64, "0");
  it("decodes Error(string)", () => {
    const text = Buffer.from("余额不足").toString("hex").padEnd(64, "0");
    expect(revertReason(`0x08c379a0${word(32)}${word(12)}${text}`)).toEqual({ kind: "text", text: "余额不足" });
  });
  it("decodes Panic(uint256)", () => expect(revertReason(`0x4e487b71${word(0x11)}`)).toEqual({ kind: "panic", text: "0x11" }));
  it("shows bytes when a length lies", () => {
    expect(revertReason(`0x08c379a0${word(32)}${"f".repeat(64)}`).kind).toBe("raw");
    expect(revertReason("0x08c379a0").kind).toBe("raw");
  });
});

describe("health", () => {
  const now = 1_000_000;
  const status = readStatus({ height: 10, executed: 10, ready: true, validators: 4, deciding: null, heard: [], pending: 0 })!;
  const input: HealthInput = { reachable: true, errorCode: null, status, head: 10, now, headSince: now, headTime: now, decidingSince: null };
  const key = (change: Partial<HealthInput>): string => {
    const { level, key } = health({ ...input, ...change });
    return `${level} ${key}`;
  };
  it("names each state", () => {
    expect(key({})).toBe("ok live");
    expect(key({ headTime: now - 60_000 })).toBe("ok idle");
    expect(key({ reachable: false })).toBe("bad unreachable");
    expect(key({ status: null, errorCode: -32002 })).toBe("bad stopped");
    expect(key({ status: null, errorCode: -32601 })).toBe("unknown noStatus");
    expect(key({ status: null })).toBe("unknown connecting");
    expect(key({ status: { ...status, syncing: true, ready: false } })).toBe("warn syncing");
    expect(key({ status: { ...status, ready: false } })).toBe("bad notReady");
    expect(key({ status: { ...status, executed: 1 } })).toBe("warn executing");
    expect(key({ status: { ...status, pending: 5 }, headSince: now - 60_000 })).toBe("warn notProposing");
  });
  it("calls a height that is not decided in time stalled or slow", () => {
    const deciding = { ...status, deciding: 11, round: 1 };
    expect(key({ status: deciding, decidingSince: now - SLOW_MS })).toBe("ok live");
    expect(key({ status: deciding, decidingSince: now - SLOW_MS - 1 })).toBe("bad stalled");
    expect(key({ status: { ...deciding, heard: ["a", "b", "c"] }, decidingSince: now - SLOW_MS - 1 })).toBe("warn slow");
  });
  it("sees a stall at once when rounds have failed before the page was opened", () => {
    expect(key({ status: { ...status, deciding: 11, round: 3 }, decidingSince: now })).toBe("bad struggling");
    expect(key({ status: { ...status, deciding: 11, round: 2 }, decidingSince: now })).toBe("ok live");
  });
});

describe("places", () => {
  it("reads what the links write", () => {
    expect(readRoute("#/block/7")).toEqual({ view: "block", id: "7" });
    expect(readRoute(`#/evidence/0x${"AB".repeat(32)}`)).toEqual({ view: "evidence", digest: `0x${"ab".repeat(32)}` });
    expect(readRoute("#/search/a%2Fb")).toEqual({ view: "search", query: "a/b" });
  });
  it("is lost rather than guessing", () => {
    for (const bad of ["#/nope", "#/block/x", "#/tx/0x1", "#/account/../..", "#/search/%", "#/block/"]) expect(readRoute(bad).view, bad).toBe("lost");
  });
});
