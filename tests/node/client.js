// Official clients under remote control: one JSON command per line on stdin, one JSON report per line on stdout.
//
//   {"socket": n, "op": "open", "url": …, "options": {…}}      a new socket; "manager" of an earlier socket shares its connection,
//                                                           "client" is the npm package to take, "parser" that of another parser; an option of null is left out
//   {"socket": n, "op": "emit", "args": […]}
//   {"socket": n, "op": "ask", "call": k, "args": […], "timeout": ms | null}     emit with a callback
//   {"socket": n, "op": "answer", "event": …, "args": […], "times": m, "delay": ms | null}
//                                                           how acknowledgements of an event are answered from now on; more
//                                                           than once past the client's own guard
//   {"socket": n, "op": "state", "call": k}
//   {"socket": n, "op": "connect" | "disconnect" | "close engine"}
//   {"socket": n, "op": "move", "url": …}                     connect to another server from the next time on
//   {"op": "reset"}                                         forget all sockets
//   {"socket": n, "op": "raw", "text": …}                   one Engine.IO message, past the encoder
//   {"socket": n, "op": "frame", "text": …}                 one frame of its WebSocket, past Engine.IO
//
// Reports: {"socket": n, "event": name, "args": […]} for everything that a socket hears, connect, connect_error, disconnect
// and the upgrade of its first connection among it; {"socket": n, "call": k, "args": […]} or {…, "error": text} for what a
// command returns. Arguments are marked as values.js says. The Python half is tests/support/official_client.py.
"use strict";

const readline = require("node:readline");
const { pack, unpack } = require("./values.js");

const sockets = new Map();
const answers = new Map();

function report(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

function connect(url, client, options) {
  const all = { transports: ["websocket"], forceNew: true, reconnection: false, ...options };
  if (all.parser) all.parser = require(all.parser);
  const given = Object.entries(all).filter(([, value]) => value !== null);
  return require(client).io(url, Object.fromEntries(given));
}

function open(n, { url, client, options, manager }) {
  const shared = sockets.get(manager);
  const socket = shared ? shared.io.socket(url, options) : connect(url, client, options);
  sockets.set(n, socket);
  const hear = (event, ...args) => report({ socket: n, event, args: args.map(pack) });
  if (!shared) socket.io.engine?.on("upgrade", (transport) => hear("upgrade", transport.name));
  socket.on("connect", () => hear("connect", socket.id));
  socket.on("connect_error", (error) => hear("connect_error", error.message, error.data));
  socket.on("disconnect", (reason) => hear("disconnect", reason, socket.active));
  socket.onAny((event, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : null;
    hear(event, ...args);
    const answer = answers.get(`${n} ${event}`);
    if (ack && answer) answer(ack);
  });
}

// Lets what an action sends leave several times.
function repeat(socket, times, action) {
  const { packet } = socket;
  socket.packet = (sent) => {
    for (let i = 0; i < times; i++) packet.call(socket, sent);
  };
  action();
  delete socket.packet;
}

const operations = {
  open,
  emit(n, { args }) {
    sockets.get(n).emit(...args.map(unpack));
  },
  ask(n, { call, args, timeout }) {
    const socket = sockets.get(n);
    const values = args.map(unpack);
    const done = (...result) => report({ socket: n, call, args: result.map(pack) });
    if (timeout === null) {
      socket.emit(...values, done);
    } else {
      socket.timeout(timeout).emit(...values, (error, ...result) => {
        if (error) report({ socket: n, call, error: error.message });
        else done(...result);
      });
    }
  },
  answer(n, { event, args, times, delay }) {
    const values = args.map(unpack);
    answers.set(`${n} ${event}`, (ack) => {
      const send = () => repeat(sockets.get(n), times, () => ack(...values));
      if (delay === null) send();
      else setTimeout(send, delay);
    });
  },
  state(n, { call }) {
    const { id, connected, active, recovered, io: manager } = sockets.get(n);
    const transport = manager.engine?.transport.name;
    report({ socket: n, call, args: [pack({ id, connected, active, recovered, transport })] });
  },
  raw: (n, { text }) => sockets.get(n).io.engine.write(text),
  frame: (n, { text }) => sockets.get(n).io.engine.transport.ws.send(text),
  connect: (n) => sockets.get(n).connect(),
  move: (n, { url }) => void (sockets.get(n).io.uri = url),
  disconnect: (n) => sockets.get(n).disconnect(),
  reset() {
    for (const socket of sockets.values()) {
      socket.off();
      socket.offAny();
      socket.io.reconnection(false);
      socket.disconnect();
    }
    sockets.clear();
    answers.clear();
  },
  "close engine": (n) => sockets.get(n).io.engine.close(),
};

const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => {
  const command = JSON.parse(line);
  try {
    operations[command.op](command.socket, command);
  } catch (error) {
    report({ socket: command.socket, call: command.call ?? null, error: error.message });
  }
});
lines.on("close", () => process.exit(0));
