// A node that is none: serves `dist` and answers the console's calls from made-up data, so that
// every state can be looked at. `npm run build && npm run dev`, then open one of the printed pages.
// The first folder of the path names the scenario.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const dist = join(dirname(fileURLToPath(import.meta.url)), "..", "dist");
const port = Number(process.env.PORT ?? 8600);
/** Headers as the node sends them; kept equal to those of the crate by a test. */
export const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types hawser";

const digest = (...parts) => `0x${createHash("sha256").update(parts.join("|")).digest("hex")}`;
const address = (...parts) => digest("address", ...parts).slice(0, 42);
const q = (n) => `0x${n.toString(16)}`;
const word = (n) => n.toString(16).padStart(64, "0");

const names = ["财政局 Finance", "规划局 Planning", "第一银行 First Bank", "审计署 Audit", "Port Authority", "Customs", "University"];
const HOSTILE = `<img src=x onerror=alert(1)><script>alert(2)</script> \u202Egpj.exe\u202C & "quoted" 合同扫描件`;
const KNOWN = createHash("sha256").update("hello hawser\n").digest("hex");

function scenario(name) {
  const started = Date.now();
  const count = name === "many" ? 60 : name === "sm" ? 7 : 4;
  const validators = Array.from({ length: count }, (_, i) => ({
    address: address("validator", i), publicKey: `ed25519:${digest("key", i).slice(2)}`,
    weight: name === "many" && i < 3 ? 5 : 1, name: names[i] ?? `node-${i}`,
  })).sort((a, b) => (a.address < b.address ? -1 : 1));
  const moving = !["idle", "stalled", "notready"].includes(name);
  const base = 104_200;
  const height = () => base + (moving ? Math.floor((Date.now() - started) / 1_500) : 0);
  const time = (h) => (moving ? started - (base - h) * 1_500 : started - 190_000 - (base - h) * 61_000);
  const counts = (h) => (h === 0 ? 0 : Math.floor(60 + 50 * Math.sin(h / 5) + (parseInt(digest(h).slice(2, 4), 16) % 30)) % 140);
  return { name, validators, height, time, counts, moving };
}
const scenarios = new Map();
const get = (name) => scenarios.get(name) ?? (scenarios.set(name, scenario(name)), scenarios.get(name));

const txHash = (h, i) => `0x${word(h).slice(48)}${word(i).slice(56)}${digest("tx", h, i).slice(26)}`;
const blockHash = (h) => `0x${word(h).slice(48)}${digest("block", h).slice(18)}`;

function transaction(s, hash) {
  const [h, i] = [parseInt(hash.slice(2, 18), 16), parseInt(hash.slice(18, 26), 16)];
  if (txHash(h, i) !== hash || h > s.height() || i >= s.counts(h)) return null;
  const kind = i % 4;
  const token = address("token");
  const transfer = `0xa9059cbb${word(BigInt(address("to", i)))}${word(2_500_000_000_000_000_000n)}`;
  const common = {
    hash, blockHash: blockHash(h), blockNumber: q(h), transactionIndex: q(i), from: address("user", i % 9), chainId: "0x5aa5", gasPrice: "0x0",
  };
  if (kind === 0) return { ...common, type: "0x2", nonce: q(h + i), to: address("user", (i + 3) % 9), value: q(1_250_000_000_000_000_000n), gas: q(21_000), input: "0x" };
  if (kind === 1) return { ...common, type: "0x2", nonce: q(h + i), to: token, value: "0x0", gas: q(90_000), input: transfer };
  if (kind === 2) return { ...common, type: "0x0", nonce: q(h + i), to: address("contract"), value: "0x0", gas: q(200_000), input: `0xdeadbeef${word(7)}` };
  return {
    ...common, type: "0x68", nonce: "0x0", to: token, value: "0x0", gas: q(400_000), input: transfer,
    hawser: {
      scheme: "sm2", signer: `sm2:04${digest("k", i).slice(2)}${digest("l", i).slice(2)}`, signature: "sm2:" + digest("s").slice(2),
      ordering: i % 8 === 3 ? { unordered: { expiresMs: q(s.time(h) + 300_000), salt: q(77 + i) } } : { sequential: { nonce: q(h) } },
      calls: [{ to: token, value: "0x0", input: transfer }, { to: address("evidence"), value: "0x0", input: `0x12345678${word(1)}` }, { to: null, value: "0x0", input: "0x600a600c600039600a6000f3602a60005260206000f3" }],
    },
  };
}

