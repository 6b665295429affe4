// What the scripts need of one of the versions of Better Auth in package.json.

// Installed under its own name; the others carry their version in their name.
const PLAIN = "1.7.7";

export async function load(version = PLAIN) {
  const name = version === PLAIN ? "better-auth" : `better-auth-${version}`;
  const [{ betterAuth }, { toNodeHandler }, { bearer, jwt }, { getMigrations }] = await Promise.all(
    ["", "/node", "/plugins", "/db/migration"].map((path) => import(name + path)),
  );
  return { betterAuth, toNodeHandler, bearer, jwt, getMigrations };
}
