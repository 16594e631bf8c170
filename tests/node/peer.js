// A Socket.IO server for the tests of the client. One JSON command per line on stdin, one JSON answer per line on stdout.
//
//   {"op": "start", "options": {…}, "port": p}       a server: {"server": n, "port": p}; options are the reference's
//   {"op": "log", "server": n}                       what happened there since the last time
//   {"op": "emit", "server": n, "nsp": "/", "args": […], "volatile": false}   emits to everybody there
//   {"op": "drop", "server": n}                      ends every line at once, without a word
//   {"op": "stop", "server": n}
//
// What the servers do is what tests/support/peer_program.py does in Python, which explains it.
"use strict";

const readline = require("node:readline");
const { appendFileSync } = require("node:fs");
const { createServer } = require("node:http");
const { Server } = require("socket.io");
const { pack, unpack } = require("./values.js");

const servers = [];

function serve(nsp, log) {
  nsp.on("connection", (socket) => {
    const { auth, headers, query } = socket.handshake;
    log.push(["connection", nsp.name, auth, socket.recovered]);
    socket.on("disconnect", (reason) => log.push(["disconnect", nsp.name, reason]));
    socket.on("echo", (...args) => socket.emit("echo", ...args));
    socket.on("answer", (...args) => args.pop()(...args));
    socket.on("later", (milliseconds, value, done) => setTimeout(() => done(value), milliseconds));
    socket.on("mute", () => log.push(["mute"]));
    socket.on("note", (...args) => {
      const done = typeof args.at(-1) === "function" ? args.pop() : () => {};
      log.push(["note", ...args]);
      done();
    });
    socket.on("store", (path, value, done) => {
      appendFileSync(path, JSON.stringify(value) + "\n");
      done();
    });
    socket.on("ask", (...args) => socket.emit(...args, (...answer) => log.push(["answer", ...answer])));
    socket.on("burst", (count) => {
      for (let number = 0; number < count; number++) socket.emit("number", number);
    });
    socket.on("handshake", (done) => done({ headers, query, auth }));
    socket.on("leave", () => socket.disconnect());
    socket.on("close", () => socket.conn.close());
    socket.on("volatile", (...args) => socket.volatile.emit(...args));
  });
}

const operations = {
  start({ options, port }, answer) {
    const log = [];
    const lines = new Set();
    const http = createServer();
    http.on("connection", (line) => {
      lines.add(line);
      line.on("close", () => lines.delete(line));
    });
    const io = new Server(http, { serveClient: false, ...options });
    for (const name of ["/", "/chat", "/late"]) serve(io.of(name), log);
    serve(io.of("/guarded").use((socket, next) => {
      if (socket.handshake.auth.token === "yes") return next();
      next(Object.assign(new Error("no entry"), { data: { wanted: "token" } }));
    }), log);
    serve(io.of("/early").use((socket, next) => {
      socket.emit("early", 1);
      socket.emit("early", 2);
      setTimeout(next, 20);
    }), log);
    serve(io.of("/slow").use((socket, next) => setTimeout(next, 100)), log);
    http.listen(port, "127.0.0.1", () => {
      servers.push({ io, log, lines });
      answer({ server: servers.length - 1, port: http.address().port });
    });
  },
  log({ server }, answer) {
    answer(servers[server].log.splice(0).map(pack));
  },
  emit({ server, nsp, args, volatile }, answer) {
    const to = servers[server].io.of(nsp);
    (volatile ? to.volatile : to).emit(...args.map(unpack));
    answer(null);
  },
  drop({ server }, answer) {
    for (const line of servers[server].lines) line.destroy();
    answer(null);
  },
  stop({ server }, answer) {
    servers[server].io.close();
    for (const line of servers[server].lines) line.destroy();
    answer(null);
  },
};

const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => {
  const command = JSON.parse(line);
  operations[command.op](command, (result) => process.stdout.write(JSON.stringify(result) + "\n"));
});
lines.on("close", () => process.exit(0));
