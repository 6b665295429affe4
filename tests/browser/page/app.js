// What the page shows, and what its buttons do.
import { auth } from "./auth.js";
import { Refused, ask, forgetJwt } from "./taskport.js";

const element = (id) => document.getElementById(id);
const LOG_LENGTH = 6;
let userId;
let queue = Promise.resolve();

// The client keeps the session up to date: in this page, and in its other tabs.
auth.useSession.subscribe(({ data, isPending }) => {
  if (isPending) return;
  element("door").hidden = data !== null;
  for (const id of ["room", "who"]) element(id).hidden = data === null;
  element("name").textContent = data?.user.name || data?.user.email;
  if (data?.user.id === userId) return;
  userId = data?.user.id;
  forgetJwt();
  showTasks([]);
  element("log").replaceChildren();
  if (data) act(load);
});

onSubmit("sign-in", ({ email, password }) => byAuth(auth.signIn.email({ email, password })));
onSubmit("sign-up", (account) => byAuth(auth.signUp.email(account)));
element("sign-out").onclick = () => act(() => byAuth(auth.signOut()));

onSubmit("add", ({ title }) => change("POST", "/api/tasks", { body: { title } }));
element("credential").onchange = () => act(load);

async function load() {
  showTasks((await taskport("GET", "/api/tasks?sort=created_at")).data);
}

async function change(method, path, options) {
  try {
    await taskport(method, path, options);
  } finally {
    // Where it failed because somebody else was faster, this shows what they did.
    await load();
  }
}

function taskport(method, path, options) {
  const by = document.querySelector("[name=credential]:checked").value;
  return ask(method, path, { by, told: showRequest, ...options });
}

async function byAuth(answer) {
  const { error } = await answer;
  if (error) throw new Error(error.message);
}

function onSubmit(id, handle) {
  const form = element(id);
  form.onsubmit = (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    lock(form, true);
    act(() => handle(values).then(() => form.reset())).then(() => lock(form, false));
  };
}

// What is typed while a form is being sent would be lost with the rest.
function lock(form, isLocked) {
  for (const input of form.querySelectorAll("input")) input.readOnly = isLocked;
  form.querySelector("button").disabled = isLocked;
}

// One thing after the other: an older list must not come after a newer one.
function act(work) {
  queue = queue.then(() => attempt(work));
  return queue;
}

async function attempt(work) {
  element("alert").hidden = true;
  try {
    await work();
  } catch (error) {
    element("alert").textContent = error.message;
    element("alert").hidden = false;
    // The session may have been ended elsewhere: the client finds out, and the door is shown.
    if (error instanceof Refused && error.status === 401) await auth.useSession.get().refetch();
  }
}

function showTasks(tasks) {
  const done = tasks.filter((task) => task.status === "Completed").length;
  element("tasks").replaceChildren(...tasks.map(itemOf));
  element("summary").textContent = tasks.length
    ? `${done} of ${tasks.length} completed`
    : "Nothing to do yet.";
}

function itemOf({ id, title, status, version }) {
  const item = document.createElement("li");
  const changeIt = (method, path, options) => {
    // Until the list is shown anew: this version of the task is about to be an old one.
    item.inert = true;
    act(() => change(method, path, { version, ...options })).then(() => (item.inert = false));
  };

  const path = `/api/tasks/${id}`;
  const box = Object.assign(document.createElement("input"), { type: "checkbox" });
  box.checked = status === "Completed";
  box.onchange = () => changeIt("PATCH", `${path}/complete`, { body: { completed: box.checked } });

  const text = Object.assign(document.createElement("span"), { textContent: title });
  const label = document.createElement("label");
  label.append(box, text);

  const remove = Object.assign(document.createElement("button"), { textContent: "Delete" });
  remove.ariaLabel = `Delete ${title}`;
  remove.onclick = () => changeIt("DELETE", path);

  item.classList.toggle("done", box.checked);
  item.append(label, remove);
  return item;
}

function showRequest({ method, path, by, status, id }) {
  const line = document.createElement("li");
  line.textContent = `${method} ${path} by ${by}: ${status}, request ${id}`;
  element("log").append(line);
  if (element("log").children.length > LOG_LENGTH) element("log").firstChild.remove();
}
