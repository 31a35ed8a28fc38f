/** Turns values into text. Nothing here trusts its input: it may come from the chain. */

export type Lang = "en" | "zh";

/** A quantity as the node writes it: a JSON number, a decimal string or `0x…`. */
export function quantity(value: unknown): bigint | null {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : null;
  if (typeof value === "bigint") return value >= 0n ? value : null;
  if (typeof value !== "string" || value.length > 80) return null;
  return /^(0x[0-9a-f]+|[0-9]+)$/i.test(value) ? BigInt(value) : null;
}

/** A quantity below 2^53, or null. */
export function small(value: unknown): number | null {
  const n = quantity(value);
  return n !== null && n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : null;
}

export const toHex = (n: number | bigint): string => "0x" + n.toString(16);

export function group(n: number | bigint, lang: Lang): string {
  return n.toLocaleString(lang === "zh" ? "zh-CN" : "en-GB");
}

/** `0x1234…cdef`; short values stay whole. */
export function short(hash: string, head = 6, tail = 4): string {
  return hash.length <= head + tail + 3 ? hash : `${hash.slice(0, head + 2)}…${hash.slice(-tail)}`;
}

export function bytes(n: number, lang: Lang): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = n;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  const text = value.toLocaleString(lang === "zh" ? "zh-CN" : "en-GB", { maximumFractionDigits: digits });
  return `${text} ${units[unit]}`;
}

/** A span of time in its largest unit: `850 ms`, `12 s`, `3 min`, `5 h`, `2 d`. */
export function duration(ms: number, lang: Lang): string {
  const names = lang === "zh" ? ["毫秒", "秒", "分钟", "小时", "天"] : ["ms", "s", "min", "h", "d"];
  const steps = [1, 1_000, 60_000, 3_600_000, 86_400_000];
  const span = Math.max(0, Math.round(ms));
  let unit = 0;
  while (unit < 4 && span >= steps[unit + 1]!) unit++;
  return `${Math.floor(span / steps[unit]!)} ${names[unit]}`;
}

const two = (n: number): string => String(n).padStart(2, "0");

/** Whether `Date` can hold it. */
const datable = (ms: number): boolean => Number.isFinite(ms) && Math.abs(ms) <= 8.64e15;

/** `2026-05-01 19:40:18` in the reader's zone. */
export function localTime(ms: number): string {
  if (!datable(ms)) return "–";
  const d = new Date(ms);
  return (
    `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ` +
    `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
  );
}

/** `UTC+08:00` for the reader's zone at that time. */
export function zone(ms: number): string {
  const offset = datable(ms) ? -new Date(ms).getTimezoneOffset() : 0;
  const size = Math.abs(offset);
  return `UTC${offset < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** `2026-05-01 11:40:18 UTC`. */
export function utcTime(ms: number): string {
  return datable(ms) ? `${new Date(ms).toISOString().replace("T", " ").slice(0, 19)} UTC` : "–";
}

/** Base units with 18 decimals as a decimal number without trailing zeros. */
export function coins(wei: bigint, lang: Lang): string {
  const whole = group(wei / 10n ** 18n, lang);
  const rest = (wei % 10n ** 18n).toString().padStart(18, "0").replace(/0+$/, "");
  return rest === "" ? whole : `${whole}.${rest}`;
}

/** The node's sentences with their milliseconds since 1970 as dates, and the largest number of 64 bits,
 * which stands for no end, as `never`. */
export function moments(text: string, never: string): string {
  return text.replace(/\b(\d{13}|18446744073709551615) (?:ms\b|毫秒)/g, (_, ms: string) => (ms.length > 13 ? never : utcTime(Number(ms))));
}

/** The same for where space is short: at most four decimals, with `≈` in front where some are cut. */
export function about(wei: bigint, lang: Lang): string {
  const cut = wei % 10n ** 14n;
  return cut === 0n ? coins(wei, lang) : `≈ ${coins(wei - cut, lang)}`;
}

const TEXT_MAX = 2_000;

/** Text from the chain, made safe to read: characters that hide, reorder or break text are written
 * out, and what is too long is cut. The page never interprets text as markup besides. */
export function plain(text: string, max = TEXT_MAX): string {
  const shown = text.length > max ? `${text.slice(0, max)}…` : text;
  return shown.replace(
    // Controls other than tab and line feed, bidirectional and zero-width characters, lone
    // surrogates, and the deprecated tags that can carry invisible text.
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc00-\udfff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g,
    (found) => `\\u{${found.codePointAt(0)!.toString(16)}}`,
  );
}

/** One word of a POSIX shell, whatever it contains. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(text) && !text.startsWith("-") ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** What a search box was given. */
export type Query =
  | { kind: "height"; height: number }
  | { kind: "address"; address: string }
  | { kind: "hash"; hash: string }
  /** Too long for a hash of the chain: SHA-384 or SHA-512. */
  | { kind: "digest"; hash: string }
  | { kind: "none" };

export function readQuery(input: string): Query {
  const text = input.trim().replace(/^#/, "");
  const digits = text.replace(/[,\s_]/g, "");
  if (/^[0-9]{1,16}$/.test(digits)) {
    const height = Number(digits);
    return Number.isSafeInteger(height) ? { kind: "height", height } : { kind: "none" };
  }
  const hexadecimal = /^(?:0x)?([0-9a-f]+)$/i.exec(text)?.[1]?.toLowerCase();
  if (hexadecimal?.length === 40) return { kind: "address", address: `0x${hexadecimal}` };
  if (hexadecimal?.length === 64) return { kind: "hash", hash: `0x${hexadecimal}` };
  if (hexadecimal?.length === 96 || hexadecimal?.length === 128) return { kind: "digest", hash: `0x${hexadecimal}` };
  return { kind: "none" };
}
