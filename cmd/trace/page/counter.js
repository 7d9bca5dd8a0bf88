// Counters as areas. Each column of pixels shows the lowest and highest value that it covers; blocks of 64 values know
// theirs, so that a long counter costs no more than a short one.
import { COUNTER_HEIGHT } from './lanes.js';
import { gallop, lowerBound } from './search_sorted.js';

const BLOCK = 64;

class Extremes {
    constructor(values) {
        this.values = values;
        const n = Math.ceil(values.length / BLOCK);
        this.low = new Float64Array(n).fill(Infinity);
        this.high = new Float64Array(n).fill(-Infinity);
        for (let i = 0; i < values.length; i++) {
            const b = Math.floor(i / BLOCK);
            this.low[b] = Math.min(this.low[b], values[i]);
            this.high[b] = Math.max(this.high[b], values[i]);
        }
    }

    // Of values i..j, j excluded; i < j.
    of(i, j) {
        let low = Infinity, high = -Infinity;
        while (i < j) {
            const whole = i % BLOCK === 0 && i + BLOCK <= j;
            low = Math.min(low, whole ? this.low[i / BLOCK] : this.values[i]);
            high = Math.max(high, whole ? this.high[i / BLOCK] : this.values[i]);
            i += whole ? BLOCK : 1;
        }
        return [low, high];
    }
}

const extremes = new WeakMap();

function extremesOf(trace) {
    if (!extremes.has(trace))
        extremes.set(trace, new Extremes(trace.value));
    return extremes.get(trace);
}

// The largest value, of which the lane is as high.
export function peak(trace, counter) {
    const lo = trace.counter_first[counter], hi = trace.counter_first[counter + 1];
    return lo === hi ? NaN : extremesOf(trace).of(lo, hi)[1];
}

// The value at a moment: the latest before it. NaN: none yet.
export function valueAt(trace, counter, t) {
    const lo = trace.counter_first[counter];
    const i = lowerBound(trace.value_time, lo, trace.counter_first[counter + 1], t + 1) - 1;
    return i >= lo ? trace.value[i] : NaN;
}

// y: of the lane on the canvas.
export function drawCounter(c, drawing, lane, y) {
    const { trace, scene, colours } = drawing;
    const lo = trace.counter_first[lane.counter], hi = trace.counter_first[lane.counter + 1];
    if (lo === hi)
        return;
    const all = extremesOf(trace), [low, high] = all.of(lo, hi);
    const floor = Math.min(0, low), span = Math.max(high - floor, 1e-9), room = COUNTER_HEIGHT - 6;
    const yOf = (v) => y + 3 + room * (1 - (v - floor) / span);
    const perPixel = (scene.view.to - scene.view.from) / scene.width;
    const base = yOf(floor);
    let i = lowerBound(trace.value_time, lo, hi, scene.view.from);
    let level = i > lo ? trace.value[i - 1] : NaN;
    c.fillStyle = colours.counter;
    for (let x = 0; x < scene.width; x++) {
        const j = gallop(trace.value_time, i, hi, scene.view.from + (x + 1) * perPixel);
        let top = level;
        if (j > i) {
            const high = all.of(i, j)[1];
            top = Number.isNaN(level) ? high : Math.max(level, high);
            level = trace.value[j - 1];
            i = j;
        }
        if (!Number.isNaN(top))
            c.fillRect(x, yOf(top), 1, Math.max(1, base - yOf(top)));
    }
}
