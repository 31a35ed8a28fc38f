/** What the node answers, read without trust: a field that is missing or of another type becomes
 * null, never an exception and never markup. */

import { quantity, small } from "./format";
import { first, type Json, list, object, text, texts } from "./json";

/** Milliseconds since 1970 from seconds or milliseconds; block times are below a hundred thousand
 * million seconds for the next three thousand years, so the size tells which. */
export function millis(value: unknown): number | null {
  const n = small(value);
  if (n === null) return null;
  return n < 100_000_000_000 ? n * 1000 : n;
}

export interface Peer {
  id: string;
  /** As this node's configuration calls it. */
  name: string | null;
  height: number;
}

export interface Status {
  chainId: number | null;
  name: string;
  genesis: string;
  suite: string;
  height: number;
  hash: string;
  executed: number;
  validator: string | null;
  validators: number;
  deciding: number | null;
  round: number;
  step: string;
  heard: string[];
  peers: Peer[];
  pending: number;
  queued: number;
  syncing: boolean;
  ready: boolean;
  waiting: string[];
}

export function readStatus(value: unknown): Status | null {
  const from = object(value);
  const height = from && small(from["height"]);
  if (!from || height === null) return null;
  return {
    chainId: small(from["chainId"]),
    name: text(from["name"]) ?? "",
    genesis: text(from["genesis"]) ?? "",
    suite: text(from["suite"]) ?? "",
    height,
    hash: text(from["hash"]) ?? "",
    executed: small(from["executed"]) ?? height,
    validator: text(from["validator"])?.toLowerCase() ?? null,
    validators: small(from["validators"]) ?? 0,
    deciding: small(from["deciding"]),
    round: small(from["round"]) ?? 0,
    step: text(from["step"]) ?? "",
    heard: texts(from["heard"]).map((address) => address.toLowerCase()),
    peers: list(from["peers"]).flatMap((item) => {
      const peer = object(item);
      const id = text(peer?.["id"]);
      return id === null ? [] : [{ id, name: text(peer?.["name"]), height: small(peer?.["height"]) ?? 0 }];
    }),
    pending: small(from["pending"]) ?? 0,
    queued: small(from["queued"]) ?? 0,
    syncing: from["syncing"] === true,
    ready: from["ready"] === true,
    waiting: texts(from["waiting"]),
  };
}

export interface Validator {
  address: string;
  name: string | null;
  weight: number;
  publicKey: string | null;
}

export interface Committee {
  members: Validator[];
  total: number;
  /** Least weight that decides: more than two thirds of the total. */
  quorum: number;
}

export function readCommittee(value: unknown): Committee | null {
  const from = object(value);
  const items = Array.isArray(value) ? value : list(from?.["validators"]);
  const members = items.flatMap((item): Validator[] => {
    const member = object(item);
    const address = text(member?.["address"]) ?? text(item);
    if (address === null) return [];
    return [
      {
        address: address.toLowerCase(),
        name: text(member?.["name"]),
        weight: small(member?.["weight"]) ?? 1,
        publicKey: text(member?.["publicKey"]),
      },
    ];
  });
  if (members.length === 0) return null;
  const total = members.reduce((sum, member) => sum + member.weight, 0);
  return { members, total, quorum: Math.floor((total * 2) / 3) + 1 };
}

export interface Certificate {
  height: number | null;
  round: number;
  blockHash: string;
  /** Signers by position in the committee sorted by address, or by address. */
  signers: { position: number | null; address: string | null; signature: string }[];
}

export function readCertificate(value: unknown): Certificate | null {
  const outer = object(value);
  const from = object(outer?.["certificate"]) ?? outer;
  if (!from) return null;
  const signatures = list(from["signatures"]);
  return {
    height: small(from["height"]),
    round: small(from["round"]) ?? 0,
    blockHash: text(from["blockHash"]) ?? "",
    signers: signatures.flatMap((item) => {
      const entry = object(item);
      if (!entry) return [];
      const who = first(entry, "validator", "index");
      const address = text(entry["address"]) ?? (typeof who === "string" && who.length === 42 ? who : null);
      return [
        {
          position: address === who ? null : small(who),
          address: address?.toLowerCase() ?? null,
          signature: text(entry["signature"]) ?? "",
        },
      ];
    }),
  };
}

