/** A whole session, by a client that knows of the service what its OpenAPI document says. */

import assert from "node:assert/strict";
import createClient, { type FetchResponse, type MethodResponse } from "openapi-fetch";
import type { Equal, Has, Loose, None, True } from "./exact.js";
// Made by openapi-typescript, beside a copy of this file.
import type { components, operations, paths } from "./openapi.js";

type Schemas = components["schemas"];
type Task = Schemas["Task"];
type User = Schemas["User"];
type Session = Schemas["Session"];
type Problem = NonNullable<
  FetchResponse<operations["listTasks"], object, "application/problem+json">["error"]
>;
type Query = NonNullable<operations["listTasks"]["parameters"]["query"]>;
type Status = "Pending" | "Completed";

interface TaskMembers {
  id: number;
  user_id: string;
  title: string;
  description: string | null;
  status: Status;
  completed_at: string | null;
  version: number;
  created_at: string;
  updated_at: string;
}

interface UserMembers {
  id: string;
  email: string;
  name: string;
  email_verified: boolean;
  image: string | null;
  created_at: string;
  updated_at: string;
}

interface SessionMembers {
  id: string;
  created_at: string;
  updated_at: string;
  expires_at: string;
  ip_address: string | null;
  user_agent: string | null;
  current: boolean;
}

interface ProblemMembers {
  message: string;
  type: "about:blank";
  title: string;
  status: number;
  detail: string;
  instance: string;
  request_id: string;
  timestamp: string;
}

interface InvalidDetailsMembers {
  field: string | null;
  error: string;
  errors: { field: string | null; pointer: string | null; error: string }[];
}

interface RefreshedMembers {
  user: User;
  session: Session | null;
  access_token: string | null;
  token_type: "Bearer";
  expires_in: number | null;
}

interface SignedInMembers extends RefreshedMembers {
  session_token: string | null;
}

interface ValidSessionMembers {
  user: User;
  session: Session | null;
  credential: "cookie" | "session_token" | "jwt" | "access_token" | "shared_secret";
}

interface QueryMembers {
  page?: number;
  limit?: number;
  status?: Status;
  q?: string;
  sort?: "created_at" | "-created_at" | "updated_at" | "-updated_at" | "title" | "-title";
}

interface PageMembers {
  data: Task[];
  count: number;
  total: number;
  page: number;
  limit: number;
}

interface NewTaskMembers {
  title: string;
  description?: string | null;
  status?: Status;
}

/** What the document says of what goes over the wire. */
export type Shapes = [
  None<Loose<Schemas>>,
  None<Loose<operations>>,
  True<Has<Task, TaskMembers>>,
  True<Has<Schemas["TaskPage"], PageMembers>>,
  True<Has<User, UserMembers>>,
  True<Has<Session, SessionMembers>>,
  True<Has<Schemas["Sessions"], { data: Session[]; count: number }>>,
  True<Has<Schemas["Refreshed"], RefreshedMembers>>,
  True<Has<Schemas["SignedIn"], SignedInMembers>>,
  True<Has<Schemas["ValidSession"], ValidSessionMembers>>,
  True<Has<Schemas["Problem"], ProblemMembers>>,
  True<Equal<Schemas["Problem"]["details"], Record<string, never>>>,
  // A list of codes, and not any text: so that the code tells one shape from the other.
  True<Equal<string extends Schemas["Problem"]["error_code"] ? true : false, false>>,
  True<Has<Schemas["InvalidProblem"], ProblemMembers>>,
  True<Equal<Schemas["InvalidProblem"]["error_code"], "VALIDATION_ERROR">>,
  True<Has<Schemas["InvalidProblem"]["details"], InvalidDetailsMembers>>,
  True<Has<Schemas["NewTask"], NewTaskMembers>>,
  True<Has<Schemas["TaskUpdate"], Partial<NewTaskMembers>>>,
  True<Has<Schemas["Completion"], { completed: boolean }>>,
  True<Has<Schemas["NewUser"], { email: string; password: string; name?: string }>>,
  True<Has<Schemas["NewName"], { name: string }>>,
  True<Has<Query, QueryMembers>>,
];

/** What the client makes of the two shapes of errors. */
export type Problems = [
  True<Equal<Problem["error_code"], Schemas["Problem"]["error_code"] | "VALIDATION_ERROR">>,
  True<Equal<Extract<Problem, { error_code: "VALIDATION_ERROR" }>, Schemas["InvalidProblem"]>>,
];

