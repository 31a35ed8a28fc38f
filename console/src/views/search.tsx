import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { findEvidence } from "../evidence";
import { plain, readQuery } from "../format";
import { useSpeech } from "../i18n";
import { live, useAsk } from "../live";
import { readBlock, readTransaction } from "../model";
import { Failure, Hash, Loading, Panel, Title } from "../parts/basic";
import { isMissing } from "../rpc/client";
import { to } from "../router";

type Hit = { kind: "block" | "tx" | "evidence"; href: string };

/** Everything that a hash can name. A method that the node lacks finds nothing. */
async function lookUp(hash: string): Promise<Hit[]> {
  const { rpc } = live();
  const evidenceIfAny = findEvidence(rpc, [{ digest: hash, algorithm: null }]).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const [block, transaction, evidence] = await Promise.all([
    rpc.call("eth_getBlockByHash", [hash, false]),
    rpc.call("eth_getTransactionByHash", [hash]),
    evidenceIfAny,
  ]);
  const hits: Hit[] = [];
  const found = readBlock(block);
  if (found) hits.push({ kind: "block", href: to.block(found.height) });
  if (readTransaction(transaction)) hits.push({ kind: "tx", href: to.transaction(hash) });
  if (evidence.length > 0) hits.push({ kind: "evidence", href: to.evidence(hash) });
  return hits;
}

export function Search(props: { query: string }): JSX.Element {
  const { t } = useSpeech();
  const query = readQuery(props.query);
  const direct =
    query.kind === "height" ? to.block(query.height)
    : query.kind === "address" ? to.account(query.address)
    : query.kind === "digest" ? to.evidence(query.hash)
    : null;
  const hash = query.kind === "hash" ? query.hash : null;
  const call = useAsk(`search ${hash}`, hash === null ? null : () => lookUp(hash));
  const only = call.data?.length === 1 ? call.data[0] : undefined;
  const target = direct ?? only?.href ?? null;
  useEffect(() => {
    // Replaced, so that "back" leads to where the search began.
    if (target !== null) location.replace(target);
  }, [target]);
  return (
    <>
      <Title text={t("search.title")} />
      {query.kind === "none" ? (
        <Panel title={t("search.unreadable")}>
          <p>{t("search.for", { query: plain(props.query, 100) })}</p>
          <p>{t("search.unreadable.text")}</p>
        </Panel>
      ) : call.error ? (
        <Failure error={call.error} retry={call.retry} />
      ) : target !== null || call.data === null ? (
        <Loading />
      ) : call.data.length === 0 ? (
        <Panel title={t("search.none")}>
          <p>{t("search.none.hash")}</p>
          {hash !== null && <Hash value={hash} />}
        </Panel>
      ) : (
        <Panel title={t("search.several")}>
          <ul class="links">
            {call.data.map((hit) => (
              <li key={hit.href}>
                <a href={hit.href}>{t(hit.kind === "block" ? "tx.block" : hit.kind === "tx" ? "tx.title" : "evidence.title")}</a>
              </li>
            ))}
          </ul>
        </Panel>
      )}
    </>
  );
}
