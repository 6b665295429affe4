// The layouts of Better Auth's tables that the tests try: options of Better Auth by name.
import { load } from "./versions.mjs";

const SNAKE_CASE = {
  user: {
    modelName: "users",
    fields: { emailVerified: "email_verified", createdAt: "created_at", updatedAt: "updated_at" },
  },
  session: {
    modelName: "sessions",
    fields: {
      expiresAt: "expires_at",
      createdAt: "created_at",
      updatedAt: "updated_at",
      ipAddress: "ip_address",
      userAgent: "user_agent",
      userId: "user_id",
    },
  },
  account: {
    modelName: "accounts",
    fields: {
      accountId: "account_id",
      providerId: "provider_id",
      userId: "user_id",
      accessToken: "access_token",
      refreshToken: "refresh_token",
      idToken: "id_token",
      accessTokenExpiresAt: "access_token_expires_at",
      refreshTokenExpiresAt: "refresh_token_expires_at",
      createdAt: "created_at",
      updatedAt: "updated_at",
    },
  },
  verification: {
    modelName: "verifications",
    fields: { expiresAt: "expires_at", createdAt: "created_at", updatedAt: "updated_at" },
  },
};

// Drizzle's tables are created by `drizzle-kit push`, from the same file.
const drizzleTables = (file, usePlural) => async (pool, version) => {
  const [{ drizzle }, { drizzleAdapter }, schema] = await Promise.all([
    import("drizzle-orm/node-postgres"),
    load(version, "/adapters/drizzle"),
    import(`./drizzle/${file}.mjs`),
  ]);
  const database = drizzle(pool, { schema });
  return { database: drizzleAdapter(database, { provider: "pg", schema, usePlural }) };
};

// Versions without `schemaName` find the tables by the search path.
const kyselySchema = async (pool) => {
  pool.options.options = "-c search_path=auth";
  const { PostgresDialect } = await import("kysely");
  const database = { dialect: new PostgresDialect({ pool }), type: "postgres", schemaName: "auth" };
  return { database };
};

const kyselyTables = (options) => (database) => ({ database, ...options });
const ids = (generateId) => ({ advanced: { database: { generateId } } });

const LAYOUTS = {
  drizzle_default: drizzleTables("default", false),
  drizzle_plural: drizzleTables("plural", true),
  kysely_custom: kyselyTables(SNAKE_CASE),
  kysely_default: kyselyTables({}),
  kysely_schema: kyselySchema,
  kysely_serial: kyselyTables(ids("serial")),
  kysely_uuid: kyselyTables(ids("uuid")),
};

// The options of Better Auth for a layout. Users may delete their account, and each user who
// signed up at Better Auth is an administrator.
export async function optionsOf(layout, pool, version) {
  if (layout === undefined) return { database: pool, plugins: [] };
  const [{ admin, twoFactor }, { adminAc }, { user, ...options }] = await Promise.all([
    load(version, "/plugins"),
    load(version, "/plugins/admin/access"),
    LAYOUTS[layout](pool, version),
  ]);
  return {
    ...options,
    user: { ...user, deleteUser: { enabled: true } },
    plugins: [
      admin({ roles: { user: adminAc, admin: adminAc } }),
      twoFactor({ skipVerificationOnEnable: true }),
    ],
  };
}