const baseUrl = process.env["BASE_URL"];
assert.ok(baseUrl);
const api = createClient<paths>({ baseUrl });

/** What the client makes of the answers. */
export type Answers = [
  True<Equal<MethodResponse<typeof api, "get", "/api/tasks">, Schemas["TaskPage"]>>,
  True<Equal<MethodResponse<typeof api, "post", "/api/tasks">, Task>>,
  True<Equal<MethodResponse<typeof api, "get", "/api/tasks/{task_id}">, Task>>,
  True<Equal<MethodResponse<typeof api, "put", "/api/tasks/{task_id}">, Task>>,
  True<Equal<MethodResponse<typeof api, "patch", "/api/tasks/{task_id}">, Task>>,
  True<Equal<MethodResponse<typeof api, "delete", "/api/tasks/{task_id}">, never>>,
  True<Equal<MethodResponse<typeof api, "patch", "/api/tasks/{task_id}/complete">, Task>>,
  True<Equal<MethodResponse<typeof api, "post", "/api/auth/signup">, Schemas["SignedIn"]>>,
  True<Equal<MethodResponse<typeof api, "post", "/api/auth/login">, Schemas["SignedIn"]>>,
  True<Equal<MethodResponse<typeof api, "post", "/api/auth/logout">, never>>,
  True<Equal<MethodResponse<typeof api, "post", "/api/auth/refresh">, Schemas["Refreshed"]>>,
  True<Equal<MethodResponse<typeof api, "get", "/api/auth/me">, User>>,
  True<
    Equal<MethodResponse<typeof api, "get", "/api/auth/session/validate">, Schemas["ValidSession"]>
  >,
  True<Equal<MethodResponse<typeof api, "get", "/api/users/me">, User>>,
  True<Equal<MethodResponse<typeof api, "patch", "/api/users/me">, User>>,
  True<Equal<MethodResponse<typeof api, "delete", "/api/users/me">, never>>,
  True<Equal<MethodResponse<typeof api, "get", "/api/users/me/sessions">, Schemas["Sessions"]>>,
  True<Equal<MethodResponse<typeof api, "delete", "/api/users/me/sessions/{session_id}">, never>>,
  True<Equal<MethodResponse<typeof api, "get", "/health">, Schemas["Health"]>>,
  True<Equal<MethodResponse<typeof api, "get", "/livez">, Schemas["Health"]>>,
  True<Equal<MethodResponse<typeof api, "get", "/readyz">, Schemas["Health"]>>,
  True<Equal<MethodResponse<typeof api, "get", "/health/db">, Schemas["DatabaseHealth"]>>,
];

interface Answer {
  data?: unknown;
  error?: unknown;
  response: Response;
}

/** What an answer brings that must have succeeded. */
function given<Given extends Answer>(answer: Given, status = 200): NonNullable<Given["data"]> {
  assert.equal(answer.response.status, status, JSON.stringify(answer.error));
  assert.ok(answer.data);
  return answer.data;
}

/** An answer that must have succeeded, and bring nothing. */
function done(answer: Answer): void {
  assert.equal(answer.response.status, 204, JSON.stringify(answer.error));
  assert.equal(answer.data, undefined);
}

/** The problem of an answer that must have failed; no error of another type compiles. */
function refused<Given extends Answer>(
  answer: Given,
  status: number,
  code: Problem["error_code"],
  ..._typed: Equal<NonNullable<Given["error"]>, Problem> extends true ? [] : [never]
): Problem {
  const problem = answer.error as Problem | undefined;
  assert.equal(answer.response.status, status, JSON.stringify(answer));
  assert.ok(problem);
  assert.equal(problem.error_code, code);
  assert.equal(problem.status, status);
  assert.equal(problem.detail, problem.message);
  assert.equal(problem.request_id, answer.response.headers.get("X-Request-ID"));
  assert.ok(!Number.isNaN(Date.parse(problem.timestamp)));
  assert.match(answer.response.headers.get("Content-Type") ?? "", /^application\/problem\+json/);
  return problem;
}

/** The entity tag of an answer. */
function tag({ response }: Answer): string {
  const found = response.headers.get("ETag");
  assert.ok(found);
  return found;
}

function present<Value>(value: Value | null | undefined): Value {
  assert.ok(value !== null && value !== undefined);
  return value;
}

let token: string | null = null;
api.use({
  onRequest({ request }) {
    if (token !== null) request.headers.set("Authorization", `Bearer ${token}`);
  },
});

const email = `ann-${crypto.randomUUID()}@example.com`;
const password = "correct horse battery";

