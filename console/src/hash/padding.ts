/** What follows a message of so many bytes: a one bit, zeros up to 56 bytes modulo 64, and the length
 * in bits as 64 bits. The same in FIPS 180-4 (section 5.1.1) and GB/T 32905 (section 5.2). */
export function padding(bytes: number): Uint8Array {
  const filled = bytes % 64;
  const pad = new Uint8Array((filled < 56 ? 64 : 128) - filled);
  pad[0] = 0x80;
  const view = new DataView(pad.buffer);
  view.setUint32(pad.length - 8, Math.floor(bytes / 0x2000_0000));
  view.setUint32(pad.length - 4, (bytes % 0x2000_0000) * 8);
  return pad;
}
