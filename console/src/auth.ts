/** Logging in where a chain's reads are signed (docs/spec/reads.md): a short-lived token, made where
 * the key is and pasted here. It is kept for this tab only and sent to this page's own node only. */

/** What a token says of itself. Its seal is the node's to check. */
export interface Token {
  text: string;
  chainId: number;
  account: string;
  /** Milliseconds since 1970. */
  issued: number;
  expires: number;
}

export type TokenFault = "empty" | "malformed" | "expired";

/** Version, chain id, account, issued, expires, name, and the code over them (SHA-256 or SM3). */
const BODY_BYTES = 1 + 8 + 20 + 8 + 8 + 16;
const TOKEN_BYTES = BODY_BYTES + 32;
const VERSION = 1;

/** Reads what somebody pasted: the token, with or without the name of its scheme. */
export function readToken(pasted: string, now: number): Token | TokenFault {
  const text = pasted.trim().replace(/^(authorization:\s*)?bearer\s+/i, "");
  if (text === "") return "empty";
  if (!/^[A-Za-z0-9_-]{1,256}$/.test(text)) return "malformed";
  let bytes: Uint8Array;
  try {
    const raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    bytes = Uint8Array.from(raw, (c) => c.charCodeAt(0));
  } catch {
    return "malformed";
  }
  if (bytes.length !== TOKEN_BYTES || bytes[0] !== VERSION) return "malformed";
  const view = new DataView(bytes.buffer);
  const number = (at: number): number => Number(view.getBigUint64(at));
  const account = [...bytes.subarray(9, 29)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const token = { text, chainId: number(1), account: `0x${account}`, issued: number(29), expires: number(37) };
  return token.expires <= now ? "expired" : token;
}

/** The chain that an audience names: `hawser:<chain id>:<genesis>:<node>`. */
export function chainOfAudience(audience: unknown): number | null {
  const found = typeof audience === "string" ? /^hawser:(\d{1,16}):/.exec(audience) : null;
  return found ? Number(found[1]) : null;
}

type Shelf = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** The token in use, remembered for this tab and this chain. */
export class Login {
  readonly #name: string;
  #token: Token | null = null;

  constructor(
    url: string,
    private readonly shelf: Shelf | null = shelfOfTab(),
  ) {
    this.#name = `hawser.token:${url}`;
    try {
      const kept = readToken(this.shelf?.getItem(this.#name) ?? "", Date.now());
      if (typeof kept === "object") this.#token = kept;
      else this.shelf?.removeItem(this.#name);
    } catch {
      // Storage may be forbidden; then the login lasts until the page is left.
    }
  }

  /** The token, until its time is over. */
  get token(): Token | null {
    if (this.#token && this.#token.expires <= Date.now()) this.drop();
    return this.#token;
  }

  use(token: Token): void {
    this.#token = token;
    try {
      this.shelf?.setItem(this.#name, token.text);
    } catch {
      // As above.
    }
  }

  drop(): void {
    this.#token = null;
    try {
      this.shelf?.removeItem(this.#name);
    } catch {
      // As above.
    }
  }
}

function shelfOfTab(): Shelf | null {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}
