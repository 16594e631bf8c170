// Times socket.io-adapter for bench_rooms.py: a question per line of the input, an answer per line of the output.
//   {do: "versions"}                                     the versions of what is timed
//   {do: "build", ids, rooms: {name: [first, end, step]}}  sockets and rooms; the adapter of all later questions
//   {do: "prepare", to, all_of, except, milliseconds}    how many sockets one call reaches, and the sum of their numbers
//   {do: "time"}                                         nanoseconds a call, one sample; the first time warm
//   {do: "memory", ids, rooms: [[number of a room, …] for each id]}   bytes a membership; needs --expose-gc
"use strict";
const fs = require("fs");
const path = require("path");
const { Adapter } = require("socket.io-adapter");

const WARM_UP = 2e8; // nanoseconds; V8 has optimised a function well before

const empty = () => new Adapter({ sockets: new Map(), server: { encoder: {} } });

const time = (call, loops) => {
  const start = process.hrtime.bigint();
  for (let i = 0; i < loops; i++) call();
  return Number(process.hrtime.bigint() - start) / loops;
};

let adapter, call, loops, nanoseconds;

const warmUp = () => {
  for (let n = 1; ; n *= 4) {
    const each = time(call, n);
    if (each * n > WARM_UP) return Math.max(1, Math.round(nanoseconds / each));
  }
};

const settled = () => {
  for (let i = 0; i < 3; i++) global.gc();
  return process.memoryUsage().heapUsed;
};

const answers = {
  versions: () => ({
    "Node.js": process.version.slice(1),
    "socket.io-adapter": JSON.parse(
      // not through require: the package does not export it
      fs.readFileSync(path.join(__dirname, "node_modules/socket.io-adapter/package.json"), "utf8"),
    ).version,
  }),
  build({ ids, rooms }) {
    adapter = empty();
    ids.forEach((id, number) => adapter.nsp.sockets.set(id, { id, number }));
    for (const [name, [first, end, step]] of Object.entries(rooms)) {
      for (let n = first; n < end; n += step) adapter.addAll(ids[n], new Set([name]));
    }
    return null;
  },
  prepare(question) {
    nanoseconds = question.milliseconds * 1e6;
    loops = undefined;
    const [first, ...others] = question.all_of;
    const options = { rooms: new Set(question.to), except: new Set(question.except) };
    call = first
      ? () => {
          // The adapter cannot intersect: what an application would write.
          const sockets = [];
          const rooms = others.map((name) => adapter.rooms.get(name));
          for (const sid of adapter.rooms.get(first)) {
            if (rooms.every((room) => room.has(sid))) sockets.push(adapter.nsp.sockets.get(sid));
          }
          return sockets;
        }
      : () => {
          const sockets = [];
          adapter.apply(options, (socket) => sockets.push(socket));
          return sockets;
        };
    const reached = call();
    return [reached.length, reached.reduce((sum, socket) => sum + socket.number, 0)];
  },
  time() {
    loops ??= warmUp();
    return time(call, loops);
  },
  memory({ ids, rooms }) {
    const adapter = empty();
    const names = new Map();
    const name = (number) => {
      if (!names.has(number)) names.set(number, `room${number}`);
      return names.get(number);
    };
    const joined = rooms.map((numbers) => numbers.map(name));
    for (const id of ids) adapter.addAll(id, new Set([id])); // as every socket is in its own room
    const before = settled();
    ids.forEach((id, i) => joined[i].forEach((room) => adapter.addAll(id, new Set([room]))));
    const pairs = joined.reduce((sum, numbers) => sum + numbers.length, 0);
    return (settled() - before) / pairs;
  },
};

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const question = JSON.parse(line);
    process.stdout.write(JSON.stringify(answers[question.do](question)) + "\n");
  });
