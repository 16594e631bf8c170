// The Node.js peer of the idle load: node benches/load/serve.js PING_INTERVAL. It prints its port, and the versions.
"use strict";
const fs = require("fs");
const path = require("path");
const { createServer } = require("http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, { pingInterval: Number(process.argv[2]) * 1000 });
io.on("connection", (socket) => socket.on("echo", (value) => socket.emit("echo", value)));

http.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  const folder = path.dirname(require.resolve("socket.io/package.json"));
  const { version } = JSON.parse(fs.readFileSync(path.join(folder, "package.json")));
  console.log(http.address().port);
  console.log(JSON.stringify({ "Node.js": process.version.slice(1), "socket.io": version }));
});
