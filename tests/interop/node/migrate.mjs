// node migrate.mjs [run | sign-up EMAIL]: prints, as JSON, what Better Auth's own migration would
// do to the database at DATABASE_URL, or the answer to the sign-up.
import pg from "pg";
import { load } from "./versions.mjs";

const { DATABASE_URL, GENERATE_ID, PLUGINS, VERSION } = process.env;
const { betterAuth, bearer, jwt, getMigrations } = await load(VERSION);
const [command, email] = process.argv.slice(2);
const warnings = [];

const options = {
  baseURL: "http://127.0.0.1:3000",
  secret: "HM4vX0s2pZq9LrT7yWc3KdB6nJfU8gEa",
  database: new pg.Pool({ connectionString: DATABASE_URL }),
  emailAndPassword: { enabled: true },
  plugins: PLUGINS === "none" ? [] : [jwt(), bearer()],
  advanced: { database: { generateId: GENERATE_ID } },
  logger: { log: (_level, message) => warnings.push(message) },
};

async function plan() {
  const found = await getMigrations(options);
  return {
    toBeCreated: found.toBeCreated.map(({ table }) => table),
    toBeAdded: found.toBeAdded.map(({ table }) => table),
    sql: await found.compileMigrations(),
    // A column of another type is not migrated but warned about.
    problems: [...(found.schemaProblems ?? []), ...warnings],
  };
}

async function signUp() {
  const body = { email, name: "Ada", password: "correct horse battery" };
  return betterAuth(options).api.signUpEmail({ body });
}

if (command === "run") await (await getMigrations(options)).runMigrations();
console.log(JSON.stringify(command === "sign-up" ? await signUp() : await plan()));
await options.database.end();
