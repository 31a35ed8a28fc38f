// Five organisations on one chain in national cryptography, from the founding to the audit.
//
//   node examples/sovereignty/story.mjs [--home DIR] [--rpc-port 18845] [--p2p-port 19845] [--keep]
//
// Every step is a command that an operator would type, is shown with its answer, and is checked: the
// story ends with an error at the first thing that is not as it should be. HAWSER_BIN names the program
// (default: target/release/hawser). Nothing but Node.js is needed.

import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const flag = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
};
const BIN = resolve(process.env.HAWSER_BIN ?? 'target/release/hawser');
const HOME = resolve(flag('home', join(mkdtempSync(join(tmpdir(), 'hawser-story-')), 'net')));
const RPC = Number(flag('rpc-port', 18845));
const P2P = Number(flag('p2p-port', 19845));
const KEEP = process.argv.includes('--keep');
const NEW = join(HOME, '..', `${HOME.split('/').pop()}-node4`);
const rpcOf = (i) => `http://127.0.0.1:${RPC + i}`;
const env = { ...process.env, HAWSER_HOME: HOME, HAWSER_RPC: rpcOf(0), HAWSER_PASSPHRASE_FILE: join(HOME, 'passphrase'), LC_ALL: 'C' };
// Made before the network is: the network's own passphrase file appears with it.
const envFounding = { ...process.env, HAWSER_HOME: HOME, LC_ALL: 'C' };

const children = [];
const measured = {};
let chapter = 0;

function tell(title) {
  chapter += 1;
  console.log(`\n\x1b[1m${chapter}. ${title}\x1b[0m`);
}

function fail(message) {
  throw new Error(message);
}

function check(condition, message) {
  if (!condition) fail(message);
  console.log(`   \x1b[32m✓\x1b[0m ${message}`);
}

/** Runs a command to its end. `refused` lets it fail and gives what it said. */
function run(args, { refused = false, quiet = false, as = env } = {}) {
  const shown = args.map((a) => (/^[\w./:=,@-]+$/.test(a) ? a : `'${a}'`)).join(' ');
  if (!quiet) console.log(`   $ hawser ${shown.replaceAll(HOME, '$HOME')}`);
  const done = spawnSync(BIN, args, { env: as, encoding: 'utf8', timeout: 180_000 });
  if (done.error) fail(`${shown}: ${done.error.message}`);
  const said = `${done.stdout}${done.stderr}`.trim();
  if (refused) {
    if (done.status === 0) fail(`this should have been refused: hawser ${shown}\n${said}`);
    if (!quiet) console.log(said.split('\n').map((line) => `     ${line}`).join('\n'));
    return { code: done.status, said };
  }
  if (done.status !== 0) fail(`hawser ${shown}\nended with ${done.status}: ${said}`);
  return done.stdout;
}

const json = (args, options) => JSON.parse(run([...args, '--output', 'json'], options));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(what, limitMs, probe) {
  const start = Date.now();
  for (;;) {
    const found = await probe();
    if (found) return { found, ms: Date.now() - start };
    if (Date.now() - start > limitMs) fail(`${what}: not within ${limitMs} ms`);
    await sleep(50);
  }
}

