/// <reference types="vitest/config" />
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "package.json"), "utf8")) as { version: string };
const out = join(import.meta.dirname, "dist");

/** Empties `dist` but for its `.gitignore`: the folder itself stays in the repository, so that
 * the crate that embeds it can watch it. */
function emptyDist(): Plugin {
  return {
    name: "empty-dist",
    apply: "build",
    buildStart() {
      // Somebody may have removed it with what was built.
      mkdirSync(out, { recursive: true });
      for (const name of readdirSync(out)) {
        if (name !== ".gitignore") rmSync(join(out, name), { recursive: true });
      }
    },
  };
}

export default defineConfig({
  // Relative, so that the console also works below a path of a reverse proxy.
  base: "./",
  plugins: [emptyDist()],
  define: { "import.meta.env.HAWSER_VERSION": JSON.stringify(version) },
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  worker: { format: "es" },
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: false,
    // Everything is a file of the same origin: the policy allows no inline script or style.
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  test: {
    environment: "happy-dom",
    include: ["test/**/*.test.{ts,tsx}"],
    // Pages are drawn in full; a machine that builds at the same time takes its time.
    testTimeout: 30_000,
  },
});
