// node options.mjs VERSION: the options of Better Auth, and those of the plugins in its package,
// as the types of the installed package declare them. Prints a sorted list of paths as JSON, such
// as "session.cookieCache.maxAge" and "plugins.jwt.jwks.jwksPath"; `*` stands for any name.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { packageName } from "./versions.mjs";

const pathOf = (name) => fileURLToPath(new URL(name, import.meta.url));
const FOLDER = pathOf(`node_modules/${packageName(process.argv[2])}`);
// Modules of clients, and functions that are used in a plugin.
const OTHER_MODULES = /^\.\/(client|social-providers)/;
const PARTS = new Set(["backupCode2fa", "otp2fa", "totp2fa"]);
// The packages that declare options. The types of a database or of a schema are others'.
const DECLARING =
  /\/node_modules\/(better-auth[^/]*|@better-auth\/[^/]+|better-call)\/(?!.*\/node_modules\/)/;
// A value of these types is one option, whatever it has inside.
const WHOLE = new Set([
  "AccessControl",
  "AuthMiddleware",
  "D1Database",
  "DBAdapterDebugLogOption",
  "DBFieldAttribute",
  "DeviceAuthorizationGrant",
  "Role",
  "SecondaryStorage",
  "SecretConfig",
  "SocialProviders",
]);
// The names of a plugin's tables and columns.
const NAMES = "schema";

const { exports } = JSON.parse(readFileSync(join(FOLDER, "package.json")));
const modules = Object.entries(exports)
  .filter(([path, { types }]) => types && !OTHER_MODULES.test(path))
  .map(([, { types }]) => join(FOLDER, types));
const program = ts.createProgram([...modules, pathOf("runtimes.d.ts")], {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  skipLibCheck: true,
  strict: true,
  target: ts.ScriptTarget.ES2022,
  types: [],
});
const checker = program.getTypeChecker();
const paths = new Set();

const nameOf = (type) => (type.aliasSymbol ?? type.symbol)?.name;
const isNothing = (type) => (type.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Null)) !== 0;
const isObject = (type) => (type.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) !== 0;
const isDeclared = (property) =>
  property.declarations?.some((node) => DECLARING.test(node.getSourceFile().fileName));

// The alternatives of a type: `number | { maxAge?: number }` has two.
function alternatives(type) {
  const bound = checker.getBaseConstraintOfType(type) ?? type;
  return bound.isUnion() ? bound.types.flatMap(alternatives) : [bound];
}

// The name and the type of each option in an object: none in a function, a list or a class.
function options(type) {
  if (!isObject(type) || WHOLE.has(nameOf(type)) || type.isClass()) return [];
  if (type.isIntersection() && !type.types.every(isObject)) return [];
  if (type.getCallSignatures().length || checker.isArrayLikeType(type)) return [];
  const properties = checker.getPropertiesOfType(type).filter(isDeclared);
  const named = properties.map((property) => [property.name, checker.getTypeOfSymbol(property)]);
  const [index] = checker.getIndexInfosOfType(type);
  return index && !named.length ? [["*", index.type]] : named;
}

function walk(type, path, ancestors = []) {
  // A type that is not found is `any`, and hides the alternatives to it.
  if (type.flags & ts.TypeFlags.Any) console.error(`not known: ${path.join(".")}`);
  for (const alternative of alternatives(type)) {
    if (isNothing(alternative)) continue;
    const isWhole = path.at(-1) === NAMES || ancestors.includes(alternative);
    const found = isWhole ? [] : options(alternative);
    if (!found.length) paths.add(path.join("."));
    for (const [name, inner] of found) walk(inner, [...path, name], [...ancestors, alternative]);
  }
}

// A plugin is a function that returns an object with an id and the version of its package.
function walkPlugin(name, type) {
  for (const signature of type.getCallSignatures()) {
    const made = signature.getReturnType();
    const [id, version, server] = ["id", "version", "$InferServerPlugin"].map((member) =>
      made.getProperty(member),
    );
    if (!id || !version || server || !checker.getTypeOfSymbol(id).isStringLiteral()) continue;
    paths.add(`plugins.${name}`);
    for (const parameter of signature.parameters) {
      const taken = checker.getTypeOfSymbol(parameter);
      // customSession() takes the options of the server for their types.
      if (alternatives(taken).some((type) => nameOf(type) === "BetterAuthOptions")) continue;
      walk(taken, ["plugins", name]);
    }
  }
}

for (const file of modules) {
  const module = checker.getSymbolAtLocation(program.getSourceFile(file));
  for (const symbol of checker.getExportsOfModule(module)) {
    const isAlias = symbol.flags & ts.SymbolFlags.Alias;
    const target = isAlias ? checker.getAliasedSymbol(symbol) : symbol;
    if (target.name === "BetterAuthOptions") walk(checker.getDeclaredTypeOfSymbol(target), []);
    if (target.flags & ts.SymbolFlags.Value && !PARTS.has(symbol.name)) {
      walkPlugin(symbol.name, checker.getTypeOfSymbol(target));
    }
  }
}
console.log(JSON.stringify([...paths].sort(), null, 1));
