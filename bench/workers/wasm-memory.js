// The memory of the Wasm instance. Import this before the Worker: it remembers the memory when the Worker creates its
// instance.

let memory;

WebAssembly.Instance = class extends WebAssembly.Instance {
  constructor(...parameters) {
    super(...parameters);
    memory = this.exports.memory;
  }
};

/** Returns the size in bytes, which never shrinks. */
export const wasmMemory = () => memory.buffer.byteLength;
