import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { hashFile, hex } from "../src/hash/file";
import { padding } from "../src/hash/padding";
import { Sha256 } from "../src/hash/sha256";
import { Sm3 } from "../src/hash/sm3";

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31 + 7) & 255);

describe("SM3", () => {
  it("gives example 1 of GB/T 32905 annex A", () => {
    expect(hex(new Sm3().update(ascii("abc")).digest())).toBe("0x66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
  });
  it("gives example 2 of GB/T 32905 annex A", () => {
    expect(hex(new Sm3().update(ascii("abcd".repeat(16))).digest())).toBe("0xdebe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732");
  });
  it("hashes nothing", () => {
    expect(hex(new Sm3().digest())).toBe("0x1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b");
  });
  it("agrees with OpenSSL at every length around the block size", () => {
    for (let length = 0; length <= 200; length++) {
      const data = pattern(length);
      expect(hex(new Sm3().update(data).digest()), String(length)).toBe(`0x${createHash("sm3").update(data).digest("hex")}`);
    }
  });
});

describe("SHA-256", () => {
  it("gives the examples of FIPS 180-4", () => {
    expect(hex(new Sha256().update(ascii("abc")).digest())).toBe("0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(hex(new Sha256().digest())).toBe("0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });
  it("agrees with OpenSSL at every length around the block size", () => {
    for (let length = 0; length <= 200; length++) {
      const data = pattern(length);
      expect(hex(new Sha256().update(data).digest()), String(length)).toBe(`0x${createHash("sha256").update(data).digest("hex")}`);
    }
  });
});

it("does not depend on how the data is cut", () => {
  const data = pattern(1_000);
  const whole = [hex(new Sm3().update(data).digest()), hex(new Sha256().update(data).digest())];
  for (const cut of [1, 3, 63, 64, 65, 127, 999]) {
    const [sm3, sha] = [new Sm3(), new Sha256()];
    for (let at = 0; at < data.length; at += cut) {
      sm3.update(data.subarray(at, at + cut));
      sha.update(data.subarray(at, at + cut));
    }
    expect([hex(sm3.digest()), hex(sha.digest())]).toEqual(whole);
  }
});

it("counts the length in 64 bits", () => {
  // 512 MiB and one byte: the number of bits no longer fits into 32.
  const pad = padding(0x2000_0001);
  expect(pad).toHaveLength(63);
  expect(hex(pad.subarray(-8))).toBe("0x0000000100000008");
  expect(hex(padding(0x1fff_ffff).subarray(-8))).toBe("0x00000000fffffff8");
});

/** A file that is never in memory as a whole. */
const large = (size: number): Blob =>
  ({
    size,
    slice: (from: number, until: number) => ({
      arrayBuffer: async () => pattern(0).buffer && new Uint8Array(Math.min(until, size) - from).buffer,
    }),
    arrayBuffer: () => Promise.reject(new Error("read as a whole")),
  }) as unknown as Blob;

describe("files", () => {
  it("gets both digests of a small file", async () => {
    const digests = await hashFile(new Blob(["abc"]), () => {});
    expect(digests).toEqual({
      sha256: "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      sm3: "0x66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
    });
  });
  it("streams a large file and tells how far it is", async () => {
    const size = 36 * 1024 * 1024 + 5;
    const seen: number[] = [];
    const digests = await hashFile(large(size), (done) => void seen.push(done));
    expect(digests?.sha256).toBe(`0x${createHash("sha256").update(new Uint8Array(size)).digest("hex")}`);
    expect(digests?.sm3).toBe(`0x${createHash("sm3").update(new Uint8Array(size)).digest("hex")}`);
    expect(seen).toHaveLength(10);
    expect(seen.at(-1)).toBe(size);
  }, 60_000);
  it("stops when told to", async () => {
    let calls = 0;
    expect(await hashFile(large(40 * 1024 * 1024), () => ++calls < 2)).toBeNull();
    expect(calls).toBe(2);
  });
});
