// Plugins of Better Auth that the tests add, and options of jwt() that are functions, by name.
import { SignJWT, importJWK } from "jose";
import { load } from "./versions.mjs";

// What is sent to users. The code of a phone number is in the table `verification`.
const CODE = "123456";
const send = async () => {};

const all = ({ plugins, access }) => [
  plugins.admin({ roles: { user: access.adminAc, admin: access.adminAc } }),
  plugins.anonymous(),
  plugins.customSession(async ({ user, session }) => ({ user, session, tier: "gold" })),
  plugins.deviceAuthorization({ verificationUri: "/device" }),
  plugins.emailOTP({ sendVerificationOTP: send, generateOTP: () => CODE }),
  plugins.genericOAuth({ config: [] }),
  plugins.lastLoginMethod({ storeInDatabase: true }),
  plugins.magicLink({ sendMagicLink: send, generateToken: (email) => `link-of-${email}` }),
  plugins.multiSession(),
  plugins.oneTimeToken(),
  plugins.openAPI(),
  plugins.organization(),
  plugins.phoneNumber({
    sendOTP: send,
    signUpOnVerification: { getTempEmail: (number) => `${number.slice(1)}@example.com` },
  }),
  plugins.siwe({ domain: "example.com", getNonce: async () => "nonce", verifyMessage: send }),
  plugins.twoFactor(),
  plugins.username(),
];

// Columns under names that do not tell.
const renamed = ({ plugins, access }) => [
  plugins.admin({
    roles: { user: access.adminAc, admin: access.adminAc },
    schema: { user: { fields: { banned: "barred", banExpires: "barredUntil" } } },
  }),
  plugins.twoFactor({ schema: { user: { fields: { twoFactorEnabled: "secondStep" } } } }),
];

const SETS = { all, renamed };

// The plugins of a set; none without a name.
export async function pluginsOf(name, version) {
  if (!name) return [];
  const [plugins, access] = await Promise.all([
    load(version, "/plugins"),
    load(version, "/plugins/admin/access"),
  ]);
  return SETS[name]({ plugins, access });
}

// Keys that live in this process.
const inMemory = (keys = []) => ({
  getJwks: async () => keys,
  createJwk: async (key) => {
    keys.push({ ...key, id: `key-${keys.length}` });
    return keys.at(-1);
  },
});

// Signs with the key in the environment, which another server publishes.
const signElsewhere = async (payload) => {
  const { kid, alg, ...jwk } = JSON.parse(process.env.SIGNING_KEY);
  const token = new SignJWT(payload).setProtectedHeader({ alg, kid, typ: "JWT" });
  return token.sign(await importJWK(jwk, alg));
};

const JWT = {
  key_path: { jwks: { jwksPath: "/keys.json" } },
  keys_in_memory: { adapter: inMemory() },
  payload: {
    jwt: {
      expirationTime: "2h",
      definePayload: ({ user }) => ({ email: user.email, role: "editor" }),
    },
    jwks: { disablePrivateKeyEncryption: true, keyPairConfig: { alg: "RS256", modulusLength: 3072 } },
    disableSettingJwtHeader: true,
  },
  renamed: {
    schema: { jwks: { modelName: "signing_keys", fields: { publicKey: "public_key" } } },
  },
  signed_elsewhere: {
    jwks: { remoteUrl: process.env.JWKS_URL, keyPairConfig: { alg: "EdDSA" } },
    jwt: { sign: signElsewhere },
  },
};

export const jwtOptionsOf = (name) => JWT[name];