export const signerAddress = (
  signer: Certificate["signers"][number],
  committee: Committee | null,
): string | null => {
  if (signer.address !== null) return signer.address;
  if (signer.position === null || committee === null) return null;
  const sorted = committee.members.map((member) => member.address).sort();
  return sorted[signer.position] ?? null;
};

export interface Block {
  height: number;
  hash: string;
  parent: string;
  time: number | null;
  proposer: string;
  transactions: string[];
  gasUsed: bigint | null;
  gasLimit: bigint | null;
  size: number | null;
  stateRoot: string | null;
  transactionsRoot: string | null;
  receiptsRoot: string | null;
  /** The node's own header, field by field, when it gives one. */
  own: Json | null;
}

export function readBlock(value: unknown): Block | null {
  const from = object(value);
  const height = from && small(from["number"]);
  const hash = from && text(from["hash"]);
  if (!from || height === null || hash === null) return null;
  const own = object(from["hawser"]);
  return {
    height,
    hash,
    parent: text(from["parentHash"]) ?? "",
    time: millis(own?.["time"]) ?? millis(first(from, "timestampMs", "timestamp")),
    proposer: text(from["miner"])?.toLowerCase() ?? "",
    transactions: list(from["transactions"]).flatMap((item) => {
      const hash = text(item) ?? text(object(item)?.["hash"]);
      return hash === null ? [] : [hash];
    }),
    gasUsed: quantity(from["gasUsed"]),
    gasLimit: quantity(from["gasLimit"]),
    size: small(from["size"]),
    stateRoot: text(from["stateRoot"]),
    transactionsRoot: text(from["transactionsRoot"]),
    receiptsRoot: text(from["receiptsRoot"]),
    own,
  };
}

/** What lists and charts need of a block; small however many transactions it has. */
export interface Summary {
  height: number;
  hash: string;
  time: number | null;
  proposer: string;
  count: number;
}

export const summarize = (block: Block): Summary => ({
  height: block.height, hash: block.hash, time: block.time, proposer: block.proposer, count: block.transactions.length,
});

/** From `hawser_getHeader`. */
export function readSummary(value: unknown): Summary | null {
  const outer = object(value);
  const header = object(outer?.["header"]);
  const height = header && small(header["height"]);
  const hash = text(outer?.["hash"]);
  if (!header || height === null || hash === null) return null;
  return {
    height,
    hash,
    time: millis(header["time"]),
    proposer: text(header["proposer"])?.toLowerCase() ?? "",
    count: small(header["transactionsCount"]) ?? 0,
  };
}

/** A chain of the node. */
export interface ChainEntry {
  id: number;
  name: string;
}

export function readChains(value: unknown): ChainEntry[] {
  return list(value).flatMap((item) => {
    const chain = object(item);
    const id = small(chain?.["chainId"]);
    return id === null ? [] : [{ id, name: text(chain?.["name"]) ?? "" }];
  });
}

export interface NativeCall {
  kind: "call" | "create";
  to: string | null;
  value: bigint;
  input: string;
}

export interface Native {
  signer: string | null;
  scheme: string | null;
  ordering: { kind: "sequential"; nonce: bigint | null } | { kind: "unordered"; expires: number | null; salt: string | null } | null;
  calls: NativeCall[];
}

export interface Transaction {
  hash: string;
  type: number | null;
  from: string;
  to: string | null;
  value: bigint;
  nonce: bigint | null;
  gas: bigint | null;
  gasPrice: bigint | null;
  input: string;
  block: number | null;
  blockHash: string | null;
  index: number | null;
  native: Native | null;
}

