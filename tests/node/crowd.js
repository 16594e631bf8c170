// Many official clients of one server, each with the options that it has by default; a line on stdin is a command, its answer a line of
// JSON on stdout. Arguments: the URL, how many, and a transport if it is to be the only one.
//
//   ask     {"pids": {pid: how many}, "failed": n}: what everybody gets for `who`, also who has to connect again before
//   state   {"unknown": how often a session was not known, "disconnects": n, "upgraded": how many are on a WebSocket now}
"use strict";

const http = require("node:http");
const https = require("node:https");
const readline = require("node:readline");
const { io } = require("socket.io-client");

// Each request has a connection of its own, and goes to whichever worker takes it.
http.globalAgent = new http.Agent({ keepAlive: false });
https.globalAgent = new https.Agent({ keepAlive: false });

const [, , url, count, transport] = process.argv;
const options = { forceNew: true, ...(transport ? { transports: [transport] } : {}) };
const sockets = [];
let unknown = 0;
let disconnects = 0;

function look(error) {
  if (`${error?.context?.responseText}`.includes("Session ID unknown")) unknown++;
}

for (let i = 0; i < Number(count); i++) {
  const socket = io(url, options);
  socket.on("connect_error", look);
  socket.on("disconnect", (reason, details) => {
    disconnects++;
    look(details);
  });
  sockets.push(socket);
}

async function who(socket) {
  for (let i = 0; i < 5; i++) {
    try {
      return await socket.timeout(10000).emitWithAck("who", "x".repeat(300));
    } catch {} // it was disconnected in between
  }
  return null;
}

const commands = {
  async ask() {
    const pids = {};
    const answers = await Promise.all(sockets.map(who));
    for (const pid of answers.filter((answer) => answer !== null)) pids[pid] = (pids[pid] ?? 0) + 1;
    return { pids, failed: answers.filter((answer) => answer === null).length };
  },
  state() {
    const upgraded = sockets.filter((socket) => socket.io.engine?.transport.name === "websocket").length;
    return { unknown, disconnects, upgraded };
  },
};

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", async (line) => process.stdout.write(JSON.stringify(await commands[line]()) + "\n"));
lines.on("close", () => process.exit(0));
