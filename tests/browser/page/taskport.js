// Calls Taskport with Better Auth's session cookie, or with a JWT of its `jwt` plugin.
import { auth } from "./auth.js";

/* global TASKPORT_URL -- defined by the build, for example http://localhost:8000 */

const MARGIN_MS = 60_000;
let jwt;

// An error response of Taskport; all have the same shape.
export class TaskportError extends Error {
  constructor(problem) {
    const { field, error } = problem.details;
    super(field ? `${field} ${error}` : problem.message);
    this.code = problem.error_code;
    this.status = problem.status;
  }
}

// The JWT belongs to one user: drop it when the user changes.
export function forgetJwt() {
  jwt = undefined;
}

// `credential` is "cookie" or "jwt"; `onResponse` gets a summary of each request.
export async function request(method, path, { credential, body, version, onResponse }) {
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  // Optimistic locking: if the task has changed since this page read it, the response is a 412.
  if (version) headers["If-Match"] = `"${version}"`;
  if (credential === "jwt") headers["Authorization"] = `Bearer ${await validJwt()}`;
  const response = await fetch(TASKPORT_URL + path, {
    method,
    headers,
    body: body && JSON.stringify(body),
    // Taskport is cross-origin: without "include" the browser does not send the cookie.
    credentials: credential === "cookie" ? "include" : "omit",
  });
  const { status, headers: responseHeaders } = response;
  onResponse({ method, path, credential, status, id: responseHeaders.get("X-Request-ID") });
  if (!response.ok) throw new TaskportError(await response.json());
  return status === 204 ? undefined : response.json();
}

// A JWT is valid for minutes: reuse it until `MARGIN_MS` before it expires.
async function validJwt() {
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