function receipt(s, hash) {
  const t = transaction(s, hash);
  if (!t) return null;
  const i = parseInt(t.transactionIndex, 16);
  const failed = i % 4 === 2;
  const reason = "Warehouse: receipt is already pledged <b>bold</b>";
  const log = {
    address: address("token"), topics: ["0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef", `0x${word(BigInt(t.from))}`, `0x${word(BigInt(address("to", i)))}`],
    data: `0x${word(2_500_000_000_000_000_000n)}`, logIndex: q(i), blockNumber: t.blockNumber, transactionHash: hash,
  };
  return {
    status: failed ? "0x0" : "0x1", gasUsed: q(21_000 + i * 311), contractAddress: null, logs: i % 4 === 1 || i % 4 === 3 ? [log] : [],
    ...(failed ? { revertReason: `0x08c379a0${word(32)}${word(Buffer.byteLength(reason))}${Buffer.from(reason).toString("hex").padEnd(128, "0")}` } : {}),
  };
}

function block(s, h) {
  if (!(h >= 0 && h <= s.height())) return null;
  const n = s.counts(h);
  return {
    number: q(h), hash: blockHash(h), parentHash: h === 0 ? `0x${word(0)}` : blockHash(h - 1), miner: s.validators[h % s.validators.length].address,
    timestamp: q(Math.floor(s.time(h) / 1000)), timestampMs: q(s.time(h)), gasUsed: q(n * 48_123), gasLimit: q(100_000_000), size: q(420 + n * 212),
    stateRoot: digest("state", h), receiptsRoot: digest("receipts", h), transactionsRoot: digest("txs", h),
    transactions: Array.from({ length: n }, (_, i) => txHash(h, i)),
  };
}

function status(s) {
  const h = s.height();
  const stalled = s.name === "stalled";
  const notready = s.name === "notready";
  const syncing = s.name === "syncing";
  const beat = Math.floor(Date.now() / 1_000) % 3;
  const voted = stalled ? 2 : Math.min(s.validators.length, Math.round((s.validators.length * (beat + 1)) / 3));
  const heard = s.validators.slice(0, voted).map((v) => v.address);
  const deciding = s.name === "idle" || syncing ? null : h + 1;
  const silent = s.validators.slice(voted).map((v) => v.name).join(", ") || "nobody";
  const step = ["waiting for the proposal", "waiting for prevotes", "waiting for precommits"][stalled ? 1 : beat];
  const peers = notready ? 0 : s.validators.length - 1;
  return {
    chainId: 23205, name: "港口仓单链 Port Receipts", genesis: digest("genesis"), suite: s.name === "sm" ? "sm" : "intl", height: h, hash: blockHash(h), executed: h,
    validator: s.name === "syncing" ? null : s.validators[1].address, validators: s.validators.length, deciding, round: stalled ? 6 : 0, step, heard,
    peers: Array.from({ length: peers }, (_, i) => ({ id: digest("peer", i).slice(2), height: syncing ? h + 51_337 : i === 1 ? h - 14 : h })),
    pending: s.name === "idle" ? 0 : 37, queued: s.name === "idle" ? 0 : 2, syncing, ready: !notready && !syncing,
    waiting: [
      ...(notready ? [`links: 0 of ${s.validators.length - 1} configured peers are connected; with this node that is 1 of the 3 validators that a quorum needs. Check that the other nodes run and that their addresses are reachable`] : []),
      ...(syncing ? [`catching up: block ${h} of ${h + 51_337} is here; blocks are being fetched from peers`] : []),
      ...(deciding ? [`block ${deciding}, round ${stalled ? 6 : 0}: ${step}; no vote in this round yet from ${silent}`] : []),
    ],
  };
}

const records = ({ algorithm, digest: found }) =>
  algorithm === "sha-256" && found === `0x${KNOWN}`
    ? [{
        id: digest("record", 1), digest: found, algorithm: "sha-256", owner: address("user", 2), timeMs: 1_788_000_000_000, height: 104_100,
        transactionHash: txHash(104_100, 1), mediaType: "application/pdf", description: HOSTILE,
      }, {
        id: digest("record", 2), digest: found, algorithm: "sha-256", owner: address("user", 5), timeMs: 1_788_100_000_000, height: 104_150,
        transactionHash: txHash(104_150, 3), mediaType: "text/plain", description: "仓单 W-2026-0417 复核\nsecond line",
      }]
    : [];

