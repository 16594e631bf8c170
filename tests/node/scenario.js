// Scenarios on the reference: a Socket.IO server whose program is data. One JSON command per line on stdin, one JSON answer per
// line on stdout, with the number of its command.
//
//   {"op": "start", "options": {…}, "setup": [chain, …]}     a new server on a free port; answers its port
//   {"op": "do", "chain": […]}                               evaluates a chain; answers its result
//   {"op": "take log"}                                       answers what was logged since the last time
//   {"op": "stop"}
//
// tests/support/scenario_server.py is the same for roomcast, and explains chains and actions.
"use strict";

const readline = require("node:readline");
const { createServer } = require("node:http");
const { Namespace, Server, Socket } = require("socket.io");
const { pack, unpack } = require("./values.js");

const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const camel = (name) => name.replace(/_$/, "").replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

class Program {
  constructor(options) {
    this.http = createServer();
    this.io = new Server(this.http, { serveClient: false, ...options });
    this.names = new Map([["io", this.io]]);
    this.log = [];
  }

  // A socket is known by the name that its client gave itself; the newest of a name and a namespace counts.
  meet(socket) {
    const name = socket.handshake.auth.name;
    this.names.set(name + socket.nsp.name, socket);
  }

  tell(value) {
    if (value instanceof Socket) return `<${value.handshake.auth.name}>`;
    if (value === undefined) return null;
    if (value instanceof Namespace) return value.name;
    if (value instanceof Error) return value.data ? ["error", value.message, value.data] : ["error", value.message];
    if (value instanceof Set) return { set: [...value] };
    if (Array.isArray(value) && value.some((item) => item instanceof Socket)) return value.map((item) => this.tell(item)).sort();
    return Array.isArray(value) ? value.map((item) => this.tell(item)) : value;
  }

  value(given, context) {
    if (given === null || typeof given !== "object") return given;
    if (Array.isArray(given)) return given.map((item) => this.value(item, context));
    const [[mark, inner]] = Object.entries(given);
    switch (mark) {
      case "seconds":
        return inner * 1000;
      case "id":
        return this.names.get(inner).id;
      case "regex":
        return new RegExp(inner);
      case "packed":
        return unpack(inner);
      case "handler":
      case "ack":
        return (...args) => this.handle(inner, context, args);
      case "middleware":
        return (socket, next) => {
          this.meet(socket);
          this.run(inner, { ...context, socket }, []).then(() => next(), next);
        };
      case "packet":
        return (event, next) => {
          if (event[0] === "settle") next();
          else this.run(inner, context, event).then(() => next(), next);
        };
      case "predicate":
        return (name, auth, next) => {
          this.run(inner, context, [name]).then((allowed) => next(null, allowed), next);
        };
      default:
        throw new Error(`no such value: ${mark}`);
    }
  }

  handle(actions, context, args) {
    const [first] = args;
    if (first instanceof Socket) {
      this.meet(first);
      context = { ...context, socket: first };
    }
    const ack = typeof args.at(-1) === "function" ? args.pop() : null;
    if (args[0] === "settle") return;
    this.run(actions, context, args).then(
      (result) => result && ack?.(...result),
      () => {},
    );
  }

  // Synchronous as long as nothing waits, as in an async function of JavaScript.
  async run(actions, context, args) {
    let result;
    for (const [verb, ...rest] of actions) {
      if (verb === "log") {
        const [label, count] = rest;
        const told = args.filter((arg) => typeof arg !== "function").slice(0, count ?? undefined);
        this.log.push([label, context.socket ? `<${context.socket.handshake.auth.name}>` : null, ...told.map((arg) => this.tell(arg))]);
      } else if (verb === "return") result = this.value(rest, context);
      else if (verb === "allow") return rest[0];
      else if (verb === "only") {
        if (args[0] !== rest[0]) return result;
      } else if (verb === "wait") await sleep(rest[0]);
      else if (verb === "set") args[rest[0]] = rest[1];
      else if (verb === "refuse") throw Object.assign(new Error(rest[0]), rest.length > 1 ? { data: rest[1] } : {});
      else if (verb === "tell") {
        const told = this.chain(rest[1], context);
        this.log.push([rest[0], this.tell(told instanceof Promise ? await told : told)]);
      }
      else if (verb === "do") this.chain(rest[0], context);
      else throw new Error(`no such action: ${verb}`);
    }
    return result;
  }

  chain([root, ...links], context = {}) {
    let value = root === "socket" ? context.socket : this.names.get(root);
    for (const link of links) {
      if (typeof link === "string") value = value[camel(link)];
      else if (link[0] === "as") this.names.set(link[1], value);
      else value = value[camel(link[0])](...link.slice(1).map((arg) => this.value(arg, context)));
    }
    return value;
  }

  async result(chain) {
    try {
      const value = await this.chain(chain);
      // What emit and join return is no result: true, an operator, or a namespace.
      const plain = ["string", "number"].includes(typeof value) || Array.isArray(value) || value instanceof Set;
      return ["result", plain ? this.tell(value) : null];
    } catch (error) {
      const { message, responses } = error;
      return responses?.length ? ["error", message, responses] : ["error", message];
    }
  }
}

let program;

const operations = {
  async start({ options, setup }) {
    program = new Program(options);
    for (const chain of setup) program.chain(chain);
    await new Promise((done) => program.http.listen(0, "127.0.0.1", done));
    return program.http.address().port;
  },
  do: async ({ chain }) => program.result(chain).then(pack),
  "take log": async () => pack(program.log.splice(0)),
  stop: async () => void program.io.close(),
};

const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", async (line) => {
  const { number, ...command } = JSON.parse(line);
  let answer;
  try {
    answer = { number, result: (await operations[command.op](command)) ?? null };
  } catch (error) {
    answer = { number, error: error.stack };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
lines.on("close", () => process.exit(0));
