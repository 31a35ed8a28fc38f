/// <reference types="vite/client" />
interface ImportMetaEnv {
  /** Version of the console, from package.json. */
  readonly HAWSER_VERSION?: string;
}
