// The Node.js server of the cluster: node server.js PORT BROKER_URL PAGE_URL. It has what worker.py beside it has.
"use strict";
const { createServer } = require("node:http");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");
const { Server } = require("socket.io");

const [port, broker, page] = process.argv.slice(2);
const name = `Node.js, port ${port}`;
const ASK_MILLISECONDS = 2000;
const MAX_TEXT = 200;

async function main() {
  const publisher = createClient({ url: broker });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const http = createServer();
  const io = new Server(http, { adapter: createAdapter(publisher, subscriber), cors: { origin: page } });
  io.on("connection", (socket) => {
    socket.on("say", (text) => io.emit("said", String(text).slice(0, MAX_TEXT), name));
    socket.on("ask", (reply) => {
      io.timeout(ASK_MILLISECONDS).emit("who", (error, answers) => reply(answers.map(String).sort()));
    });
    socket.on("count", async (reply) => {
      reply(await io.of("/").adapter.serverCount(), (await io.fetchSockets()).length);
    });
  });
  http.listen(Number(port), "127.0.0.1", () => console.log(name));
}

main();