function readNative(value: unknown): Native | null {
  const from = object(value);
  if (!from) return null;
  const ordering = object(from["ordering"]);
  const sequential = object(ordering?.["sequential"]);
  const unordered = object(ordering?.["unordered"]);
  const signer = text(from["signer"]);
  return {
    signer,
    scheme: text(from["scheme"]) ?? (signer?.includes(":") ? signer.slice(0, signer.indexOf(":")) : null),
    ordering: sequential
      ? { kind: "sequential", nonce: quantity(sequential["nonce"]) }
      : unordered
        ? { kind: "unordered", expires: millis(first(unordered, "expiresMs", "expires")), salt: quantity(unordered["salt"])?.toString() ?? text(unordered["salt"]) }
        : null,
    calls: list(from["calls"]).flatMap((item): NativeCall[] => {
      const outer = object(item);
      if (!outer) return [];
      const create = object(outer["create"]);
      const call = create ?? object(outer["call"]) ?? outer;
      return [
        {
          kind: create || text(call["to"]) === null ? "create" : "call",
          to: text(call["to"])?.toLowerCase() ?? null,
          value: quantity(call["value"]) ?? 0n,
          input: text(first(call, "input", "initCode", "data")) ?? "0x",
        },
      ];
    }),
  };
}

export function readTransaction(value: unknown): Transaction | null {
  const from = object(value);
  const hash = from && text(from["hash"]);
  if (!from || hash === null) return null;
  return {
    hash,
    type: small(from["type"]),
    from: text(from["from"])?.toLowerCase() ?? "",
    to: text(from["to"])?.toLowerCase() ?? null,
    value: quantity(from["value"]) ?? 0n,
    nonce: quantity(from["nonce"]),
    gas: quantity(from["gas"]),
    gasPrice: quantity(from["gasPrice"]),
    input: text(first(from, "input", "data")) ?? "0x",
    block: small(from["blockNumber"]),
    blockHash: text(from["blockHash"]),
    index: small(from["transactionIndex"]),
    native: readNative(from["hawser"]),
  };
}

export interface Log {
  address: string;
  topics: string[];
  data: string;
  index: number | null;
  transaction: string | null;
  block: number | null;
}

export function readLogs(value: unknown): Log[] {
  return list(value).flatMap((item) => {
    const log = object(item);
    const address = text(log?.["address"]);
    if (!log || address === null) return [];
    return [
      {
        address: address.toLowerCase(),
        topics: texts(log["topics"]),
        data: text(log["data"]) ?? "0x",
        index: small(log["logIndex"]),
        transaction: text(log["transactionHash"]),
        block: small(log["blockNumber"]),
      },
    ];
  });
}

export interface Receipt {
  ok: boolean | null;
  gasUsed: bigint | null;
  contract: string | null;
  logs: Log[];
  /** Revert data where the receipt carries it. */
  revert: string | null;
  /** The node's own word for the outcome. */
  outcome: string | null;
}

export function readReceipt(value: unknown): Receipt | null {
  const from = object(value);
  if (!from) return null;
  const own = object(from["hawser"]) ?? {};
  const status = small(from["status"]);
  const revert = text(first(from, "revertData", "revertReason")) ?? text(first(own, "revertData", "revertReason"));
  const outcome = own["outcome"];
  return {
    ok: status === null ? null : status === 1,
    gasUsed: quantity(from["gasUsed"]),
    contract: text(from["contractAddress"])?.toLowerCase() ?? null,
    logs: readLogs(from["logs"]),
    revert: revert === "0x" ? null : revert,
    outcome: text(outcome) ?? (object(outcome) ? JSON.stringify(outcome) : null),
  };
}

export interface Evidence {
  id: string | null;
  digest: string | null;
  algorithm: string | null;
  owner: string | null;
  time: number | null;
  block: number | null;
  transaction: string | null;
  mediaType: string | null;
  description: string | null;
  size: number | null;
}

