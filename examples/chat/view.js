// The page's elements and how they are made. Whatever a person typed enters the page as a text node, never as HTML.

export const $ = (id) => document.getElementById(id);

/** Make an element: properties are assigned, strings among the children become text nodes. */
export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export function avatar(name) {
  const node = element("span", { className: "avatar" }, [...name].slice(0, 2).join("").toUpperCase());
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) % 9973;
  node.style.setProperty("--hue", (hash * 137) % 360);
  node.setAttribute("aria-hidden", "true");
  return node;
}

const TICKS = {
  waiting: ["◷", "Waiting for the connection"],
  sent: ["✓", "Sent"],
  delivered: ["✓✓", "Delivered"],
  failed: ["!", "Not sent"],
};

export function setTick(node, state, title = TICKS[state][1]) {
  const tick = node.querySelector(".tick");
  tick.textContent = TICKS[state][0];
  tick.dataset.state = state;
  tick.title = title;
  tick.setAttribute("aria-label", title);
}

/** What was written without a connection has gone out by now. */
export function tickWhatWaited(node) {
  if (node.querySelector(".tick")?.dataset.state === "waiting") setTick(node, "sent");
}

/** The node of one message; `first` opens a group of one author. */
export function messageNode({ from, text, image, type, name }, { mine, first }) {
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const meta = element("span", { className: "meta" }, time);
  const bubble = element("div", { className: "bubble" });
  if (image === undefined) {
    bubble.append(text);
  } else {
    bubble.classList.add("picture");
    const source = URL.createObjectURL(new Blob([image], { type }));
    bubble.append(element("img", { src: source, alt: name }));
  }
  bubble.append(meta);

  const node = element("article", { className: "message" });
  node.classList.toggle("mine", mine);
  node.classList.toggle("first", first);
  if (mine) {
    const tick = element("span", { className: "tick" });
    tick.setAttribute("role", "img");
    meta.append(tick);
  } else if (first) {
    node.append(avatar(from), element("span", { className: "who" }, from));
  }
  node.append(bubble);
  return node;
}

/** The pictures of a conversation that is closed for good need not stay in memory. */
export function forgetPictures(nodes) {
  for (const node of nodes) for (const image of node.querySelectorAll("img")) URL.revokeObjectURL(image.src);
}

export function noteNode(text) {
  return element("p", { className: "note" }, text);
}

export function emptyNode(key) {
  const [title, hint] = key.startsWith("#")
    ? [`Welcome to ${key}`, "Nothing has been said here yet. Rooms live as long as somebody is in them."]
    : [`You and ${key.slice(1)}`, "Only the two of you see what is written here."];
  return element("p", { className: "empty" }, element("strong", {}, title), hint);
}

/** One line of the sidebar. `mark` is what stands before the name, `side` what stands at the end of the line. */
export function itemNode({ key, mark, name, side, unread, current, className, label }, onClick) {
  const button = element(
    "button", { type: "button", className: `item ${className}`, onclick: onClick },
    mark, element("span", { className: "name" }, name),
  );
  button.dataset.key = key;
  button.setAttribute("aria-label", unread ? `${label}, ${unread} unread` : label);
  if (current) button.setAttribute("aria-current", "true");
  if (unread) button.append(element("span", { className: "badge" }, unread));
  else if (side) button.append(element("span", { className: "side" }, side));
  return element("li", {}, button);
}

export function memberNodes(names) {
  const nodes = names.slice(0, 5).map(avatar);
  if (names.length > 5) nodes.push(element("span", { className: "avatar more" }, `+${names.length - 5}`));
  return nodes;
}

export function showTyping(names) {
  const who = new Intl.ListFormat("en").format(names);
  $("typing").replaceChildren(
    ...(names.length ? [...Array(3)].map(() => element("i")) : []),
    names.length ? `${who} ${names.length > 1 ? "are" : "is"} typing` : "",
  );
}

let toastTimer;
export function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 6000);
}
