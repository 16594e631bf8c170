// The reference parser, or another one whose package is the argument, as an oracle: one JSON request per line on stdin, one JSON answer per line on stdout.
//
//   {"op": "decode", "inputs": [[message, ...], ...]}   a message is a string, or {"b": base64}
//     -> [{"packets": [packet, ...], "error": [index, text] | null}, ...]   a fresh Decoder each, up to the first error
//   {"op": "encode", "inputs": [packet, ...]}
//     -> [[message, ...], ...]
//
// A packet is [type, nsp, id, data]; values are marked as values.js says.
"use strict";

const readline = require("node:readline");
const { Decoder, Encoder } = require(process.argv[2]);
const { pack, unpack } = require("./values.js");

function decode(messages) {
  const decoder = new Decoder();
  const packets = [];
  decoder.on("decoded", (packet) => {
    packets.push([packet.type, packet.nsp, pack(packet.id), pack(packet.data)]);
  });
  for (let i = 0; i < messages.length; i++) {
    try {
      decoder.add(unpack(messages[i]));
    } catch (error) {
      return { packets, error: [i, error.message] };
    }
  }
  return { packets, error: null };
}

function encode([type, nsp, id, data]) {
  const packet = { type, nsp, id: unpack(id), data: unpack(data) };
  return new Encoder().encode(packet).map(pack);
}

const operations = { decode, encode };

readline.createInterface({ input: process.stdin, crlfDelay: Infinity }).on("line", (line) => {
  const { op, inputs } = JSON.parse(line);
  process.stdout.write(JSON.stringify(inputs.map(operations[op])) + "\n");
});
