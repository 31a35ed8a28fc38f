// A store that speaks S3: s3rver keeps the objects, as files of a folder, and aws4 checks the signature (version 4, in
// the query) of every request before it, which s3rver does not.
//   node s3-server.mjs PORT FOLDER BUCKET        the one account is S3RVER, its secret S3RVER
import aws4 from "aws4";
import { timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import S3rver from "s3rver";

const [port, directory, bucket] = process.argv.slice(2);
const ACCOUNT = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" };
const MADE_ANEW = ["X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-SignedHeaders"];

/** The code of the error that S3 answers with, or null. */
function refusal(request) {
  const url = new URL(request.url, "http://store");
  const query = (name) => url.searchParams.get(name) ?? "";
  const [key, day, region, service, end] = query("X-Amz-Credential").split("/");
  if (query("X-Amz-Algorithm") !== "AWS4-HMAC-SHA256" || service !== "s3" || end !== "aws4_request") return "AccessDenied";
  if (key !== ACCOUNT.accessKeyId) return "InvalidAccessKeyId";
  const date = query("X-Amz-Date").replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5");
  const age = (Date.now() - Date.parse(date)) / 1000;
  if (!(age > -900) || age > Number(query("X-Amz-Expires")) || !query("X-Amz-Date").startsWith(day)) return "AccessDenied";
  if (!query("X-Amz-SignedHeaders").split(";").includes("host")) return "AccessDenied";
  const given = query("X-Amz-Signature");
  for (const name of MADE_ANEW) url.searchParams.delete(name);
  const signed = aws4.sign(
    { service: "s3", region, method: request.method, path: url.pathname + url.search, headers: { Host: request.headers.host }, signQuery: true },
    ACCOUNT,
  );
  const expected = new URL(signed.path, "http://store").searchParams.get("X-Amz-Signature");
  const same = given.length === expected.length && timingSafeEqual(Buffer.from(given), Buffer.from(expected));
  return same ? null : "SignatureDoesNotMatch";
}

const store = new S3rver({ directory, silent: true, configureBuckets: [{ name: bucket, configs: [] }] });
await store.configureBuckets();
const serve = store.callback();
createServer((request, response) => {
  const code = refusal(request);
  if (code === null) {
    // What was checked need not be looked at again, in a way that is not complete.
    const url = new URL(request.url, "http://store");
    request.url = url.pathname;
    serve(request, response);
    return;
  }
  request.resume();
  request.on("end", () => {
    response.writeHead(403, { "content-type": "application/xml" });
    response.end(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>refused</Message></Error>`);
  });
}).listen(Number(port), "127.0.0.1");
