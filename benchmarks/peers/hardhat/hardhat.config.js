// How `hawser bench --against hardhat` runs Hardhat's node: as close to anvil's settings as it comes. A block a second, no
// base fee, practically no gas limit per block, transactions in the order of their arrival. Everything is in memory.
const folder = process.env.HAWSER_BENCH_DIR ?? ".running";

export default {
  paths: { artifacts: `${folder}/artifacts`, cache: `${folder}/cache` },
  networks: {
    node: {
      type: "edr-simulated",
      chainType: "l1",
      accounts: { count: 1 },
      blockGasLimit: 100_000_000_000n,
      initialBaseFeePerGas: 0n,
      mining: { auto: false, interval: 1_000, mempool: { order: "fifo" } },
    },
  },
};
