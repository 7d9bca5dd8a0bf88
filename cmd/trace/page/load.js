// Fetches the trace: a short JSON description, then columns of numbers that become typed arrays where they lie, so that a
// million events take no parsing. The layout is written by cmd/trace/columns.c.

const MAGIC = 'ctrace1\n';
const TYPES = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f64: Float64Array };

function roomFor(bytes) {
    try {
        return new Uint8Array(bytes);
    } catch {
        throw new Error(`it takes ${Math.round(bytes / 2 ** 20)} MiB, which the browser does not give; ` +
            'bin/trace -summary prints its tables, and a shorter recording fits');
    }
}

// The body in one buffer, with progress: share between 0 and 1.
async function receive(response, progress) {
    const total = Number(response.headers.get('Content-Length'));
    if (!total || !response.body)
        return response.arrayBuffer();
    const whole = roomFor(total);
    const reader = response.body.getReader();
    let at = 0;
    for (;;) {
        const { done, value } = await reader.read();
        if (done)
            break;
        whole.set(value, at);
        at += value.length;
        progress(at / total);
    }
    if (at !== total)
        throw new Error(`the trace's data ended after ${at} of ${total} bytes; is bin/trace still running?`);
    return whole.buffer;
}

export async function fetchColumns(progress) {
    const response = await fetch('data');
    if (!response.ok)
        throw new Error(`the server answered ${response.status}: ${await response.text()}`);
    const buffer = await receive(response, progress);
    const text = new TextDecoder();
    if (text.decode(new Uint8Array(buffer, 0, 8)) !== MAGIC)
        throw new Error('the data is of another version of bin/trace; reload the page');
    const [offset, size] = new BigUint64Array(buffer, 8, 2);
    const meta = JSON.parse(text.decode(new Uint8Array(buffer, Number(offset), Number(size))));
    const columns = {};
    for (const [name, [type, at, n]] of Object.entries(meta.columns))
        columns[name] = new TYPES[type](buffer, at, n);
    return { meta, columns };
}
