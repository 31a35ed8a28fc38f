import { Sha256 } from "./sha256";
import { Sm3 } from "./sm3";

/** Digests of one file, as `0x` and 64 hexadecimal digits. */
export interface Digests {
  sha256: string;
  sm3: string;
}

/** Up to here WebCrypto gets the whole file at once; above, nothing larger than a chunk is held. */
const WHOLE_BYTES_MAX = 32 * 1024 * 1024;
const CHUNK_BYTES = 4 * 1024 * 1024;

export const hex = (bytes: Uint8Array): string =>
  "0x" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Reads a file once and hashes it both ways. `progress` gets the number of bytes done; returning
 * false from it cancels. */
export async function hashFile(
  file: Blob,
  progress: (done: number) => boolean | void,
): Promise<Digests | null> {
  const sm3 = new Sm3();
  const subtle = globalThis.crypto?.subtle;
  if (subtle && file.size <= WHOLE_BYTES_MAX) {
    const bytes = await file.arrayBuffer();
    const sha = new Uint8Array(await subtle.digest("SHA-256", bytes));
    sm3.update(new Uint8Array(bytes));
    progress(file.size);
    return { sha256: hex(sha), sm3: hex(sm3.digest()) };
  }
  const sha = new Sha256();
  for (let at = 0; at < file.size; at += CHUNK_BYTES) {
    const chunk = new Uint8Array(await file.slice(at, at + CHUNK_BYTES).arrayBuffer());
    sha.update(chunk);
    sm3.update(chunk);
    if (progress(Math.min(at + CHUNK_BYTES, file.size)) === false) return null;
  }
  return { sha256: hex(sha.digest()), sm3: hex(sm3.digest()) };
}
