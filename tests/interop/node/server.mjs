// node server.mjs: Better Auth over HTTP on 127.0.0.1, until SIGTERM or the end of its stdin.
// The settings are environment variables. Prints {"port": n}, and nothing else, once it listens.
// With PAGE, a folder, it also serves the files of that folder, as a front end would.
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { basename, extname, join } from "node:path";
import { redisStorage } from "@better-auth/redis-storage";
import { Redis } from "ioredis";
import pg from "pg";
import { optionsOf } from "./layouts.mjs";
import { jwtOptionsOf, pluginsOf } from "./plugins.mjs";
import { load } from "./versions.mjs";

const { env } = process;
const { betterAuth, toNodeHandler, anonymous, bearer, jwt, getMigrations } = await load(env.VERSION);

const isObject = (value) => value?.constructor === Object;

// The options of `more` instead of those of `base`, in nested objects as well.
const merged = (base, more) =>
  Object.entries(more).reduce(
    (all, [name, value]) => ({
      ...all,
      [name]: isObject(value) && isObject(base?.[name]) ? merged(base[name], value) : value,
    }),
    base,
  );

const number = (text) => (text === undefined ? undefined : Number(text));

// Guests, whose tasks are moved to the user that they become.
const guests = (pool) =>
  anonymous({
    async onLinkAccount({ anonymousUser, newUser }) {
      const ids = [anonymousUser.user.id, newUser.user.id];
      await pool.query("select taskport.move_tasks($1, $2)", ids);
    },
  });

// Where the users are: in PostgreSQL, or anywhere else.
async function databaseOf(pool) {
  switch (env.DATABASE) {
    case "sqlite": {
      const { DatabaseSync } = await import("node:sqlite");
      return { plugins: [], database: new DatabaseSync(env.SQLITE_FILE) };
    }
    case "memory": {
      const { memoryAdapter } = await load(env.VERSION, "/adapters/memory");
      const tables = ["user", "session", "account", "verification", "jwks"];
      return { plugins: [], database: memoryAdapter(Object.fromEntries(tables.map((t) => [t, []]))) };
    }
    case "none":
      return { plugins: [] };
    default:
      return optionsOf(env.LAYOUT, pool, env.VERSION);
  }
}

// As Better Auth's documents have it.
const handwrittenStorage = (client) => ({
  get: (key) => client.get(key),
  set: (key, value, ttl) => (ttl ? client.set(key, value, "EX", ttl) : client.set(key, value)),
  delete: (key) => client.del(key),
});

function secondaryStorageOf() {
  if (env.SECONDARY_STORAGE === "true") return secondaryStorage();
  if (env.REDIS_URL === undefined) return undefined;
  const client = new Redis(env.REDIS_URL);
  if (env.REDIS_PREFIX === "") return handwrittenStorage(client);
  return redisStorage({ client, keyPrefix: env.REDIS_PREFIX });
}

// Sessions in this process, as in Redis.
function secondaryStorage() {
  const values = new Map();
  return {
    get: async (key) => values.get(key) ?? null,
    set: async (key, value) => void values.set(key, value),
    delete: async (key) => void values.delete(key),
    getAndDelete: async (key) => {
      const value = values.get(key) ?? null;
      values.delete(key);
      return value;
    },
  };
}

async function options(baseURL) {
  const pool = new pg.Pool({ connectionString: env.DATABASE_URL });
  const layout = await databaseOf(pool);
  return {
    ...layout,
    baseURL,
    basePath: env.BASE_PATH,
    secret: env.BETTER_AUTH_SECRET,
    trustedOrigins: env.TRUSTED_ORIGINS?.split(","),
    secondaryStorage: secondaryStorageOf(),
    emailAndPassword: {
      enabled: true,
      requireEmailVerification: env.REQUIRE_EMAIL_VERIFICATION === "true",
    },
    session: {
      ...layout.session,
      expiresIn: number(env.EXPIRES_IN),
      updateAge: number(env.UPDATE_AGE),
      cookieCache: env.COOKIE_CACHE && { enabled: true, strategy: env.COOKIE_CACHE },
    },
    advanced: {
      ...layout.advanced,
      cookiePrefix: env.COOKIE_PREFIX,
      useSecureCookies: env.USE_SECURE_COOKIES && env.USE_SECURE_COOKIES === "true",
      crossSubDomainCookies: env.COOKIE_DOMAIN && { enabled: true, domain: env.COOKIE_DOMAIN },
    },
    plugins: [
      ...layout.plugins,
      ...(await pluginsOf(env.PLUGINS, env.VERSION)),
      ...(env.GUESTS === "true" ? [guests(pool)] : []),
      bearer({ requireSignature: env.BEARER_REQUIRE_SIGNATURE === "true" }),
      jwt({
        jwks: {
          keyPairConfig: env.KEY_ALGORITHM && { alg: env.KEY_ALGORITHM },
          rotationInterval: number(env.ROTATION_INTERVAL),
          gracePeriod: number(env.GRACE_PERIOD),
        },
        ...jwtOptionsOf(env.JWT),
      }),
    ],
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: { log: (...args) => console.error(...args) },
  };
}

const TYPES = { ".css": "text/css", ".html": "text/html", ".js": "text/javascript" };

async function page(path, response) {
  const name = basename(path) || "index.html";
  const content = await readFile(join(env.PAGE, name)).catch(() => undefined);
  if (content === undefined) return response.writeHead(404).end();
  response.writeHead(200, { "Content-Type": `${TYPES[extname(name)]}; charset=utf-8` });
  response.end(content);
}

async function handler(port) {
  const ours = await options(env.BASE_URL ?? `http://${env.HOST ?? "127.0.0.1"}:${port}`);
  const config = merged(ours, JSON.parse(env.OPTIONS ?? "{}"));
  if (env.MIGRATE === "run") await (await getMigrations(config)).runMigrations();
  const auth = toNodeHandler(betterAuth(config));
  if (!env.PAGE) return auth;
  return (request, response) => {
    const path = request.url.split("?")[0];
    return path.startsWith("/api/") ? auth(request, response) : page(path, response);
  };
}

process.stdin.resume().on("close", () => process.exit());

// Better Auth needs its own address, which is known once the server listens.
const http = createServer(async (request, response) => (await handled)(request, response));
const handled = once(http.listen(Number(env.PORT), "127.0.0.1"), "listening").then(() =>
  handler(http.address().port),
);
await handled;
console.log(JSON.stringify({ port: http.address().port }));
