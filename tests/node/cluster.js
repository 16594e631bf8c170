// A Node.js server in a cluster, with the official adapter, and the official emitter beside it, under remote control: one JSON command
// per line on stdin, one JSON report per line on stdout. The Python half is tests/support/node_cluster.py.
//
//   argv: the URL of the broker, or those of members of a Redis Cluster with commas between, and which adapter: "classic", "sharded" with a subscription mode behind a slash, or "streams" with
//     nothing, "sharded" or "several" behind one; a third one, "recover", for connection state recovery
//   first report: {"port": p}
//   {"call": k, "op": "emit", "nsp": …, "choice": {"to": […], "except": […], "volatile": b, "compress": b}, "args": […]}
//   … "ask" (with "timeout"), "fetch", "join" and "leave" (with "rooms"), "disconnect" (with "close"), "serverSideEmit",
//   "serverSideAsk", "count", "tell" (to the socket "sid"), "broadcast" (from the socket "sid"), "rooms" (of the node), "heard"
//   (server-side events since the last time)
//   {"call": k, "emitter": true, "op": …}       the same through @socket.io/redis-emitter
//
// Reports: {"call": k, "result": …} or {"call": k, "error": text}. Arguments are marked as values.js says.
"use strict";

const { createServer } = require("node:http");
const readline = require("node:readline");
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
const { createAdapter: createStreamsAdapter } = require("@socket.io/redis-streams-adapter");
const { Emitter } = require("@socket.io/redis-emitter");
const { createClient, createCluster } = require("redis");
const { Server } = require("socket.io");
const { pack, unpack } = require("./values.js");

function report(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

function chosen(target, { to = [], except = [], volatile = false, compress = true }) {
  let operator = target;
  if (to.length) operator = operator.to(to);
  if (except.length) operator = operator.except(except);
  if (volatile) operator = operator.volatile;
  if (!compress) operator = operator.compress(false);
  return operator;
}

function describe(socket) {
  const { id, handshake, rooms, data } = socket;
  return { id, auth: handshake.auth, url: handshake.url, rooms: [...rooms], data };
}

async function main() {
  const urls = process.argv[2].split(",");
  const pub = urls.length > 1 ? createCluster({ rootNodes: urls.map((url) => ({ url })) }) : createClient({ url: urls[0] });
  const sub = pub.duplicate();
  for (const client of [pub, sub]) client.on("error", () => {});
  process.on("unhandledRejection", () => {}); // the adapter waits for nothing that it publishes
  await Promise.all([pub.connect(), sub.connect()]);
  const http = createServer();
  const [kind, subscriptionMode] = process.argv[3].split("/");
  const adapters = {
    classic: () => createAdapter(pub, sub, { requestsTimeout: 1000 }),
    sharded: () => createShardedAdapter(pub, sub, { subscriptionMode }),
    streams: () =>
      createStreamsAdapter(pub, {
        useShardedPubSub: subscriptionMode === "sharded",
        streamCount: subscriptionMode === "several" ? 4 : 1,
      }),
  };
  const connectionStateRecovery = process.argv[4] === "recover" ? {} : undefined;
  const io = new Server(http, { adapter: adapters[kind](), connectionStateRecovery });
  const emitter = new Emitter(pub);
  const heard = [];

  for (const name of ["/", "/chat"]) {
    const nsp = io.of(name);
    nsp.on("connection", (socket) => {
      socket.on("settle", (done) => done());
      socket.data = socket.handshake.auth.data ?? {};
      for (const room of socket.handshake.auth.rooms ?? []) socket.join(room);
    });
    nsp.on("sum", (...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : null;
      heard.push([name, ...args.map(pack)]);
      if (ack) ack(args.reduce((a, b) => a + b));
    });
    nsp.on("bytes", (...args) => heard.push([name, ...args.map(pack)]));
  }

  const operations = {
    emit: (target, { args }) => void target.emit(...args.map(unpack)),
    ask: (target, { args, timeout }) =>
      new Promise((resolve) =>
        target.timeout(timeout).emit(...args.map(unpack), (error, answers) => resolve([error?.message ?? null, answers.map(pack)])),
      ),
    fetch: async (target) => (await target.fetchSockets()).map(describe),
    join: (target, { rooms }) => void target.socketsJoin(rooms),
    leave: (target, { rooms }) => void target.socketsLeave(rooms),
    disconnect: (target, { close }) => void target.disconnectSockets(close),
    serverSideEmit: (target, { args }) => void target.serverSideEmit(...args.map(unpack)),
    serverSideAsk: async (target, { args }) => (await target.serverSideEmitWithAck(...args.map(unpack))).map(pack),
  };
  const others = {
    tell: (nsp, { sid, args }) => void nsp.sockets.get(sid).emit(...args.map(unpack)),
    count: (nsp) => nsp.adapter.serverCount(),
    broadcast: (nsp, { sid, args }) => void nsp.sockets.get(sid).broadcast.emit(...args.map(unpack)),
    rooms: (nsp) => [...nsp.adapter.rooms.keys()],
    allRooms: async (nsp) => [...(await nsp.adapter.allRooms())],
    heard: () => heard.splice(0),
  };

  const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
  lines.on("line", async (line) => {
    const command = JSON.parse(line);
    try {
      const { op, nsp, choice = {} } = command;
      let result;
      if (op in others) result = await others[op](io.of(nsp), command);
      else if (command.emitter) result = await operations[op](chosen(nsp === "/" ? emitter : emitter.of(nsp), choice), command);
      else result = await operations[op](chosen(io.of(nsp), choice), command);
      report({ call: command.call, result: result ?? null });
    } catch (error) {
      report({ call: command.call, error: String(error.message ?? error) });
    }
  });
  lines.on("close", () => process.exit(0));
  http.listen(0, "127.0.0.1", () => report({ port: http.address().port }));
}

main();
