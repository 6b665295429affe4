// Loads one of the versions of Better Auth in package.json.

// Installed as better-auth; other versions are installed as better-auth-<version>.
const DEFAULT = "1.7.7";
const MODULES = ["", "/node", "/plugins", "/db/migration"];

// The package of a version.
export const packageName = (version = DEFAULT) =>
  version === DEFAULT ? "better-auth" : `better-auth-${version}`;

// What the modules of a version export.
export async function load(version = DEFAULT, ...modules) {
  const name = packageName(version);
  const paths = modules.length ? modules : MODULES;
  const loaded = await Promise.all(paths.map((path) => import(name + path)));
  return Object.assign({}, ...loaded);
}
