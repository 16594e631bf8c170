// The Node.js peer of the loads: node benches/load/peers/serve.js PING_INTERVAL. It prints its port.
"use strict";
const { createServer } = require("http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, { pingInterval: Number(process.argv[2]) * 1000 });
io.on("connection", (socket) => {
  socket.on("echo", (value) => socket.emit("echo", value));
  socket.on("ack", (value, reply) => reply(value));
  socket.on("go", (number, size) => {
    const value = "x".repeat(size);
    for (let i = 0; i < number; i++) io.emit("b", value);
  });
});

http.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => console.log(http.address().port));
