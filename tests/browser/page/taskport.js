// How a page asks Taskport: by Better Auth's session cookie, or by a JWT of its `jwt` plugin.
import { auth } from "./auth.js";

/* global TASKPORT_URL -- the build puts it in: http://localhost:8000 */

const MARGIN_MS = 60_000;
let jwt;

// What Taskport says when it does not do what it is asked: every error has the same shape.
export class Refused extends Error {
  constructor(problem) {
    const { field, error } = problem.details;
    super(field ? `${field} ${error}` : problem.message);
    this.code = problem.error_code;
    this.status = problem.status;
  }
}

// Whoever signs in next must not be taken for whoever was here before.
export function forgetJwt() {
  jwt = undefined;
}

// `told` hears what was asked and answered; `by` is "cookie" or "jwt".
export async function ask(method, path, { by, body, version, told }) {
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  // Only if nobody has changed the task since this page read it; else the answer is a 412.
  if (version) headers["If-Match"] = `"${version}"`;
  if (by === "jwt") headers["Authorization"] = `Bearer ${await bearer()}`;
  const answer = await fetch(TASKPORT_URL + path, {
    method,
    headers,
    body: body && JSON.stringify(body),
    // Taskport is another origin: without "include" the browser keeps the cookie back.
    credentials: by === "cookie" ? "include" : "omit",
  });
  told({ method, path, by, status: answer.status, id: answer.headers.get("X-Request-ID") });
  if (!answer.ok) throw new Refused(await answer.json());
  return answer.status === 204 ? undefined : answer.json();
}

// A JWT lives for minutes: one serves until shortly before its end.
async function bearer() {
  if (!jwt || jwt.expires < Date.now() + MARGIN_MS) {
    const { data, error } = await auth.token();
    if (error) throw new Error(error.message ?? "You are not signed in any more.");
    jwt = { token: data.token, expires: claimsOf(data.token).exp * 1000 };
  }
  return jwt.token;
}

function claimsOf(token) {
  const [, claims] = token.split(".");
  return JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/")));
}
