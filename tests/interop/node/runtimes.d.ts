// Types that Better Auth's options name, of runtimes that are not installed: options.mjs needs
// each to be a type of its own.
declare module "bun:sqlite" {
  export class Database {
    readonly runtime: "bun";
  }
}
declare module "node:sqlite" {
  export class DatabaseSync {
    readonly runtime: "node";
  }
}
