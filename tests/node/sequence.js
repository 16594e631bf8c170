// Sends and receives numbered events while the transport is upgraded at a moment of our choosing.
//
//   node sequence.js URL COUNT DELAY_MS     prints one JSON object: what arrived, in order, and which transport it ended on
"use strict";

const { io } = require("socket.io-client");

const [url, count, delay] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
// With upgrade: false the client does not probe by itself; the probe is the one it would have made.
const socket = io(url, { reconnection: false, upgrade: false });
const received = [];
let answered;

const payload = (n) => (n % 10 ? n : [n, Buffer.from(String(n))]);
const number = (value) => {
  if (typeof value === "number") return value;
  const [n, buffer] = value;
  if (buffer.toString() !== String(n)) throw new Error(`attachment of ${n} is ${buffer}`);
  return n;
};

function finish(error) {
  const transport = socket.io.engine?.transport.name;
  process.stdout.write(JSON.stringify({ received, answered, transport, error }) + "\n");
  process.exit(0);
}

socket.on("number", (value) => received.push(number(value)));
socket.on("connect_error", (error) => finish(`connect_error: ${error.message}`));
socket.on("disconnect", (reason) => finish(`disconnect: ${reason}`));
socket.on("connect", () => {
  setTimeout(() => socket.io.engine._probe("websocket"), delay);
  socket.emit("start", count);
  let next = 0;
  // In bursts, with turns of the event loop between them, so that the upgrade falls anywhere.
  (function burst() {
    const end = Math.min(count, next + 1 + Math.floor(Math.random() * 200));
    while (next < end) socket.emit("number", payload(next++));
    if (next < count) setTimeout(burst, Math.random() * 3);
    else socket.emit("end", (numbers) => ((answered = numbers), wait()));
  })();
  const wait = () => {
    const done = received.length >= count && socket.io.engine.transport.name === "websocket";
    if (done) finish();
    else setTimeout(wait, 5);
  };
});
setTimeout(() => finish("time-out"), 15000);
