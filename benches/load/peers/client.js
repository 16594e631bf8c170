// The official client under load: node benches/load/peers/client.js PORT WORKLOAD SECONDS. As client.py.
"use strict";
const { io } = require("socket.io-client");

const [port, workload, seconds] = process.argv.slice(2);
const [IN_FLIGHT, ASKED, WARMING] = [8, 10000, 500];
const url = `http://127.0.0.1:${port}`;
const options = { transports: ["websocket"], forceNew: true };

async function idle(count) {
  const connect = () =>
    new Promise((done) => {
      const socket = io(url, options);
      socket.on("connect", () => done(socket));
    });
  const sockets = [];
  for (let i = 0; i < 10; i++) sockets.push(await connect());
  global.gc();
  const before = process.memoryUsage.rss();
  const cpu = process.cpuUsage();
  for (let at = 0; at < count; at += 50) sockets.push(...(await Promise.all(Array.from({ length: Math.min(50, count - at) }, connect))));
  const used = process.cpuUsage(cpu);
  await new Promise((done) => setTimeout(done, 1000));
  global.gc();
  console.log(JSON.stringify({ count, memory: process.memoryUsage.rss() - before, cpu: (used.user + used.system) / 1e6 }));
  process.exit();
}

if (workload === "idle") {
  idle(Number(seconds));
} else {
  let count = 0;
  const socket = io(url, options);
  socket.on("echo", (value) => {
    count++;
    socket.emit("echo", value);
  });
  socket.on("b", () => {
    count++;
    if (count % ASKED === 0) socket.emit("go", ASKED);
  });
  socket.on("connect", () => {
    if (workload === "flood") socket.emit("go", ASKED);
    else for (let i = 0; i < IN_FLIGHT; i++) socket.emit("echo", "x".repeat(32));
    setTimeout(() => {
      const [from, cpu, start] = [count, process.cpuUsage(), performance.now()];
      setTimeout(() => {
        const used = process.cpuUsage(cpu);
        console.log(JSON.stringify({ count: count - from, cpu: (used.user + used.system) / 1e6, elapsed: (performance.now() - start) / 1e3 }));
        process.exit();
      }, seconds * 1000);
    }, WARMING);
  });
}
