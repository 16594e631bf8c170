// The chat on the official Socket.IO client. A conversation is named as the server names its room: "#room" or "@nickname".
import { $, avatar, element, emptyNode, forgetPictures, itemNode, memberNodes, messageNode, noteNode, setTick, showTyping,
  tickWhatWaited, toast } from "./view.js";

const LOBBY = "#lobby";
const TYPING_EVERY = 2000; // ms between two signs that somebody is still typing
const TYPING_ENDS = 3500; // ms without a sign until we stop saying so
const GROUP = 180_000; // ms within which messages of one author stand together

// The token lets this page take its own nickname back after a lost connection that the server has not noticed yet.
const me = { nickname: "", token: crypto.getRandomValues(new Uint32Array(4)).join("-") };
const conversations = new Map(); // key → { key, nodes, unread, typing: name → timer, draft, last }
let presence = { people: [], rooms: {} };
let current = LOBBY;
let maxImage = Infinity;
let typingSent = 0;

// HTTP long-polling is not there yet, so the client must not begin with it.
const socket = io({ autoConnect: false });

// The rooms travel with the handshake: after a reconnect the server has them before it sees anything we buffered.
socket.auth = (send) => send({ ...me, rooms: [...conversations.keys()].filter(isRoom) });

const isRoom = (key) => key.startsWith("#");
const membersOf = (key) => (isRoom(key) ? presence.rooms[key] ?? [] : []);

function conversation(key) {
  if (!conversations.has(key)) {
    conversations.set(key, { key, nodes: [], unread: 0, typing: new Map(), draft: "", last: {} });
  }
  return conversations.get(key);
}

// --- the connection ---------------------------------------------------------------------------------------------------

socket.on("connect", () => {
  $("welcome").hidden = true;
  $("chat").hidden = false;
  setOnline(true);
  for (const { nodes } of conversations.values()) nodes.forEach(tickWhatWaited);
  open(current);
});

socket.on("welcome", (nickname, limit) => {
  me.nickname = nickname;
  maxImage = limit;
  renderMe();
});

socket.on("disconnect", (reason) => {
  setOnline(false);
  if (reason === "io server disconnect") signOut("You came in from somewhere else with this name.");
});

socket.on("connect_error", (error) => {
  if (!socket.active) signOut(error.message); // refused by the server; anything else is tried again
  else if ($("chat").hidden) $("sign-in-error").textContent = "The server does not answer. Trying again…";
});

socket.on("presence", (now) => {
  for (const [key, members] of Object.entries(now.rooms)) {
    const before = presence.rooms[key];
    if (!before || !conversations.has(key)) continue;
    for (const name of members) if (!before.includes(name) && name !== me.nickname) note(key, `${name} joined`);
    for (const name of before) if (!members.includes(name) && name !== me.nickname) note(key, `${name} left`);
  }
  presence = now;
  renderSidebar();
  renderHead();
});

// Answering is what gives the sender the second tick.
socket.on("message", (message, delivered) => {
  const key = isRoom(message.to) ? message.to : `@${message.from}`;
  if (isRoom(key) && !conversations.has(key)) return; // it crossed our "leave"
  stopTyping(key, message.from);
  show(key, message, false);
  delivered();
});

socket.on("typing", (to, from, active) => {
  const key = isRoom(to) ? to : `@${from}`;
  stopTyping(key, from);
  if (active) conversations.get(key)?.typing.set(from, setTimeout(() => stopTyping(key, from), TYPING_ENDS));
  renderTyping();
});

function setOnline(online) {
  $("banner").hidden = online;
  renderMe();
}

function signOut(reason) {
  $("chat").hidden = true;
  $("welcome").hidden = false;
  $("sign-in-error").textContent = reason;
  $("nickname").focus();
}

// --- sending ----------------------------------------------------------------------------------------------------------

