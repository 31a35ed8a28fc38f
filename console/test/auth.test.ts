import { describe, expect, it } from "vitest";
import { chainOfAudience, Login, readToken, type Token } from "../src/auth";

const ACCOUNT = "ab".repeat(20);
const hex = (n: number): string => n.toString(16).padStart(16, "0");
/** A token as the node makes it: version, chain, account, issued, expires, name, code. */
export function token(options: { version?: number; chain?: number; expires: number; bytes?: number }): string {
  const body = `${(options.version ?? 1).toString(16).padStart(2, "0")}${hex(options.chain ?? 4207)}${ACCOUNT}${hex(1_000)}${hex(options.expires)}${"11".repeat(16)}${"22".repeat(32)}`;
  const raw = body.match(/../g)!.slice(0, options.bytes ?? 93).map((byte) => String.fromCharCode(Number.parseInt(byte, 16))).join("");
  return btoa(raw).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

describe("a pasted token", () => {
  it("tells its chain, its account and its time", () => {
    expect(readToken(token({ expires: 9_000 }), 8_999)).toMatchObject({ chainId: 4207, account: `0x${ACCOUNT}`, issued: 1_000, expires: 9_000 });
  });
  it("may come with spaces and the name of its scheme", () => {
    const text = token({ expires: 9_000 });
    for (const pasted of [`  ${text}\n`, `Bearer ${text}`, `Authorization: bearer ${text}`]) expect(readToken(pasted, 0)).toMatchObject({ text });
  });
  it("is over at its time and not before", () => {
    expect(readToken(token({ expires: 9_000 }), 8_999)).toBeTypeOf("object");
    expect(readToken(token({ expires: 9_000 }), 9_000)).toBe("expired");
  });
  it("is refused when it is cut, longer, of another version or something else", () => {
    expect(readToken("  ", 0)).toBe("empty");
    for (const bad of [token({ expires: 9_000, bytes: 92 }), `${token({ expires: 9_000 })}AAAA`, token({ expires: 9_000, version: 2 }), "0x1234", "a b", "é".repeat(124), "-----"]) {
      expect(readToken(bad, 0), bad).toBe("malformed");
    }
  });
});

describe("the login", () => {
  const shelf = () => {
    const kept = new Map<string, string>();
    return {
      kept,
      getItem: (name: string) => kept.get(name) ?? null,
      setItem: (name: string, value: string) => void kept.set(name, value),
      removeItem: (name: string) => void kept.delete(name),
    };
  };
  const far = Date.now() + 60_000;
  const good = readToken(token({ expires: far }), 0) as Token;
  it("lasts over a reload of the tab and ends when it is dropped", () => {
    const tab = shelf();
    new Login("http://node/", tab).use(good);
    expect(new Login("http://node/", tab).token?.text).toBe(good.text);
    new Login("http://node/", tab).drop();
    expect([...tab.kept]).toEqual([]);
    expect(new Login("http://node/", tab).token).toBeNull();
  });
  it("is another one for each chain of a node", () => {
    const tab = shelf();
    new Login("http://node/chain/1", tab).use(good);
    expect(new Login("http://node/chain/2", tab).token).toBeNull();
  });
  it("forgets what is over", () => {
    const tab = shelf();
    const login = new Login("http://node/", tab);
    login.use({ ...good, expires: Date.now() - 1 });
    expect(login.token).toBeNull();
    expect([...tab.kept]).toEqual([]);
    tab.kept.set("hawser.token:http://node/", token({ expires: 1 }));
    expect(new Login("http://node/", tab).token).toBeNull();
    expect([...tab.kept]).toEqual([]);
  });
  it("works for this visit where storage is forbidden", () => {
    const forbidden = { getItem: () => { throw new Error("no"); }, setItem: () => { throw new Error("no"); }, removeItem: () => { throw new Error("no"); } };
    const login = new Login("http://node/", forbidden);
    login.use(good);
    expect(login.token?.text).toBe(good.text);
    login.drop();
    expect(login.token).toBeNull();
  });
});

it("an audience names its chain", () => {
  expect(chainOfAudience("hawser:4207:0123456789abcdef:ff")).toBe(4207);
  for (const bad of ["hawser:x:1:2", "other:1:2:3", 5, null]) expect(chainOfAudience(bad)).toBeNull();
});
