/** The command lines that the console shows, in one place because the command line is elsewhere. */

import { shellWord } from "./format";

/** Registers a file. What the reader has to fill in is in capitals. */
export const registerCommand = (file: string, rpc: string): string =>
  `hawser evidence put ${shellWord(file)} --from KEY --rpc ${shellWord(rpc)}`;

/** Checks a proof without a connection. */
export const checkCommand = (bundle: string): string => `hawser evidence check ${shellWord(bundle)}`;