function answer(s, { id, method, params = [] }) {
  const ok = (result) => ({ jsonrpc: "2.0", id, result });
  const fail = (code, message) => ({ jsonrpc: "2.0", id, error: { code, message } });
  if (s.name === "bare" && method.startsWith("hawser_")) return fail(-32601, `the method ${method} does not exist/is not available`);
  const at = (value) => (typeof value === "number" ? value : value === "latest" ? s.height() : parseInt(value, 16));
  switch (method) {
    case "hawser_status": return ok(status(s));
    case "hawser_getValidators": return ok({ validators: s.validators });
    case "hawser_chains": return ok(["sm", "many"].includes(s.name) ? [{ chainId: 23205, name: "港口仓单链 Port Receipts" }, { chainId: 23206, name: "Customs" }] : [{ chainId: 23205, name: "x" }]);
    case "hawser_getCertificate": {
      const h = at(params[0]);
      if (h === 0 || h > s.height()) return ok(null);
      const skip = h % s.validators.length;
      return ok({
        height: h, round: 0, blockHash: blockHash(h),
        signatures: s.validators.flatMap((_, i) => (i === skip ? [] : [{ validator: i, signature: `ed25519:${digest("sig", h, i).slice(2)}${digest("sig2", h, i).slice(2)}` }])),
      });
    }
    case "hawser_getHeader": {
      const h = at(params[0]);
      if (h > s.height()) return ok(null);
      return ok({ hash: blockHash(h), header: { version: 1, chainId: 23205, height: h, time: s.time(h), proposer: s.validators[h % s.validators.length].address, transactionsCount: s.counts(h), executed: { height: Math.max(0, h - 1), state: digest("state", h - 1), receipts: digest("receipts", h - 1) }, validators: digest("set"), nextValidators: digest("set") } });
    }
    case "hawser_findEvidence": return ok(records(params[0]));
    case "hawser_getEvidenceProof": return ok({ record: params[0], path: [digest(1), digest(2)], certificate: {} });
    case "eth_blockNumber": return ok(q(s.height()));
    case "eth_getBlockByNumber": return ok(block(s, at(params[0])));
    case "eth_getBlockByHash": { const h = parseInt(params[0].slice(2, 18), 16); return ok(blockHash(h) === params[0] ? block(s, h) : null); }
    case "eth_getTransactionByHash": return ok(transaction(s, params[0]));
    case "eth_getTransactionReceipt": return ok(receipt(s, params[0]));
    case "eth_getBalance": return ok(q(1_234_567_500_000_000_000_000n));
    case "eth_getTransactionCount": return ok(q(1_842));
    case "eth_getCode": return ok(params[0] === address("token") ? `0x${"6080604052348015".repeat(120)}` : "0x");
    case "eth_getLogs": return ok([1, 5, 9].map((i) => receipt(s, txHash(104_100, i))?.logs[0]).filter(Boolean));
    case "txpool_status": return ok(s.name === "idle" ? { pending: "0x0", queued: "0x0" } : { pending: q(37), queued: q(2) });
    case "txpool_content": return ok({ pending: { a: Object.fromEntries([0, 1, 3].map((i) => [i, { ...transaction(s, txHash(104_100, i)), blockNumber: null }])) }, queued: {} });
    case "txpool_contentFrom": return ok({ pending: {}, queued: {} });
    case "web3_clientVersion": return ok("Hawser/v0.1.0/linux-x86_64/rust");
    default: return fail(-32601, `the method ${method} does not exist/is not available`);
  }
}

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const server = createServer((request, response) => {
  const [, name = "", ...rest] = new URL(request.url, "http://localhost").pathname.split("/");
  if (request.method === "POST") {
    if (name === "down") return void request.socket.destroy();
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      const parsed = JSON.parse(body);
      const s = get(name);
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(Array.isArray(parsed) ? parsed.map((one) => answer(s, one)) : answer(s, parsed)));
    });
    return;
  }
  const path = normalize(rest.join("/") || "index.html");
  try {
    const body = readFileSync(join(dist, path.startsWith("..") ? "index.html" : path));
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream", "content-security-policy": CSP, "x-content-type-options": "nosniff", "cache-control": "no-store" });
    response.end(body);
  } catch {
    response.writeHead(404).end("not found");
  }
});

// Just enough of RFC 6455 to push heads to a browser.
server.on("upgrade", (request, socket) => {
  const name = request.url.split("/")[1] ?? "";
  if (["down", "bare"].includes(name)) return void socket.destroy();
  const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  const send = (value) => {
    const text = Buffer.from(JSON.stringify(value));
    const head = text.length < 126 ? Buffer.from([0x81, text.length]) : Buffer.from([0x81, 126, text.length >> 8, text.length & 255]);
    socket.write(Buffer.concat([head, text]));
  };
  const s = get(name);
  let last = s.height();
  socket.once("data", () => send({ jsonrpc: "2.0", id: 2, result: "0x1" }));
  const timer = setInterval(() => {
    if (s.height() === last) return;
    last = s.height();
    send({ jsonrpc: "2.0", method: "eth_subscription", params: { subscription: "0x1", result: { number: q(last) } } });
  }, 250);
  socket.on("close", () => clearInterval(timer));
  socket.on("error", () => clearInterval(timer));
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  server.listen(port, "127.0.0.1", () => {
    for (const name of ["live", "idle", "stalled", "syncing", "notready", "many", "sm", "bare", "down"]) console.log(`http://127.0.0.1:${port}/${name}/`);
    console.log(`evidence that is found: 0x${KNOWN} (a file with "hello hawser" and a line feed)`);
  });
}
