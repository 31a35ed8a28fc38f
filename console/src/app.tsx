import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { duration, localTime, plain, utcTime } from "./format";
import { type Key, setLang, useSpeech } from "./i18n";
import { live, useAsk, useLive, useNow } from "./live";
import { readChains } from "./model";
import { Foreign, Panel, Title } from "./parts/basic";
import { LoginView, ReaderBadge } from "./parts/login";
import { go, type Route, to, useRoute } from "./router";
import { Account } from "./views/account";
import { BlockView } from "./views/block";
import { Blocks } from "./views/blocks";
import { EvidenceView } from "./views/evidence";
import { GovernanceView } from "./views/governance";
import { Node } from "./views/node";
import { Overview } from "./views/overview";
import { Pool } from "./views/pool";
import { Search } from "./views/search";
import { SupervisionView } from "./views/supervision";
import { TransactionView } from "./views/transaction";

function view(route: Route): JSX.Element {
  switch (route.view) {
    case "overview":
      return <Overview />;
    case "blocks":
      return <Blocks before={route.before} />;
    case "block":
      return <BlockView key={route.id} id={route.id} />;
    case "transaction":
      return <TransactionView key={route.hash} hash={route.hash} />;
    case "account":
      return <Account key={route.address} address={route.address} />;
    case "evidence":
      return <EvidenceView digest={route.digest} />;
    case "pool":
      return <Pool />;
    case "node":
      return <Node />;
    case "governance":
      return <GovernanceView page={route.page} argument={route.argument} />;
    case "supervision":
      return <SupervisionView page={route.page} argument={route.argument} />;
    case "search":
      return <Search key={route.query} query={route.query} />;
    case "lost":
      return <Lost />;
  }
}

export function App(): JSX.Element {
  const { t, lang } = useSpeech();
  const route = useRoute();
  const { locked } = useLive();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  }, [lang]);
  const place = JSON.stringify(route);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    main.current?.querySelector("h1")?.focus({ preventScroll: true });
  }, [place]);
  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          // The fragment is the place, so the jump is made by hand.
          event.preventDefault();
          main.current?.querySelector("h1")?.focus();
        }}
      >
        {t("app.skip")}
      </a>
      <TopBar route={route} />
      <main id="main" ref={main}>
        <Banner />
        {locked ? <LoginView /> : view(route)}
      </main>
      <Footer />
    </>
  );
}

const SECTIONS: { key: Key; href: string; views: Route["view"][] }[] = [
  { key: "nav.overview", href: to.overview(), views: ["overview"] },
  { key: "nav.blocks", href: to.blocks(), views: ["blocks", "block", "transaction", "account"] },
  { key: "nav.evidence", href: to.evidence(), views: ["evidence"] },
  { key: "nav.governance", href: to.governance(), views: ["governance"] },
  { key: "nav.supervision", href: to.supervision(), views: ["supervision"] },
  { key: "nav.pool", href: to.pool(), views: ["pool"] },
  { key: "nav.node", href: to.node(), views: ["node"] },
];

function TopBar(props: { route: Route }): JSX.Element {
  const { t, lang } = useSpeech();
  const { status } = useLive();
  const sections = useRef<HTMLElement>(null);
  useEffect(() => {
    // On a phone the sections are wider than the screen.
    sections.current?.querySelector("[aria-current]")?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  }, [props.route.view, lang]);
  return (
    <header class="top">
      <div class="bar">
        <a class="brand" href={to.overview()}>
          <img src="./favicon.svg" alt="" width="28" height="28" />
          <span>
            {t("app.name")} <span class="console">{t("app.console")}</span>
          </span>
        </a>
        {status && <ChainName name={status.name} id={status.chainId} />}
        <SearchBox />
        <ReaderBadge />
        <button
          type="button"
          class="language"
          lang={lang === "en" ? "zh-CN" : "en"}
          aria-label={`${t("app.language")}: ${t("app.other")}`}
          onClick={() => setLang(lang === "en" ? "zh" : "en")}
        >
          {t("app.other")}
        </button>
      </div>
      <nav ref={sections} aria-label={t("nav.label")}>
        <ul>
          {SECTIONS.map(({ key, href, views }) => (
            <li key={key}>
              <a href={href} {...(views.includes(props.route.view) ? { "aria-current": "page" as const } : {})}>
                {t(key)}
              </a>
            </li>
          ))}
        </ul>
      </nav>
    </header>
  );
}

/** The chain; a choice where the node has several. */
function ChainName(props: { name: string; id: number | null }): JSX.Element {
  const { t } = useSpeech();
  const chains = useAsk("chains", async () => readChains(await live().rpc.call("hawser_chains"))).data ?? [];
  if (chains.length > 1) {
    return (
      <select
        class="chain"
        aria-label={t("app.chain")}
        value={String(props.id)}
        onChange={(event) => location.assign(`?chain=${encodeURIComponent(event.currentTarget.value)}`)}
      >
        {chains.map((chain) => (
          <option key={chain.id} value={String(chain.id)}>
            {plain(chain.name, 60)} ({chain.id})
          </option>
        ))}
      </select>
    );
  }
  return (
    <span class="chain">
      <span class="sr">{t("app.chain")}: </span>
      <Foreign text={plain(props.name, 60)} />
      {props.id !== null && <small> {props.id}</small>}
    </span>
  );
}

function SearchBox(): JSX.Element {
  const { t } = useSpeech();
  const [text, set] = useState("");
  return (
    <form
      role="search"
      class="search"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === "") return;
        go(to.search(text.trim()));
        set("");
      }}
    >
      <input
        type="search"
        value={text}
        onInput={(event) => set(event.currentTarget.value)}
        placeholder={t("search.placeholder")}
        aria-label={t("search.label")}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        maxLength={200}
      />
      <button type="submit">{t("search.button")}</button>
    </form>
  );
}

/** Says that the node does not answer, since when, and what to do. */
function Banner(): ComponentChildren {
  const { t, lang } = useSpeech();
  const { reachable, failure, lastContact } = useLive();
  const now = useNow();
  if (reachable) return null;
  return (
    <div class="banner">
      <div role="alert">
        <strong>{t("banner.title")}</strong>
      </div>
      <p>
        {t("banner.text", { url: live().rpc.url, reason: plain(failure ?? "", 200) })}{" "}
        {lastContact === null
          ? t("banner.never")
          : t("banner.last", { time: `${localTime(lastContact)} / ${utcTime(lastContact)}`, ago: duration(now - lastContact, lang) })}
      </p>
      <p>{t("banner.todo")}</p>
      <button type="button" onClick={() => void live().refresh()}>
        {t("app.retry")}
      </button>
    </div>
  );
}

function Footer(): JSX.Element {
  const { t } = useSpeech();
  return <footer class="quiet">{t("app.footer", { version: import.meta.env.HAWSER_VERSION ?? "" })}</footer>;
}

function Lost(): JSX.Element {
  const { t } = useSpeech();
  return (
    <>
      <Title text={t("app.lost")} />
      <Panel title={t("app.lost")}>
        <p>{t("app.lost.text")}</p>
        <p>
          <a href={to.overview()}>{t("nav.overview")}</a>
        </p>
      </Panel>
    </>
  );
}