async function send(to, body) {
  const node = show(to, { from: me.nickname, ...body }, true);
  setTick(node, socket.connected ? "sent" : "waiting");
  try {
    const { delivered, error } = await socket.emitWithAck("message", to, body);
    if (error) {
      setTick(node, "failed", error);
      toast(error);
    } else if (delivered) {
      setTick(node, "delivered", `Delivered to ${delivered}`);
    } else {
      setTick(node, "sent", "Sent; nobody else was here");
    }
  } catch {
    setTick(node, "failed", "The connection was lost before anybody confirmed this");
  }
}

async function sendImage(file) {
  if (!/^image\/(png|jpeg|gif|webp)$/.test(file.type)) {
    toast(`“${file.name}” is not a picture this chat can show: PNG, JPEG, GIF and WebP work.`);
  } else if (file.size > maxImage) {
    toast(`“${file.name}” has ${size(file.size)}; this server takes pictures of up to ${size(maxImage)}.`);
  } else {
    const to = current;
    await send(to, { image: await file.arrayBuffer(), type: file.type, name: file.name });
  }
}

const size = (bytes) => `${Math.ceil(bytes / 1e4) / 100} MB`; // rounded up: one byte too many must show

function sayTyping(active) {
  const now = Date.now();
  if (active && now - typingSent < TYPING_EVERY) return;
  typingSent = active ? now : 0;
  socket.volatile.emit("typing", current, active);
}

async function enter(name) {
  if (!socket.connected) return toast("Rooms can be joined again once the connection is back.");
  const { room, error } = await socket.emitWithAck("join", name);
  if (error) return toast(error);
  open(room);
}

function leave(key) {
  if (isRoom(key)) socket.emit("leave", key);
  forgetPictures(conversations.get(key).nodes);
  conversations.delete(key);
  open(conversations.keys().next().value ?? LOBBY);
}

// --- showing ----------------------------------------------------------------------------------------------------------

function show(key, message, mine) {
  const talk = conversation(key);
  const first = talk.last.from !== message.from || Date.now() - talk.last.at > GROUP;
  talk.last = { from: message.from, at: Date.now() };
  const node = messageNode(message, { mine, first });
  if (!mine && (key !== current || document.hidden)) talk.unread += 1;
  append(talk, node, mine);
  renderSidebar();
  return node;
}

function note(key, text) {
  const talk = conversation(key);
  talk.last = {};
  append(talk, noteNode(text), false);
}

function append(talk, node, jump) {
  talk.nodes.push(node);
  if (talk.key !== current) return;
  const log = $("log");
  const atEnd = jump || log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  log.querySelector(".empty")?.remove();
  log.append(node);
  if (!atEnd) return;
  toEnd();
  node.querySelector("img")?.addEventListener("load", toEnd); // it has no height before
}

const toEnd = () => { $("log").scrollTop = $("log").scrollHeight; };

function open(key) {
  if (conversations.has(current)) conversations.get(current).draft = $("text").value;
  if ($("text").value && key !== current) sayTyping(false);
  current = key;
  const talk = conversation(key);
  talk.unread = 0;
  $("text").value = talk.draft;
  $("log").replaceChildren(...(talk.nodes.length ? talk.nodes : [emptyNode(key)]));
  toEnd();
  setDrawer(false);
  renderSidebar();
  renderHead();
  renderTyping();
  grow();
  if (matchMedia("(pointer: fine)").matches) $("text").focus(); // elsewhere it would raise the keyboard of the screen
}

function stopTyping(key, name) {
  const typing = conversations.get(key)?.typing;
  clearTimeout(typing?.get(name));
  if (typing?.delete(name)) renderTyping();
}

const renderTyping = () => showTyping([...conversation(current).typing.keys()]);

function renderMe() {
  $("me").classList.toggle("offline", !socket.connected);
  const state = element("small", {}, socket.connected ? "online" : "reconnecting");
  $("me").replaceChildren(avatar(me.nickname), element("div", {}, element("strong", {}, me.nickname), state));
}

