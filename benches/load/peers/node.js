// The Node.js server of a cluster: node benches/load/peers/node.js classic|sharded|streams BROKER_URL. As node.py beside it.
"use strict";
const { createServer } = require("http");
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
const streams = require("@socket.io/redis-streams-adapter");
const { createClient } = require("redis");
const { Server } = require("socket.io");

const [kind, url] = process.argv.slice(2);

const now = () => Number(process.hrtime.bigint());

async function main() {
  const publisher = createClient({ url });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const http = createServer();
  const adapters = {
    classic: () => createAdapter(publisher, subscriber),
    sharded: () => createShardedAdapter(publisher, subscriber),
    streams: () => streams.createAdapter(publisher),
  };
  const io = new Server(http, { adapter: adapters[kind]() });
  io.on("connection", (socket) => {
    socket.on("join", (room, reply) => {
      socket.join(room);
      reply();
    });
    socket.on("pace", (room, rate, seconds, reply) => {
      const start = now();
      let done = 0;
      const timer = setInterval(() => {
        const elapsed = (now() - start) / 1e9;
        if (elapsed >= seconds) {
          clearInterval(timer);
          reply(done);
          return;
        }
        for (const due = Math.floor(elapsed * rate); done < due; done++) io.to(room).emit("b", now());
      }, 1);
    });
  });
  http.listen({ port: 0, host: "127.0.0.1" }, () => console.log(http.address().port));
}

main();
