/** Looking up digests: the node wants the algorithm with each. */

import { type Evidence, readEvidence, readSets } from "./model";
import { isMissing, type RpcClient } from "./rpc/client";

/** The node's names of digest algorithms. */
export type Algorithm = "sha-256" | "sm3" | "keccak-256" | "sha-384" | "sha-512";

export const ALGORITHM_NAMES: Record<Algorithm, string> = {
  "sha-256": "SHA-256", sm3: "SM3", "keccak-256": "Keccak-256", "sha-384": "SHA-384", "sha-512": "SHA-512",
};

/** `0x` and 32, 48 or 64 bytes. */
export const DIGEST = /^0x(?:[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})$/;

/** What a digest of this length can have been made with. */
export function algorithms(digest: string): Algorithm[] {
  switch (digest.length) {
    case 66:
      return ["sha-256", "sm3", "keccak-256"];
    case 98:
      return ["sha-384"];
    case 130:
      return ["sha-512"];
    default:
      return [];
  }
}

/** A digest, and the algorithm where it is known. */
export interface Wanted {
  digest: string;
  algorithm: Algorithm | null;
}

export interface Found {
  record: Evidence;
  /** Of a digest in a set: its place, from 0, and how many the set has. */
  member: { index: number; count: number } | null;
  digest: string;
  algorithm: Algorithm;
}

/** Searches of a node for one digest in sets; each goes through many blocks. */
const SEARCHES_MAX = 5;

/** Sets that have a digest, the newest first, as far as a few searches reach. */
async function inSets(rpc: RpcClient, algorithm: Algorithm, digest: string): Promise<Found[]> {
  const found: Found[] = [];
  let below: number | null = null;
  try {
    for (let i = 0; i < SEARCHES_MAX; i++) {
      const answer: ReturnType<typeof readSets> = readSets(
        await rpc.call("hawser_findEvidenceDigest", [{ algorithm, digest, ...(below === null ? {} : { below }) }]),
      );
      found.push(...answer.sets.map(({ record, index, count }) => ({ record, member: { index, count }, digest, algorithm })));
      if (answer.next === null) break;
      below = answer.next;
    }
  } catch (error) {
    // An older node knows records only.
    if (!isMissing(error)) throw error;
  }
  return found;
}

/** Every record of these digests, and the sets that have them. */
export async function findEvidence(rpc: RpcClient, wanted: Wanted[]): Promise<Found[]> {
  const questions = wanted.flatMap(({ digest, algorithm }) =>
    (algorithm === null ? algorithms(digest) : [algorithm]).map((one) => ({ digest, algorithm: one })),
  );
  const answers = await Promise.all(
    questions.map(async ({ digest, algorithm }): Promise<Found[]> => {
      const records = readEvidence(await rpc.call("hawser_findEvidence", [{ algorithm, digest }]));
      return [...records.map((record) => ({ record, member: null, digest, algorithm })), ...(await inSets(rpc, algorithm, digest))];
    }),
  );
  return answers.flat();
}

/** What `hawser evidence check` reads: the node's proof and the genesis. */
export async function evidenceBundle(rpc: RpcClient, found: Found): Promise<Record<string, unknown>> {
  const id = found.record.id ?? found.digest;
  const asked: [string, unknown[]] =
    found.member === null ? ["hawser_getEvidenceProof", [id]] : ["hawser_getEvidenceSetProof", [id, found.digest]];
  const [proof, genesis] = await Promise.all([rpc.call(...asked), rpc.call("hawser_getGenesis", [])]);
  if (proof === null || typeof proof !== "object") throw new Error("the node has no proof for this record");
  const from = proof as Record<string, unknown>;
  const certified = from["certifiedBy"] as Record<string, unknown> | null | undefined;
  const own =
    found.member === null
      ? { format: "hawser-evidence", version: 1, record: from["record"], encodedRecord: from["encodedRecord"] }
      : { format: "hawser-evidence-set", version: 1, set: from["set"], encodedSet: from["encodedSet"], member: from["member"] };
  return {
    ...own,
    certifiedHeader: certified?.["encoded"],
    stateProof: from["proof"],
    committeeChanges: from["committeeChanges"] ?? [],
    genesis: (genesis as Record<string, unknown> | null)?.["genesis"],
  };
}
