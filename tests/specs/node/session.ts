/** Uses the modules of the document as a front end would; copied beside them. */

import assert from "node:assert/strict";
import { addTask } from "./app/actions";
import { dataOf, TaskportError } from "./lib/problems";
import { tokenFor } from "./lib/shared-secret";
import { api, type Task } from "./lib/taskport";
import { taskport } from "./lib/taskport-server";
import {
  deleteTask,
  edit,
  etag,
  everyTask,
  getTask,
  listTasks,
  setCompleted,
  updateTask,
} from "./lib/tasks";
import { shown } from "./next-headers";

const NAME = "better-auth.session_token";

/** The error that something must end in. */
async function refusal(doing: Promise<unknown>): Promise<TaskportError> {
  const error = await doing.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof TaskportError, String(error));
  return error;
}

async function nobody(): Promise<void> {
  const error = await refusal(listTasks());
  assert.deepEqual([error.status, error.code], [401, "UNAUTHENTICATED"]);
  assert.equal(error.message, "Valid credentials are required.");
}

/** By credential 5, which the front end's own server signs. */
async function tasks(): Promise<void> {
  for (const title of ["one", "two", "three"]) {
    dataOf(await api.POST("/api/tasks", { body: { title } }));
  }
  const titles: string[] = [];
  for await (const task of everyTask()) titles.push(task.title);
  assert.deepEqual(titles, ["one", "two", "three"]);
  const { data, total } = await listTasks({ sort: "-created_at", limit: 2 });
  assert.deepEqual([data.map((task) => task.title), total], [["three", "two"], 3]);
  for await (const _ of everyTask({ q: "nothing" })) assert.fail();
}

async function changes(): Promise<void> {
  const [task] = (await listTasks()).data;
  assert.ok(task);
  const drawn: Task[] = [];
  const draw = (now: Task) => void drawn.push(now);

  await edit(task, { description: "Soon" }, draw);
  assert.deepEqual(drawn.map((now) => now.description), ["Soon", "Soon"]);
  assert.deepEqual(drawn.map(etag), [etag(task), `"${task.version + 1}"`]);

  drawn.length = 0;
  const stale = await refusal(edit(task, { description: "Late" }, draw));
  assert.deepEqual([stale.status, stale.code], [412, "STALE_TASK"]);
  assert.deepEqual(drawn.map((now) => now.description), ["Late", "Soon"]);

  const now = await getTask(task.id);
  drawn.length = 0;
  const invalid = await refusal(edit(now, { title: " " }, draw));
  assert.equal(invalid.fields["title"], "must have at least one visible character");
  assert.deepEqual(drawn.map((one) => one.title), [" ", now.title]);

  const renamed = await updateTask(now, { title: "four" });
  const completed = await setCompleted(renamed, true);
  assert.equal(completed.status, "Completed");
  assert.equal((await setCompleted(renamed, true)).version, completed.version);
  assert.equal((await refusal(deleteTask(renamed))).code, "STALE_TASK");
  await deleteTask(completed);
  assert.equal((await refusal(getTask(task.id))).code, "TASK_NOT_FOUND");
}

/** What a server component does with the visitor's cookie, in both forms that it may have. */
async function onTheServer(): Promise<void> {
  const unknown = await (await taskport()).GET("/api/auth/me");
  assert.equal(unknown.response.status, 401);
  const body = { email: "eve@example.com", password: "correct horse battery" };
  const { response } = await api.POST("/api/auth/signup", { body });
  const cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const value = cookie.slice(NAME.length + 1);
  for (const form of [value, decodeURIComponent(value)]) {
    shown.set(NAME, { value: form });
    const visitor = await taskport();
    assert.equal(dataOf(await visitor.GET("/api/auth/me")).email, body.email);
    await addTask("From the server");
    assert.equal(dataOf(await visitor.GET("/api/tasks")).data[0]?.title, "From the server");
  }
}

await nobody();
const token = await tokenFor({ id: "ann", email: "ann@example.com", name: "Ann" });
api.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${token}`);
    return request;
  },
});
await tasks();
assert.equal(dataOf(await api.GET("/api/users/me")).name, "Ann");
await changes();
await onTheServer();
console.log("done");
