// Loads one of the versions of Better Auth in package.json.

// Installed as better-auth; other versions are installed as better-auth-<version>.
const DEFAULT = "1.7.7";

export async function load(version = DEFAULT) {
  const name = version === DEFAULT ? "better-auth" : `better-auth-${version}`;
  const [{ betterAuth }, { toNodeHandler }, { bearer, jwt }, { getMigrations }] = await Promise.all(
    ["", "/node", "/plugins", "/db/migration"].map((path) => import(name + path)),
  );
  return { betterAuth, toNodeHandler, bearer, jwt, getMigrations };
}