async function isWell(): Promise<void> {
  assert.equal(given(await api.GET("/health")).status, "ok");
  assert.equal(given(await api.GET("/livez")).status, "ok");
  assert.equal(given(await api.GET("/readyz")).status, "ok");
  const database = given(await api.GET("/health/db"));
  assert.equal(database.status, "ok");
  assert.ok(database.latency_ms > 0);
}

async function signUp(): Promise<User> {
  refused(await api.GET("/api/auth/me"), 401, "UNAUTHENTICATED");
  const body = { email, password };
  const signedUp = given(await api.POST("/api/auth/signup", { body }), 201);
  assert.equal(signedUp.user.email, email);
  assert.equal(signedUp.user.name, "");
  assert.equal(signedUp.token_type, "Bearer");
  assert.ok(present(signedUp.expires_in) > 0);
  assert.ok(present(signedUp.session_token));
  token = present(signedUp.access_token);
  refused(await api.POST("/api/auth/signup", { body }), 409, "EMAIL_TAKEN");

  const valid = given(await api.GET("/api/auth/session/validate"));
  assert.equal(valid.credential, "access_token");
  assert.equal(present(valid.session).id, present(signedUp.session).id);
  assert.deepEqual(valid.user, signedUp.user);
  const me = given(await api.GET("/api/auth/me"));
  assert.deepEqual(me, signedUp.user);
  return me;
}

async function create(user: User): Promise<Task> {
  const created = await api.POST("/api/tasks", { body: { title: "Water the plants" } });
  const task = given(created, 201);
  assert.equal(task.title, "Water the plants");
  assert.equal(task.description, null);
  assert.equal(task.status, "Pending");
  assert.equal(task.completed_at, null);
  assert.equal(task.user_id, user.id);
  assert.equal(created.response.headers.get("Location"), `/api/tasks/${task.id}`);
  assert.equal(tag(created), `"${task.version}"`);

  const body = { title: "Buy milk", description: "Of oats", status: "Completed" } as const;
  const completed = given(await api.POST("/api/tasks", { body }), 201);
  assert.equal(completed.description, "Of oats");
  assert.ok(Date.parse(present(completed.completed_at)) >= Date.parse(task.created_at));
  return task;
}

async function list(): Promise<void> {
  async function titles(query: Query): Promise<string[]> {
    const page = given(await api.GET("/api/tasks", { params: { query } }));
    assert.equal(page.count, page.data.length);
    return page.data.map((task) => task.title);
  }

  const all = given(await api.GET("/api/tasks"));
  assert.deepEqual([all.count, all.total, all.page, all.limit], [2, 2, 1, 50]);
  assert.equal(all.data[0]?.title, "Buy milk");
  assert.deepEqual(await titles({ sort: "title" }), ["Buy milk", "Water the plants"]);
  assert.deepEqual(await titles({ sort: "-title" }), ["Water the plants", "Buy milk"]);
  assert.deepEqual(await titles({ limit: 1, page: 2 }), ["Water the plants"]);
  assert.deepEqual(await titles({ status: "Completed" }), ["Buy milk"]);
  assert.deepEqual(await titles({ q: "PLANT" }), ["Water the plants"]);
  const query = { page: 1, limit: 10, status: "Pending", q: "water", sort: "-updated_at" } as const;
  assert.deepEqual(await titles(query), ["Water the plants"]);
  const many = await api.GET("/api/tasks", { params: { query: { limit: 101 } } });
  refused(many, 422, "VALIDATION_ERROR");
}

async function change(task: Task): Promise<void> {
  const path = { task_id: task.id };
  const one = "/api/tasks/{task_id}";
  const got = await api.GET(one, { params: { path } });
  assert.deepEqual(given(got), task);
  const seen = tag(got);
  const unchanged = await api.GET(one, { params: { path, header: { "If-None-Match": seen } } });
  assert.equal(unchanged.response.status, 304);
  assert.equal(unchanged.data, undefined);

  const header = { "If-Match": seen };
  const patched = await api.PATCH(one, { params: { path, header }, body: { description: "All" } });
  assert.equal(given(patched).description, "All");
  assert.equal(given(patched).title, task.title);
  assert.equal(given(patched).version, task.version + 1);
  assert.notEqual(tag(patched), seen);
  const put = await api.PUT(one, {
    params: { path, header: { "If-Match": tag(patched) } },
    body: { title: "Water all the plants", description: null },
  });
  assert.equal(given(put).title, "Water all the plants");
  assert.equal(given(put).description, null);

  const stale = { params: { path, header } };
  const body = { title: "Too late" };
  refused(await api.PATCH(one, { ...stale, body }), 412, "STALE_TASK");
  refused(await api.PUT(one, { ...stale, body }), 412, "STALE_TASK");
  refused(await api.PATCH(`${one}/complete`, stale), 412, "STALE_TASK");
  refused(await api.DELETE(one, stale), 412, "STALE_TASK");
}

