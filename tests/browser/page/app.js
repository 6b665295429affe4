// Renders the page and handles its forms and buttons.
import { auth } from "./auth.js";
import { TaskportError, forgetJwt, request } from "./taskport.js";

const element = (id) => document.getElementById(id);
const LOG_LENGTH = 6;
let userId;
let queue = Promise.resolve();

// The client keeps the session up to date across tabs.
auth.useSession.subscribe(({ data, isPending }) => {
  if (isPending) return;
  element("signed-out").hidden = data !== null;
  for (const id of ["signed-in", "user"]) element(id).hidden = data === null;
  element("name").textContent = data?.user.name || data?.user.email;
  if (data?.user.id === userId) return;
  userId = data?.user.id;
  forgetJwt();
  showTasks([]);
  element("log").replaceChildren();
  if (data) enqueue(load);
});

onSubmit("sign-in", ({ email, password }) => callAuth(auth.signIn.email({ email, password })));
onSubmit("sign-up", (account) => callAuth(auth.signUp.email(account)));
element("sign-out").onclick = () => enqueue(() => callAuth(auth.signOut()));

onSubmit("add", ({ title }) => change("POST", "/api/tasks", { body: { title } }));
element("credential").onchange = () => enqueue(load);

async function load() {
  showTasks((await taskport("GET", "/api/tasks?sort=created_at")).data);
}

async function change(method, path, options) {
  try {
    await taskport(method, path, options);
  } finally {
    // If the version was stale, this shows the newer one.
    await load();
  }
}

function taskport(method, path, options) {
  const credential = document.querySelector("[name=credential]:checked").value;
  return request(method, path, { credential, onResponse: showRequest, ...options });
}

async function callAuth(call) {
  const { error } = await call;
  if (error) throw new Error(error.message);
}

function onSubmit(id, handle) {
  const form = element(id);
  form.onsubmit = (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    lock(form, true);
    enqueue(() => handle(values).then(() => form.reset())).then(() => lock(form, false));
  };
}

// Text typed while the form is being submitted would be lost when it is reset.
function lock(form, isLocked) {
  for (const input of form.querySelectorAll("input")) input.readOnly = isLocked;
  form.querySelector("button").disabled = isLocked;
}

// Runs one operation at a time, so that an older list never replaces a newer one.
function enqueue(work) {
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
    // The session may have ended elsewhere: refetch it, so that the sign-in form is shown.
    const isUnauthenticated = error instanceof TaskportError && error.status === 401;
    if (isUnauthenticated) await auth.useSession.get().refetch();
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
    // Until the list is rendered again: this version of the task is about to be stale.
    item.inert = true;
    enqueue(() => change(method, path, { version, ...options })).then(() => (item.inert = false));
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

function showRequest({ method, path, credential, status, id }) {
  const line = document.createElement("li");
  line.textContent = `${method} ${path} by ${credential}: ${status}, request ${id}`;
  element("log").append(line);
  if (element("log").children.length > LOG_LENGTH) element("log").firstChild.remove();
}
