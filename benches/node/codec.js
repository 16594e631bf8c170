// Times a parser for bench_codec.py and bench_msgpack.py: node codec.js PACKAGE. A question per line of the input, an answer
// per line of the output.
//   {do: "versions"}                                            the versions of what is timed
//   {do: "prepare", operation, milliseconds, packet, messages}  the answer of one call
//   {do: "time"}                                                nanoseconds a call, one sample; the first time warm
// Bytes are {base64: …} in both directions.
"use strict";
const fs = require("fs");
const path = require("path");

const PACKAGE = process.argv[2];
const { Decoder, Encoder } = require(PACKAGE);

const WARM_UP = 2e8; // nanoseconds; V8 has optimised a function well before

const reviver = (_, value) =>
  value !== null && typeof value === "object" && typeof value.base64 === "string"
    ? Buffer.from(value.base64, "base64")
    : value;

// JSON.stringify calls Buffer's toJSON before a replacer sees the value, so the tree is walked here.
const toBase64 = (value) => {
  if (Buffer.isBuffer(value)) return { base64: value.toString("base64") };
  if (Array.isArray(value)) return value.map(toBase64);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toBase64(item)]));
};

const calls = {
  encode({ packet }) {
    const encoder = new Encoder();
    const { type, nsp, id, data } = packet;
    if (id === null) return () => encoder.encode({ type, nsp, data });
    return () => encoder.encode({ type, nsp, id, data });
  },
  decode({ messages }) {
    const decoder = new Decoder();
    let packet;
    decoder.on("decoded", (decoded) => (packet = decoded));
    return () => {
      for (const message of messages) decoder.add(message);
      return packet;
    };
  },
};

const time = (call, loops) => {
  const start = process.hrtime.bigint();
  for (let i = 0; i < loops; i++) call();
  return Number(process.hrtime.bigint() - start) / loops;
};

let call, loops, nanoseconds;

const warmUp = () => {
  for (let n = 1; ; n *= 4) {
    const each = time(call, n);
    if (each * n > WARM_UP) return Math.max(1, Math.round(nanoseconds / each));
  }
};

const answers = {
  versions: () => ({
    "Node.js": process.version.slice(1),
    [PACKAGE]: JSON.parse(
      // not through require: the package need not export it
      fs.readFileSync(path.join(__dirname, "node_modules", PACKAGE, "package.json"), "utf8"),
    ).version,
  }),
  prepare(question) {
    call = calls[question.operation](question);
    loops = undefined;
    nanoseconds = question.milliseconds * 1e6;
    return toBase64(call());
  },
  time() {
    loops ??= warmUp();
    return time(call, loops);
  },
};

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const question = JSON.parse(line, reviver);
    process.stdout.write(JSON.stringify(answers[question.do](question)) + "\n");
  });
