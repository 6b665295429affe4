// node migrate.mjs [run | sign-up EMAIL]: prints, as JSON, what Better Auth's own migration would
// do to the database at DATABASE_URL, or the result of the sign-up.
import pg from "pg";
import { optionsOf } from "./layouts.mjs";
import { load } from "./versions.mjs";

const { DATABASE_URL, GENERATE_ID, LAYOUT, PLUGINS, VERSION } = process.env;
const { betterAuth, bearer, jwt, getMigrations } = await load(VERSION);
const [command, email] = process.argv.slice(2);
const warnings = [];
const pool = new pg.Pool({ connectionString: DATABASE_URL });
const layout = await optionsOf(LAYOUT, pool, VERSION);

const options = {
  ...layout,
  baseURL: "http://127.0.0.1:3000",
  secret: "HM4vX0s2pZq9LrT7yWc3KdB6nJfU8gEa",
  emailAndPassword: { enabled: true },
  plugins: PLUGINS === "none" ? [] : [...layout.plugins, jwt(), bearer()],
  advanced: layout.advanced ?? { database: { generateId: GENERATE_ID } },
  logger: { log: (_level, message) => warnings.push(message) },
};

async function plan() {
  const migrations = await getMigrations(options);
  return {
    toBeCreated: migrations.toBeCreated.map(({ table }) => table),
    toBeAdded: migrations.toBeAdded.map(({ table }) => table),
    sql: await migrations.compileMigrations(),
    // For a column of another type there is a warning instead of a migration.
    problems: [...(migrations.schemaProblems ?? []), ...warnings],
  };
}

async function signUp() {
  const body = { email, name: "Ada", password: "correct horse battery" };
  return betterAuth(options).api.signUpEmail({ body });
}

if (command === "run") await (await getMigrations(options)).runMigrations();
console.log(JSON.stringify(command === "sign-up" ? await signUp() : await plan()));
await pool.end();
