import type { JSX } from "preact";
import { useSpeech, step } from "../i18n";
import { live, useAsk, useLive } from "../live";
import { readCertificate, readCommittee, signerAddress } from "../model";
import { Address, Panel, Table } from "./basic";
import { CommitteePicture } from "./charts";

/** The committee and who of it has voted; on an idle chain, who signed the newest block. Hidden
 * when the node does not tell its validators. */
export function CommitteePanel(): JSX.Element | null {
  const speech = useSpeech();
  const { t } = speech;
  const { status, head } = useLive();
  const committee = useAsk("committee", async () => readCommittee(await live().rpc.call("hawser_getValidators")), head).data;
  const deciding = status?.deciding ?? null;
  const idle = deciding === null;
  const certificate = useAsk(
    "newest certificate",
    idle && head !== null && head > 0
      ? async () => readCertificate(await live().rpc.call("hawser_getCertificate", [`0x${head.toString(16)}`]))
      : null,
    head,
  ).data;
  if (!committee || !status) return null;
  const mode = idle ? "signed" : "voted";
  if (idle && !certificate) return null;
  const heard = new Set(
    idle
      ? (certificate?.signers ?? []).flatMap((signer) => signerAddress(signer, committee) ?? [])
      : status.heard,
  );
  const where = idle
    ? t("committee.idle", { height: certificate?.height ?? head ?? 0 })
    : `${t("committee.round", { height: deciding, round: status.round })} · ${step(status.step, speech)}`;
  return (
    <Panel title={t("committee.title")} class="committee">
      <p class="quiet where">{where}</p>
      <div class="side">
        <CommitteePicture committee={committee} heard={heard} mode={mode} self={status.validator} />
        {/* A scrolling region has to be reachable by keyboard. */}
        <div class="scroll" tabIndex={committee.members.length > 8 ? 0 : -1}>
          <Table
            caption={t("committee.title")}
            rows={committee.members}
            rowKey={(member) => member.address}
            columns={[
              {
                name: t("committee.validator"),
                cell: (member) => (
                  <>
                    <Address value={member.address} name={member.name} />
                    {member.address === status.validator && <span class="tag">{t("committee.self")}</span>}
                  </>
                ),
              },
              { name: t("committee.weight"), number: true, cell: (member) => member.weight },
              {
                name: t("committee.state"),
                cell: (member) => {
                  const yes = heard.has(member.address);
                  return (
                    <span class={yes ? "mark yes" : "mark no"}>
                      <span aria-hidden="true">{yes ? "●" : "○"}</span> {t(`committee.${yes ? "yes" : "no"}.${mode}`)}
                    </span>
                  );
                },
              },
            ]}
          />
        </div>
      </div>
      <p class="quiet">{t("committee.note")}</p>
    </Panel>
  );
}