function renderHead() {
  const members = membersOf(current);
  $("title").textContent = isRoom(current) ? current : current.slice(1);
  $("subtitle").textContent = isRoom(current)
    ? members.join(", ")
    : presence.people.includes(current.slice(1)) ? "private, online" : "private, not here at the moment";
  $("members").replaceChildren(...memberNodes(members));
  $("leave").textContent = isRoom(current) ? "Leave" : "Close";
  $("leave").hidden = current === LOBBY;
  $("text").placeholder = isRoom(current) ? `Message ${current}` : `Message ${current.slice(1)} privately`;
}

function renderSidebar() {
  const focused = document.activeElement?.dataset?.key;
  const rooms = new Set([LOBBY, ...[...conversations.keys()].filter(isRoom), ...Object.keys(presence.rooms).sort()]);
  const people = new Set([...presence.people, ...[...conversations.keys()].filter((key) => !isRoom(key)).map((key) => key.slice(1))]);
  people.delete(me.nickname);

  const item = (key, more) => itemNode({
    key, unread: conversations.get(key)?.unread, current: key === current, ...more,
  }, () => (isRoom(key) && !conversations.has(key) ? enter(key) : open(key)));

  $("rooms").replaceChildren(...[...rooms].map((key) => {
    const inside = conversations.has(key);
    const count = membersOf(key).length;
    return item(key, {
      mark: element("span", { className: "hash" }, "#"), name: key.slice(1), side: inside ? String(count || "") : "Join",
      className: inside ? "" : "outside", label: inside ? `Room ${key.slice(1)}, ${count} inside` : `Join room ${key.slice(1)}`,
    });
  }));
  $("people").replaceChildren(...[...people].sort().map((name) => {
    const here = presence.people.includes(name);
    return item(`@${name}`, {
      mark: avatar(name), name, side: here ? "" : "away", className: here ? "" : "away",
      label: here ? `Private conversation with ${name}` : `${name}, away`,
    });
  }));
  if (!people.size) $("people").append(element("li", { className: "note" }, "Nobody else is here yet."));
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();

  const unread = [...conversations.values()].reduce((sum, talk) => sum + talk.unread, 0);
  document.title = unread ? `(${unread}) roomcast chat` : "roomcast chat";
  $("menu-badge").textContent = unread;
  $("menu-badge").hidden = !unread;
}

function setDrawer(shown) {
  $("chat").classList.toggle("open", shown);
  $("menu").setAttribute("aria-expanded", shown);
}

function grow() {
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight + 2}px`; // 2: the border
}

// --- what the person does ---------------------------------------------------------------------------------------------

$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  $("sign-in-error").textContent = "";
  me.nickname = $("nickname").value;
  conversation(LOBBY);
  socket.connect();
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  $("text").value = "";
  grow();
  typingSent = 0; // the message itself ends the sign at the other end
  if (text) send(current, { text });
});

$("text").addEventListener("input", () => {
  grow();
  sayTyping($("text").value !== "");
});

$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});

$("new-room").addEventListener("submit", (event) => {
  event.preventDefault();
  enter($("room-name").value);
  $("room-name").value = "";
});

$("attach").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", async () => {
  const [file] = $("file").files;
  $("file").value = "";
  if (file) await sendImage(file);
});
$("text").addEventListener("paste", (event) => {
  for (const file of event.clipboardData.files) sendImage(file);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("chat").addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop") for (const file of event.dataTransfer.files) sendImage(file);
  });
}

$("leave").addEventListener("click", () => leave(current));
$("menu").addEventListener("click", () => setDrawer(true));
$("backdrop").addEventListener("click", () => setDrawer(false));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") setDrawer(false); });
document.addEventListener("visibilitychange", () => {
  if (document.hidden || $("chat").hidden) return;
  conversation(current).unread = 0;
  renderSidebar();
});
