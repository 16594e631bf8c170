// One client at each server of the cluster. They share this page's clock, so that it can tell how long a message took.
const SHOWN = 8;
const COUNT_EVERY = 5000;

const started = new Map(); // text → when it was sent
const template = document.getElementById("server");

function show(list, text, note) {
  const item = document.createElement("li");
  const small = document.createElement("small");
  item.textContent = text;
  small.textContent = note;
  item.append(small);
  list.prepend(item);
  while (list.children.length > SHOWN) list.lastChild.remove();
}

function open({ kind, url }, index) {
  const section = template.content.firstElementChild.cloneNode(true);
  const [title, state, form, list] = ["h2", ".state", "form", ".messages"].map((which) => section.querySelector(which));
  const [input, label] = [form.querySelector("input"), form.querySelector("label")];
  const buttons = form.querySelectorAll("button");
  title.textContent = `${kind}, port ${new URL(url).port}`;
  input.id = label.htmlFor = `message-${index}`;
  document.getElementById("servers").append(section);

  const socket = io(url);
  const enable = (enabled) => buttons.forEach((button) => (button.disabled = !enabled));
  const count = async () => {
    if (!socket.connected) return;
    const [servers, sockets] = await new Promise((resolve) => socket.emit("count", (...both) => resolve(both)));
    state.textContent = `connected: ${servers} servers and ${sockets} clients in the cluster`;
  };
  enable(false);
  socket.on("connect", () => {
    enable(true);
    count();
  });
  socket.on("disconnect", (reason) => {
    enable(false);
    state.textContent = `disconnected (${reason}), reconnecting…`;
  });
  socket.on("said", (text, server) => {
    const sent = started.get(text);
    const took = sent === undefined ? "" : `, after ${(performance.now() - sent).toFixed(1)} ms`;
    show(list, text, `by ${server}${took}`);
  });
  socket.on("who", (reply) => reply(`the client at ${title.textContent}`));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    started.set(input.value, performance.now());
    socket.emit("say", input.value);
    input.value = "";
  });
  section.querySelector(".ask").addEventListener("click", async () => {
    const begin = performance.now();
    const answers = await socket.emitWithAck("ask");
    show(list, `${answers.length} clients have answered`, `${answers.join("; ")}, after ${(performance.now() - begin).toFixed(1)} ms`);
  });
  setInterval(count, COUNT_EVERY);
}

const servers = await (await fetch("/servers.json")).json();
servers.forEach(open);