async function ask(i, method, params = []) {
  const answer = await fetch(rpcOf(i), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const { result, error } = await answer.json();
  if (error) fail(`${method}: ${error.message}`);
  return result;
}

/** Proposes, lets the governors of the first organisations vote, waits for the time lock, executes. */
async function decide(document, voters = ['governor1', 'governor2', 'governor3'], proposer = voters[0]) {
  const file = join(HOME, `proposal-${chapter}-${Math.random().toString(36).slice(2, 8)}.json`);
  writeFileSync(file, JSON.stringify(document, null, 2));
  const { proposal } = json(['gov', 'propose', file, '--from', proposer]);
  console.log(run(['gov', 'show', String(proposal)], { quiet: true }).split('\n').map((line) => `     ${line}`).join('\n'));
  for (const voter of voters) {
    const now = await ask(0, 'hawser_proposal', [proposal]);
    if (now.status === 'passed') break;
    run(['gov', 'vote', String(proposal), 'yes', '--from', voter]);
  }
  let last = '';
  await until(`proposal ${proposal} takes effect`, 30_000, async () => {
    const done = spawnSync(BIN, ['gov', 'execute', String(proposal), '--from', voters[0]], { env, encoding: 'utf8' });
    last = done.stderr;
    if (done.status !== 0) await sleep(500);
    return done.status === 0;
  }).catch((error) => fail(`${error.message}; the last answer was: ${last}`));
  console.log(`   $ hawser gov execute ${proposal} --from ${voters[0]}`);
  return proposal;
}

const newKey = (name) => json(['keys', 'new', '--scheme', 'sm2', '--name', name]).address;
const member = (account, organisation, roles, name) => ({ change: 'add_member', account, organisation, roles, name });
const balance = async (account) => BigInt(await ask(0, 'eth_getBalance', [account, 'latest']));

async function story() {
  tell('Three organisations found a chain on SM2, SM3 and SM4');
  run(['up', '--suite', 'sm', '--nodes', '4', '--governance', '3', '--home', HOME, '--rpc-port', String(RPC), '--p2p-port', String(P2P)], { as: envFounding });
  const overview = await ask(0, 'hawser_governance');
  check((await ask(0, 'hawser_organisations')).length === 3 && overview.governed !== false, 'three organisations govern the chain');
  const links = await ask(0, 'hawser_links');
  check(links.length === 3 && links.every((link) => String(link.cipherSuite).includes('SM4')), `links run on ${links[0]?.cipherSuite}`);
  const accounts = Object.fromEntries(json(['keys', 'list']).map((key) => [key.name, key.address]));

  tell('A fourth and a fifth organisation join by proposal');
  const [governor4, authority4] = [newKey('governor4'), newKey('authority4')];
  await decide({
    title: 'The harbour office joins',
    changes: [
      { change: 'add_organisation', id: 4, name: 'Harbour office', weight: 1, authorities: [authority4] },
      member(governor4, 4, ['user', 'governor'], 'governor4'),
    ],
  });
  const [governor5, authority5, administrator5, clerk] = ['governor5', 'authority5', 'administrator5', 'clerk'].map(newKey);
  newKey('stranger');
  await decide({
    title: 'The tax office joins',
    changes: [
      { change: 'add_organisation', id: 5, name: 'Tax office', weight: 1, authorities: [authority5] },
      member(governor5, 5, ['user', 'governor'], 'governor5'),
      member(administrator5, 5, ['user', 'administrator'], 'administrator5'),
      member(clerk, 5, ['user'], 'clerk'),
    ],
  });
  check((await ask(0, 'hawser_organisations')).length === 5, 'five organisations');

  tell('A developer is given the right to deploy, another is refused and told why');
  const code = '0x600a600c600039600a6000f3602a60005260206000f3';
  const no = run(['contract', 'deploy', code, '--from', 'clerk'], { refused: true });
  check(/access denied by \S+/.test(no.said), 'the refusal names the rule');
  const why = run(['gov', 'why', clerk, 'deploy'], { refused: true });
  check(why.code === 5, '`gov why` gives the same answer');
  await decide({ title: 'The clerk develops', changes: [{ change: 'set_roles', account: clerk, roles: ['user', 'developer'] }] });
  const deployed = json(['contract', 'deploy', code, '--from', 'clerk']);
  check(deployed.contractAddress ?? deployed.receipt?.contractAddress, 'the same deployment goes through');
  const outsider = run(['tx', 'send', '--to', clerk, '--from', 'stranger'], { refused: true });
  check(/access denied/.test(outsider.said), 'who is no member cannot send at all');
  const atPool = run(['tx', 'send', '--to', clerk, '--gas', '30000', '--from', 'stranger'], { refused: true });
  check(/access denied/.test(atPool.said), 'nor by leaving out the estimate: the pool refuses');

  tell("A rule of the supervisor stops a transfer over a limit, and flags another");
  const rich = accounts.user;
  run(['tx', 'send', '--to', rich, '--value', '900ether', '--from', 'test']);
  check((await balance(rich)) >= 900n * 10n ** 18n, 'the user has coin to send');
  writeFileSync(join(HOME, 'limit.star'), `"""Coin: over 100 is stopped, over 20 is flagged."""

def check(tx):
    sent = 0
    for t in tx.transfers:
        if t.source == tx.sender and t.asset == None:
            sent += t.amount
    if sent > units(100):
        return deny("over the limit of 100: %d" % sent)
    if sent > units(20):
        return flag("a large transfer: %d" % sent)
    return allow()
`);
  run(['policy', 'check', join(HOME, 'limit.star')]);
  await decide({
    title: 'Limits on transfers',
    changes: [
      { change: 'set_policy', id: 1, name: 'limits', script: readFileSync(join(HOME, 'limit.star'), 'utf8') },
      { change: 'set_policy_mode', id: 1, mode: 'active' },
    ],
  });
  run(['tx', 'send', '--to', clerk, '--value', '5ether', '--from', 'user']);
  const stopped = run(['tx', 'send', '--to', clerk, '--value', '101ether', '--gas', '100000', '--from', 'user'], { refused: true });
  check(/over the limit of 100/.test(stopped.said), 'the transfer over the limit is stopped with its reason');
  run(['tx', 'send', '--to', clerk, '--value', '50ether', '--from', 'user']);
  check((await balance(clerk)) === 55n * 10n ** 18n, 'the others arrived, the stopped one did not');
  const trail = json(['gov', 'audit', 'list', '--limit', '500']);
  const kinds = new Set(trail.map((entry) => entry.kind));
  check(kinds.has('intercepted') && kinds.has('flagged') && kinds.has('refused'), 'interception, flag and refusal are on the record');

  tell('An account is frozen, freed, and given to a new key');
  run(['gov', 'freeze', `account:${clerk}`, '--reason', 'suspicion of fraud', '--for', '24h', '--from', 'supervisor']);
  const { freezes } = await ask(0, 'hawser_freezes');
  check(freezes.length === 1 && freezes[0].target.toLowerCase() === `account:${clerk}`.toLowerCase() && freezes[0].untilMs > Date.now(), 'the list of freezes has the account, with the end of its freeze');
  const frozen = run(['tx', 'send', '--to', rich, '--value', '1ether', '--from', 'clerk'], { refused: true });
  check(/frozen/.test(frozen.said), 'a frozen account cannot send');
  const receive = run(['tx', 'send', '--to', clerk, '--value', '1ether', '--from', 'user'], { refused: true });
  check(/frozen/.test(receive.said), 'and cannot receive');
  run(['gov', 'unfreeze', `account:${clerk}`, '--reason', 'cleared', '--from', 'supervisor']);
  run(['tx', 'send', '--to', rich, '--value', '1ether', '--from', 'clerk']);
  const renewed = newKey('clerk-new-key');
  await decide({ title: "The clerk's key is lost", changes: [{ change: 'recover_account', old: clerk, new: renewed }] }, undefined, 'administrator5');
  run(['contract', 'deploy', code, '--from', 'clerk-new-key']);
  const lost = run(['tx', 'send', '--to', rich, '--from', 'clerk'], { refused: true });
  check(/access denied/.test(lost.said), 'the new key has the rights, the old one has none');

  tell('A validator is replaced under load');
  const passphrase = ['--passphrase-file', join(HOME, 'passphrase')];
  run(['node', 'invite', '--config', join(HOME, 'node0/node.toml'), '--address', `127.0.0.1:${P2P}`, '--role', 'validator', '--out', join(HOME, 'invitation.json')]);
  const joined = json(['node', 'join', join(HOME, 'invitation.json'), '--home', NEW, '--name', 'node4', '--org', 'Harbour office',
    '--address', `127.0.0.1:${P2P + 4}`, '--listen', `127.0.0.1:${P2P + 4}`, '--rpc', `127.0.0.1:${RPC + 4}`, '--metrics', `127.0.0.1:${RPC + 2004}`, ...passphrase]);
  run(['cert', 'create', '--dir', join(HOME, 'harbour-ca'), '--org', 'Harbour office', ...passphrase]);
  run(['cert', 'issue', '--dir', join(HOME, 'harbour-ca'), '--request', join(NEW, 'node.csr'), '--profile', 'node', '--to', join(NEW, 'certs/node.pem'), ...passphrase]);
  // The fourth organisation hands its root to the others.
  for (const trust of [0, 1, 2, 3].map((i) => join(HOME, `node${i}/certs/trust`)).concat(join(NEW, 'certs/trust'))) {
    cpSync(join(HOME, 'harbour-ca/certificate.pem'), join(trust, 'roots/harbour.pem'));
  }
  for (const i of [0, 1, 2, 3]) {
    run(['node', 'admit', '--config', join(HOME, `node${i}/node.toml`), '--request', join(NEW, 'request.json')]);
  }
  const node4 = spawn(BIN, ['start', '--config', join(NEW, 'node.toml')], { env, stdio: 'ignore' });
  children.push(node4);
  const caught = await until('the new node follows', 60_000, async () => {
    try {
      return Number(await ask(4, 'eth_blockNumber')) >= Number(await ask(0, 'eth_blockNumber'));
    } catch {
      return false;
    }
  });
  measured['new node caught up, ms'] = caught.ms;
  // Load: three senders, one after the other each, as long as the change takes.
  let sending = true;
  let sent = 0;
  const senders = ['governor1', 'user', 'developer'].map(async (from, i) => {
    while (sending) {
      await new Promise((done, broken) => {
        const one = spawn(BIN, ['tx', 'send', '--to', rich, '--from', from, '--rpc', rpcOf(i)], { env, stdio: 'ignore' });
        one.on('close', (status) => (status === 0 ? done((sent += 1)) : broken(new Error(`a transfer of the load failed with ${status}`))));
      });
    }
  });
  let [height, since, widest] = [0, Date.now(), 0];
  const watch = (async () => {
    while (sending) {
      const now = Number(await ask(0, 'eth_blockNumber'));
      if (now > height) [height, widest, since] = [now, height ? Math.max(widest, Date.now() - since) : 0, Date.now()];
      await sleep(10);
    }
  })();
  const settings = await ask(0, 'hawser_getSettings');
  const current = settings.settings?.validators ?? settings.current?.validators ?? settings.validators;
  check(current.length === 4, 'four validators before');
  const leaving = current.find((validator) => validator.name === 'node3');
  const validators = current.filter((validator) => validator !== leaving).concat({ name: 'node4', public_key: joined.voteKey, weight: 1 });
  // By governors who do not take part in the load, so that their nonces are their own.
  await decide({ title: 'node4 takes the place of node3', changes: [{ change: 'set_validators', validators }] }, ['governor2', 'governor3', 'governor4', 'governor5']);
  const in_ = await until('the new committee is in effect', 60_000, async () => {
    const set = await ask(0, 'hawser_getValidators');
    return (set.validators ?? set).some((validator) => validator.name === 'node4' || validator.publicKey === joined.voteKey || validator.public_key === joined.voteKey);
  });
  const at = Number(await ask(0, 'eth_blockNumber'));
  await until('blocks go on after the change', 30_000, async () => Number(await ask(0, 'eth_blockNumber')) > at + 5);
  sending = false;
  await Promise.all([...senders, watch]);
  measured['committee in effect after execution, ms'] = in_.ms;
  measured['transactions during the change'] = sent;
  measured['longest gap between blocks under load, ms'] = widest;
  check(sent > 0 && widest < 5_000, `the chain went on: ${sent} transactions, longest gap ${widest} ms`);

  tell('A certificate is renewed, another revoked, nothing is stopped');
  const before = (await ask(1, 'hawser_links')).find((link) => link.certificate?.subject && JSON.stringify(link.certificate.subject).includes('node0'));
  run(['cert', 'renew', '--dir', join(HOME, 'authorities/org0'), 'node0', '--to', join(HOME, 'node0/certs/node.pem'), ...passphrase]);
  run(['cert', 'list', '--dir', join(HOME, 'authorities/org0')]);
  check(before, 'node1 knows node0 by its certificate');
  const crls = [0, 1, 2].map((i) => ['--to', join(HOME, `node${i}/certs/trust/crls/org3.pem`)]).flat();
  run(['cert', 'revoke', '--dir', join(HOME, 'authorities/org3'), 'node3', '--reason', 'cessation', ...crls, '--to', join(NEW, 'certs/trust/crls/org3.pem'), ...passphrase]);
  const dropped = await until('the revoked node is dropped', 30_000, async () => {
    const seen = await Promise.all([0, 1, 2].map((i) => ask(i, 'hawser_links')));
    const node3 = (all) => all.find((link) => link.address.endsWith(String(P2P + 3)));
    return seen.every((all) => !node3(all)?.connectedSince);
  });
  measured['from revocation to disconnection, ms'] = dropped.ms;
  check(dropped.ms < 10_000, `node3 is dropped by all within ${dropped.ms} ms`);
  run(['tx', 'send', '--to', rich, '--from', 'governor1']);

  tell('The auditor exports the trail and verifies it');
  run(['gov', 'inspect', 'ledger', '--purpose', 'yearly audit', '--from', 'auditor']);
  run(['gov', 'audit', 'export', '--to', join(HOME, 'trail.json')]);
  run(['gov', 'audit', 'verify', join(HOME, 'trail.json')]);
  const tampered = readFileSync(join(HOME, 'trail.json'), 'utf8').replace('suspicion of fraud', 'nothing of interest');
  writeFileSync(join(HOME, 'tampered.json'), tampered);
  run(['gov', 'audit', 'verify', join(HOME, 'tampered.json')], { refused: true });
  check(true, 'the trail verifies; one that was touched does not');
  const refusals = json(['audit', 'list', '--kind', 'refusal']).map(({ entry }) => entry);
  check(refusals.some((one) => one.from === 'client' && one.transaction && one.rule), 'what the pool refused is in the log of its node');
  const acts = new Set(json(['audit', 'list', '--kind', 'admin', '--limit', '1000']).map(({ entry }) => entry.method));
  check(acts.has('certificate changed') && [...acts].some((act) => act.startsWith('revocation list')), 'so are the renewed certificate and the revocation list');
  check(acts.has('peer admitted') && acts.has('node admit'), 'and the peer that was admitted, with the command');
  run(['audit', 'verify']);
}

let failure;
try {
  if (existsSync(HOME) && readdirSync(HOME).length > 0) fail(`${HOME} is not empty; choose another --home`);
  mkdirSync(HOME, { recursive: true });
  await story();
  console.log('\nMeasured on the way:');
  for (const [what, value] of Object.entries(measured)) console.log(`   ${what}: ${value}`);
} catch (error) {
  failure = error;
}
for (const child of children) child.kill('SIGTERM');
spawnSync(BIN, ['down', '--home', HOME], { env: envFounding, encoding: 'utf8' });
if (failure) {
  console.error(`\n\x1b[31mThe story broke off:\x1b[0m ${failure.message}\nThe network's folder: ${HOME}`);
  process.exit(1);
}
if (!KEEP) {
  rmSync(HOME, { recursive: true, force: true });
  rmSync(NEW, { recursive: true, force: true });
}
console.log('\nThe end.');
