/** Where the node answers: beside this page. `?chain=ID` names another chain of the same node. */
export function endpoint(page: string): { rpc: string; socket: string } {
  const url = new URL(page);
  const chain = url.searchParams.get("chain");
  const base = new URL(".", `${url.origin}${url.pathname}`);
  const rpc = chain !== null && /^\d{1,16}$/.test(chain) ? new URL(`chain/${chain}`, base) : base;
  const socket = new URL(rpc);
  socket.protocol = rpc.protocol === "https:" ? "wss:" : "ws:";
  return { rpc: rpc.href, socket: socket.href };
}