export function readEvidence(value: unknown): Evidence[] {
  const from = object(value);
  const items = Array.isArray(value) ? value : from ? list(from["records"] ?? [from]) : [];
  return items.flatMap((item): Evidence[] => {
    const record = object(item);
    if (!record) return [];
    const id = first(record, "id", "recordId");
    return [
      {
        id: text(id) ?? (typeof id === "number" ? String(id) : null),
        digest: text(first(record, "digest", "hash")),
        algorithm: text(first(record, "algorithm", "digestAlgorithm")),
        owner: text(first(record, "owner", "submitter", "sender"))?.toLowerCase() ?? null,
        time: millis(first(record, "timeMs", "time", "timestamp")),
        block: small(first(record, "height", "block", "blockNumber")),
        transaction: text(first(record, "transactionHash", "transaction")),
        mediaType: text(record["mediaType"]),
        description: text(record["description"]),
        size: small(first(record, "size", "bytes")),
      },
    ];
  });
}

export interface PoolCounts {
  pending: number;
  queued: number;
}

export function readPool(value: unknown): PoolCounts | null {
  const from = object(value);
  if (!from) return null;
  return { pending: small(from["pending"]) ?? 0, queued: small(from["queued"]) ?? 0 };
}

/** Transactions of `txpool_content`, pending first, at most `max`. */
export function readPoolContent(value: unknown, max: number): { waiting: "pending" | "queued"; transaction: Transaction }[] {
  const from = object(value);
  const out: { waiting: "pending" | "queued"; transaction: Transaction }[] = [];
  for (const waiting of ["pending", "queued"] as const) {
    for (const account of Object.values(object(from?.[waiting]) ?? {})) {
      for (const item of Object.values(object(account) ?? {})) {
        const transaction = readTransaction(item);
        if (transaction) out.push({ waiting, transaction });
        if (out.length >= max) return out;
      }
    }
  }
  return out;
}

/** `Error(string)`, `Panic(uint256)` (Solidity ABI) or the bytes. */
export function revertReason(data: string): { kind: "text" | "panic" | "raw"; text: string } {
  const hexadecimal = /^0x([0-9a-f]*)$/i.exec(data)?.[1]?.toLowerCase();
  if (hexadecimal === undefined) return { kind: "text", text: data };
  const body = hexadecimal.slice(8);
  if (hexadecimal.startsWith("08c379a0") && body.length >= 128) {
    const length = Number.parseInt(body.slice(64, 128), 16);
    const end = 128 + 2 * length;
    if (Number.isSafeInteger(length) && end <= body.length) {
      const raw = body.slice(128, end);
      const bytes = Uint8Array.from({ length }, (_, i) => Number.parseInt(raw.slice(2 * i, 2 * i + 2), 16));
      return { kind: "text", text: new TextDecoder().decode(bytes) };
    }
  }
  if (hexadecimal.startsWith("4e487b71") && body.length === 64) {
    return { kind: "panic", text: `0x${body.replace(/^0+(?=..)/, "")}` };
  }
  return { kind: "raw", text: data };
}

/** Function selectors and event topics that everyday tokens use. */
const SELECTORS: Record<string, string> = {
  "0xa9059cbb": "transfer(address,uint256)",
  "0x23b872dd": "transferFrom(address,address,uint256)",
  "0x095ea7b3": "approve(address,uint256)",
  "0x40c10f19": "mint(address,uint256)",
  "0x42842e0e": "safeTransferFrom(address,address,uint256)",
};
const TOPICS: Record<string, string> = {
  "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef": "Transfer(address,address,uint256)",
  "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925": "Approval(address,address,uint256)",
  "0xc3d58168c5ae7397731d063d5bbf3d657854427343f4c083240f7aacaa2d0f62": "TransferSingle(address,address,address,uint256,uint256)",
};
export const selectorName = (input: string): string | null => SELECTORS[input.slice(0, 10).toLowerCase()] ?? null;
export const topicName = (topic: string): string | null => TOPICS[topic.toLowerCase()] ?? null;
