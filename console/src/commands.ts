/** The command lines that the console shows, in one place because the command line is elsewhere. */

import { shellWord } from "./format";

/** Registers a file. What the reader has to fill in is in capitals. */
export const registerCommand = (file: string, rpc: string): string =>
  `hawser evidence put ${shellWord(file)} --from KEY --rpc ${shellWord(rpc)}`;

/** Checks a proof without a connection. */
export const checkCommand = (bundle: string): string => `hawser evidence check ${shellWord(bundle)}`;

/** Makes a token for the login. What the reader has to fill in is in capitals. */
export const loginCommand = (rpc: string): string => `hawser login --from KEY --rpc ${shellWord(rpc)}`;

/** Votes on a proposal. */
export const voteCommand = (proposal: number, vote: "yes" | "no", rpc: string): string =>
  `hawser gov vote ${proposal} ${vote} --from KEY --rpc ${shellWord(rpc)}`;

/** Puts a proposal into effect that has passed and waited. */
export const executeCommand = (proposal: number, rpc: string): string =>
  `hawser gov execute ${proposal} --from KEY --rpc ${shellWord(rpc)}`;

/** Asks why something is or is not allowed. */
export const whyCommand = (account: string, action: string, resource: string, rpc: string): string =>
  `hawser gov why ${shellWord(account)} ${shellWord(action)}${resource === "any" ? "" : ` ${shellWord(resource)}`} --rpc ${shellWord(rpc)}`;

/** Lifts a freeze. */
export const unfreezeCommand = (target: string, rpc: string): string =>
  `hawser gov unfreeze ${shellWord(target)} --reason TEXT --from KEY --rpc ${shellWord(rpc)}`;

/** Checks an exported audit trail against the chain. */
export const verifyCommand = (file: string, rpc: string): string => `hawser gov audit verify ${shellWord(file)} --rpc ${shellWord(rpc)}`;
