// Answers a JSON list of requests on standard input with npm's sm-crypto.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(new URL("../../clients/package.json", import.meta.url));
const { sm2, sm3, sm4 } = require("sm-crypto");
const bytes = (hex) => [...Buffer.from(hex, "hex")];
const hex = (list) => Buffer.from(list).toString("hex");

const answers = {
  name: () => "sm-crypto",
  sm3: ({ data }) => sm3(bytes(data)),
  sm2_sign: ({ secret, public: publicKey, data, der }) =>
    sm2.doSignature(bytes(data), secret, { hash: true, der, publicKey }),
  sm2_verify: ({ public: publicKey, data, signature, der }) =>
    sm2.doVerifySignature(bytes(data), signature, publicKey, { hash: true, der }),
  sm2_encrypt: ({ public: publicKey, data, c1c3c2 }) => "04" + sm2.doEncrypt(bytes(data), publicKey, c1c3c2 ? 1 : 0),
  sm2_decrypt: ({ secret, data, c1c3c2 }) =>
    hex(sm2.doDecrypt(data.slice(2), secret, c1c3c2 ? 1 : 0, { output: "array" })),
  sm4: ({ encrypt, mode, key, iv, data }) => {
    const options = mode === "cbc" ? { mode, iv, padding: "none" } : { padding: "none" };
    return encrypt ? sm4.encrypt(bytes(data), key, options) : hex(sm4.decrypt(data, key, { ...options, output: "array" }));
  },
};

const requests = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(requests.map((request) => answers[request.op](request))));