async function complete({ id }: Task): Promise<void> {
  const params = { path: { task_id: id } };
  const toggled = given(await api.PATCH("/api/tasks/{task_id}/complete", { params }));
  assert.equal(toggled.status, "Completed");
  assert.ok(toggled.completed_at);
  for (const completed of [false, true, true]) {
    const set = await api.PATCH("/api/tasks/{task_id}/complete", { params, body: { completed } });
    assert.equal(given(set).status, completed ? "Completed" : "Pending");
    assert.equal(given(set).completed_at !== null, completed);
  }
}

async function misspell({ id }: Task): Promise<void> {
  const params = { path: { task_id: id } };
  const problem = refused(
    await api.PATCH("/api/tasks/{task_id}", { params, body: { title: " " } }),
    422,
    "VALIDATION_ERROR",
  );
  assert.ok(problem.error_code === "VALIDATION_ERROR");
  const [only, ...others] = problem.details.errors;
  assert.deepEqual(others, []);
  assert.equal(problem.details.field, "title");
  assert.equal(present(only).pointer, "/title");
  assert.equal(present(only).error, problem.details.error);
}

async function remove({ id }: Task): Promise<void> {
  const params = { path: { task_id: id } };
  done(await api.DELETE("/api/tasks/{task_id}", { params }));
  refused(await api.GET("/api/tasks/{task_id}", { params }), 404, "TASK_NOT_FOUND");
  refused(await api.DELETE("/api/tasks/{task_id}", { params }), 404, "TASK_NOT_FOUND");
}

async function rename(user: User): Promise<void> {
  const renamed = given(await api.PATCH("/api/users/me", { body: { name: "Ann" } }));
  assert.deepEqual({ ...renamed, updated_at: "" }, { ...user, name: "Ann", updated_at: "" });
  assert.deepEqual(given(await api.GET("/api/users/me")), renamed);
}

async function endTheOther(): Promise<void> {
  const wrong = { email, password: "incorrect horse" };
  refused(await api.POST("/api/auth/login", { body: wrong }), 401, "INVALID_CREDENTIALS");
  const other = given(await api.POST("/api/auth/login", { body: { email, password } }));
  const sessions = given(await api.GET("/api/users/me/sessions"));
  assert.equal(sessions.count, 2);
  const [ended, ...own] = sessions.data.toSorted((a, b) => Number(a.current) - Number(b.current));
  assert.equal(present(ended).id, present(other.session).id);
  assert.deepEqual(own.map((session) => session.current), [true]);
  assert.ok(Date.parse(present(ended).expires_at) > Date.now());

  const params = { path: { session_id: present(ended).id } };
  const end = () => api.DELETE("/api/users/me/sessions/{session_id}", { params });
  done(await end());
  refused(await end(), 404, "SESSION_NOT_FOUND");
  const mine = token;
  token = present(other.access_token);
  refused(await api.GET("/api/users/me"), 401, "UNAUTHENTICATED");
  token = mine;
}

async function logOut(): Promise<void> {
  const refreshed = given(await api.POST("/api/auth/refresh"));
  assert.equal(refreshed.user.email, email);
  assert.ok(present(refreshed.session).current);
  token = present(refreshed.access_token);
  assert.equal(given(await api.GET("/api/tasks")).total, 1);
  done(await api.POST("/api/auth/logout"));
  const { response } = await api.GET("/api/tasks");
  assert.match(response.headers.get("WWW-Authenticate") ?? "", /^Bearer/);
  refused(await api.GET("/api/tasks"), 401, "UNAUTHENTICATED");
}

async function leave(): Promise<void> {
  const back = given(await api.POST("/api/auth/login", { body: { email, password } }));
  token = present(back.access_token);
  done(await api.DELETE("/api/users/me"));
  refused(await api.GET("/api/users/me"), 401, "UNAUTHENTICATED");
}

await isWell();
const user = await signUp();
const task = await create(user);
await list();
await change(task);
await complete(task);
await misspell(task);
await remove(task);
await rename(user);
await endTheOther();
await logOut();
await leave();
console.log("done");
