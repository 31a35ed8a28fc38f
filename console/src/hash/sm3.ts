/** SM3 (GB/T 32905-2016), streaming. */

import { padding } from "./padding";

const IV = [
  0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e,
] as const;

const rotl = (x: number, n: number): number => (x << n) | (x >>> (32 - n));

/** T_j already rotated left by j mod 32, as section 5.3.3 uses it. */
const T = Int32Array.from({ length: 64 }, (_, j) => {
  const t = j < 16 ? 0x79cc4519 : 0x7a879d8a;
  const n = j % 32;
  return n === 0 ? t : rotl(t, n);
});

/** One digest in the making: any number of `update`, then `digest` once. */
export class Sm3 {
  readonly #state = Int32Array.from(IV);
  readonly #block = new Uint8Array(64);
  readonly #w = new Int32Array(68);
  #filled = 0;
  #bytes = 0;

  update(data: Uint8Array): this {
    this.#bytes += data.length;
    let at = 0;
    if (this.#filled > 0) {
      const take = Math.min(64 - this.#filled, data.length);
      this.#block.set(data.subarray(0, take), this.#filled);
      this.#filled += take;
      at = take;
      if (this.#filled < 64) return this;
      this.#compress(this.#block, 0);
      this.#filled = 0;
    }
    for (; at + 64 <= data.length; at += 64) this.#compress(data, at);
    this.#block.set(data.subarray(at));
    this.#filled = data.length - at;
    return this;
  }

  digest(): Uint8Array {
    this.update(padding(this.#bytes));
    const out = new Uint8Array(32);
    const outView = new DataView(out.buffer);
    this.#state.forEach((word, i) => outView.setInt32(4 * i, word));
    return out;
  }

  #compress(data: Uint8Array, at: number): void {
    const w = this.#w;
    for (let i = 0; i < 16; i++) {
      const p = at + 4 * i;
      w[i] = (data[p]! << 24) | (data[p + 1]! << 16) | (data[p + 2]! << 8) | data[p + 3]!;
    }
    for (let i = 16; i < 68; i++) {
      const x = w[i - 16]! ^ w[i - 9]! ^ rotl(w[i - 3]!, 15);
      w[i] = x ^ rotl(x, 15) ^ rotl(x, 23) ^ rotl(w[i - 13]!, 7) ^ w[i - 6]!;
    }
    const s = this.#state;
    let a = s[0]!;
    let b = s[1]!;
    let c = s[2]!;
    let d = s[3]!;
    let e = s[4]!;
    let f = s[5]!;
    let g = s[6]!;
    let h = s[7]!;
    for (let j = 0; j < 64; j++) {
      const a12 = rotl(a, 12);
      const ss1 = rotl((a12 + e + T[j]!) | 0, 7);
      const ss2 = ss1 ^ a12;
      const ff = j < 16 ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
      const gg = j < 16 ? e ^ f ^ g : (e & f) | (~e & g);
      const tt1 = (ff + d + ss2 + (w[j]! ^ w[j + 4]!)) | 0;
      const tt2 = (gg + h + ss1 + w[j]!) | 0;
      d = c;
      c = rotl(b, 9);
      b = a;
      a = tt1;
      h = g;
      g = rotl(f, 19);
      f = e;
      e = tt2 ^ rotl(tt2, 9) ^ rotl(tt2, 17);
    }
    s[0]! ^= a;
    s[1]! ^= b;
    s[2]! ^= c;
    s[3]! ^= d;
    s[4]! ^= e;
    s[5]! ^= f;
    s[6]! ^= g;
    s[7]! ^= h;
  }
}
