// Values as JSON with marks for what JSON loses; the Python half is `pack` and `unpack` of tests/support/reference.py.
//
// Objects are {"o": [key, value, ...]}, buffers {"b": base64}, dates {"d": milliseconds}, numbers without a JSON spelling
// {"n": text}, undefined {"u": 1}; everything else is itself.
"use strict";

function pack(value) {
  if (value === undefined) return { u: 1 };
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : { n: String(value) };
  if (Buffer.isBuffer(value)) return { b: value.toString("base64") };
  if (value instanceof ArrayBuffer) return { b: Buffer.from(value).toString("base64") };
  if (value instanceof Date) return { d: value.getTime() };
  if (Array.isArray(value)) return value.map(pack);
  const flat = [];
  // Own keys only, as JSON.parse made them: "__proto__" is one of them.
  for (const key of Object.keys(value)) flat.push(key, pack(value[key]));
  return { o: flat };
}

function unpack(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(unpack);
  if ("b" in value) return Buffer.from(value.b, "base64");
  if ("d" in value) return new Date(value.d);
  if ("n" in value) return Number(value.n);
  if ("u" in value) return undefined;
  const object = {};
  for (let i = 0; i < value.o.length; i += 2) {
    // An assignment to "__proto__" would set the prototype.
    Object.defineProperty(object, value.o[i], {
      value: unpack(value.o[i + 1]),
      configurable: true,
      enumerable: true,
      writable: true,
    });
  }
  return object;
}

module.exports = { pack, unpack };
