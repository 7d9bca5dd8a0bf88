// Numbers as people read them.

const UNITS = [['s', 1e9], ['ms', 1e6], ['µs', 1e3]];

// Three significant digits and a unit: 1.23 ms. Above a minute, minutes and seconds.
export function duration(ns) {
    if (!Number.isFinite(ns))
        return '-';
    const size = Math.abs(ns);
    if (size >= 60e9) {
        const seconds = Math.round(ns / 1e9);
        return `${Math.trunc(seconds / 60)} min ${Math.abs(seconds % 60)} s`;
    }
    for (const [unit, scale] of UNITS)
        if (size >= scale * 0.9995)
            return `${significant(ns / scale)} ${unit}`;
    return `${significant(ns)} ns`;
}

function significant(v) {
    const size = Math.abs(v);
    if (size >= 999.5 || size === 0)
        return String(Math.round(v));
    return v.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2).replace(/\.?0+$/, (z) =>
        z.includes('.') ? '' : z);
}

// The same in two digits, for where three figures stand side by side.
export function brief(ns) {
    for (const [unit, scale] of UNITS)
        if (ns >= scale * 0.995)
            return `${ns >= scale * 9.95 ? Math.round(ns / scale) : (ns / scale).toFixed(1)} ${unit}`;
    return `${Math.round(ns)} ns`;
}

// A moment, exact enough to find it again: seconds since the trace began.
export function moment(ns) {
    return `${(ns / 1e9).toFixed(6)} s`;
}

// A label on the ruler: in the unit of the last of them, with as many digits as tell it from its neighbour.
export function tick(ns, stepNs, lastNs) {
    const [unit, scale] = UNITS.find(([, s]) => lastNs >= s) ?? ['ns', 1];
    const digits = Math.max(0, Math.min(9, -Math.floor(Math.log10(stepNs / scale) + 1e-9)));
    return `${(ns / scale).toFixed(digits)} ${unit}`;
}

export function count(n) {
    return Math.round(n).toString().replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

export function percent(part, whole) {
    if (!(whole > 0))
        return '-';
    const p = 100 * part / whole;
    return p > 0 && p < 0.1 ? '< 0.1 %' : `${p >= 99.95 || p === 0 ? p.toFixed(0) : p.toFixed(1)} %`;
}

export function address(a) {
    return `0x${a.toString(16)}`;
}

export function bytes(n) {
    for (const [unit, scale] of [['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 1024]])
        if (Math.abs(n) >= scale)
            return `${significant(n / scale)} ${unit}`;
    return `${n} bytes`;
}

// A counter's value in its own unit.
export function quantity(v, unit) {
    if (unit === 'bytes')
        return bytes(v);
    if (unit === 'ns')
        return duration(v);
    const text = Number.isInteger(v) ? count(v) : v.toPrecision(4);
    return unit ? `${text} ${unit}` : text;
}
