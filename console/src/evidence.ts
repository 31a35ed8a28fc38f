/** Looking up digests: the node wants the algorithm with each. */

import { type Evidence, readEvidence } from "./model";
import type { RpcClient } from "./rpc/client";

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
  digest: string;
  algorithm: Algorithm;
}

/** Every record of these digests. */
export async function findEvidence(rpc: RpcClient, wanted: Wanted[]): Promise<Found[]> {
  const questions = wanted.flatMap(({ digest, algorithm }) =>
    (algorithm === null ? algorithms(digest) : [algorithm]).map((one) => ({ digest, algorithm: one })),
  );
  const answers = await Promise.all(
    questions.map(async ({ digest, algorithm }) =>
      readEvidence(await rpc.call("hawser_findEvidence", [{ algorithm, digest }])).map((record) => ({ record, digest, algorithm })),
    ),
  );
  return answers.flat();
}
