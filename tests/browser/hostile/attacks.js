// What a page of somebody else can try with the browser of a user who happens to visit it. Each
// returns what it has got hold of.

// A script asks.
async function ask(url, options) {
  try {
    const answer = await fetch(url, { credentials: "include", ...options });
    return `${answer.type} ${answer.status} ${await answer.text()}`;
  } catch (error) {
    return error.name;
  }
}

// A script sends something; without a type in the headers, it has none.
function post(url, text, options) {
  return ask(url, { method: "POST", body: new Blob([text]), ...options });
}

function beacon(url, text, type) {
  return navigator.sendBeacon(url, new Blob([text], { type }));
}

// A form is sent: in a frame of this page, in a new window, or in place of this page.
function send(url, fields, { enctype = "application/x-www-form-urlencoded", target, policy } = {}) {
  if (policy) add("meta", { name: "referrer", content: policy }, document.head);
  document.querySelector("[name=frame]")?.remove();
  if (target === "frame") add("iframe", { name: "frame" });
  const form = add("form", { method: "POST", action: url, enctype, target: target ?? "_self" });
  for (const [name, value] of Object.entries(fields)) add("input", { name, value }, form);
  form.submit();
}

// It is fetched as if it were something harmless; the sizes would give away what came.
async function embed(url, tag) {
  const attribute = { link: "href", object: "data" }[tag] ?? "src";
  const element = add(tag, tag === "link" ? { rel: "stylesheet" } : {});
  const over = new Promise((resolve) => {
    for (const name of ["load", "error", "loadedmetadata"]) {
      element.addEventListener(name, () => resolve(name));
    }
  });
  element[attribute] = url;
  return over;
}

// It is opened in a frame or in a window, and looked at.
async function lookInto(url, kind) {
  const view = kind === "iframe" ? add("iframe", {}).contentWindow : open("about:blank");
  const blank = view.document;
  view.location = url;
  for (let i = 0; i < 500; i++) {
    try {
      // As long as it is ours, it has not come.
      if (view.document !== blank) return view.document.body.innerText;
      await new Promise((resolve) => setTimeout(resolve, 10));
    } catch (error) {
      return error.name;
    }
  }
  return "nothing came";
}

// A connection is kept open.
function listen(url, kind) {
  const source =
    kind === "WebSocket"
      ? new WebSocket(url.replace("http", "ws"))
      : new EventSource(url, { withCredentials: true });
  return new Promise((resolve) => {
    source.onopen = () => resolve("open");
    source.onmessage = ({ data }) => resolve(data);
    source.onerror = () => resolve("error");
  });
}

// A frame without an origin does it: its `Origin` is `null`.
function askFromNowhere(url, options) {
  const script = `(${ask})(${JSON.stringify(url)}, ${JSON.stringify(options)})
    .then((said) => parent.postMessage(said, "*"))`;
  return new Promise((resolve) => {
    addEventListener("message", ({ data }) => resolve(data), { once: true });
    add("iframe", { sandbox: "allow-scripts", srcdoc: `<script>${script}</${"script"}>` });
  });
}

function add(tag, attributes, parent = document.body) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return parent.appendChild(element);
}
