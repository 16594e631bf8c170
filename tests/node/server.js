// The reference under remote control: Socket.IO servers, for requests whose bytes matter. One JSON command per line on stdin,
// one JSON answer per line on stdout.
//
//   {"op": "start", "options": {…}}     a server on a free port: {"server": n, "port": p}. Options are the reference's, and
//                                       "refuse": true | text for allowRequest, "broken": true for a middleware that fails,
//                                       "broken_id": true for ids that fail, "headers": {…} to set in both header events
//   {"op": "log", "server": n}          what happened there since the last time: [["disconnect", reason], …]
//   {"op": "stop", "server": n}
//
// What the servers do is what tests/support/targets.py does in Python.
"use strict";

const { createServer } = require("node:http");
const readline = require("node:readline");
const { Server } = require("socket.io");

const servers = [];

function allowRequest(refuse) {
  return (request, callback) => callback(refuse === true ? null : refuse, false);
}

function handle(io, log) {
  io.engine.on("connection_error", ({ code, message, context }) => {
    log.push(["connection_error", code, message, context]);
  });
  io.on("connection", (socket) => {
    socket.on("disconnect", (reason) => log.push(["disconnect", reason]));
    socket.on("echo", (...args) => socket.emit("echo", ...args));
    socket.on("note", (...args) => log.push(["note", ...args]));
    socket.on("enter", (room, done) => {
      socket.join(room);
      done();
    });
    socket.on("tell", (room, ...args) => (room ? io.to(room) : io).emit(...args));
    socket.on("close", () => socket.conn.close());
    socket.on("last words", (...args) => {
      socket.emit("last words", ...args);
      socket.conn.close();
    });
  });
}

const operations = {
  start({ options: { refuse, broken, broken_id, headers, ...options } }, answer) {
    const log = [];
    const http = createServer();
    if (refuse) options.allowRequest = allowRequest(refuse);
    const io = new Server(http, { serveClient: false, ...options });
    if (broken) io.engine.use((request, response, next) => next(new Error("broken")));
    if (broken_id) io.engine.generateId = () => Promise.reject(new Error("broken"));
    if (headers) {
      io.engine.on("initial_headers", (all) => Object.assign(all, { "x-initial": headers.value }));
      io.engine.on("headers", (all) => Object.assign(all, { "x-each": headers.value }));
    }
    handle(io, log);
    http.listen(0, "127.0.0.1", () => {
      servers.push({ io, log });
      answer({ server: servers.length - 1, port: http.address().port });
    });
  },
  log({ server }, answer) {
    answer(servers[server].log.splice(0));
  },
  stop({ server }, answer) {
    servers[server].io.close();
    answer(null);
  },
};

const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => {
  const command = JSON.parse(line);
  operations[command.op](command, (result) => process.stdout.write(JSON.stringify(result) + "\n"));
});
lines.on("close", () => process.exit(0));
