// Collections: when the collector ran, how long the program stood still, and how much of any stretch of time was left to
// it (minimum mutator utilisation: the worst window of each length).
import { bytes, count, duration, moment } from './format.js';
import { el, jump, svg } from './dom.js';
import { Table } from './table.js';
import { lowerBound, upperBound } from './search_sorted.js';
import { SLICE_GC, SLICE_STOP } from './trace.js';

const WIDTH = 640, HEIGHT = 180, LEFT = 46, BOTTOM = 24, WINDOWS = 60;

function slicesOf(trace, kind) {
    const out = [];
    for (const row of trace.gcRows)
        for (let i = trace.row_first[row]; i < trace.row_first[row + 1]; i++)
            if (trace.slice_kind[i] === kind)
                out.push(i);
    return out.sort((a, b) => trace.slice_start[a] - trace.slice_start[b]);
}

// Pauses, by start and not overlapping: [[start, end]].
export function pauses(trace) {
    const out = [];
    for (const i of slicesOf(trace, SLICE_STOP)) {
        const start = trace.slice_start[i], end = trace.slice_end[i], last = out.at(-1);
        if (last && start <= last[1])
            last[1] = Math.max(last[1], end);
        else
            out.push([start, end]);
    }
    return out;
}

// The least share of any window of a length that was not paused. The worst window begins where a pause begins or ends
// where one ends.
export function leastUtilisation(list, length, end) {
    const starts = list.map((p) => p[0]), ends = list.map((p) => p[1]), sums = [0];
    list.forEach((p, i) => sums.push(sums[i] + p[1] - p[0]));
    const paused = (from) => {
        const i = upperBound(ends, 0, ends.length, from), j = lowerBound(starts, i, starts.length, from + length);
        return i >= j ? 0 : sums[j] - sums[i] - Math.max(0, from - starts[i]) - Math.max(0, ends[j - 1] - from - length);
    };
    let worst = 0;
    for (const [a, b] of list)
        for (const from of [a, b - length])
            worst = Math.max(worst, paused(Math.min(Math.max(from, 0), Math.max(0, end - length))));
    return Math.max(0, 1 - worst / length);
}

function curve(trace, list) {
    const low = 1e5, high = Math.max(low * 10, trace.end); // 100 µs to all of it
    const x = (w) => LEFT + (WIDTH - LEFT - 8) * Math.log(w / low) / Math.log(high / low);
    const y = (u) => 8 + (HEIGHT - BOTTOM - 8) * (1 - u);
    const points = Array.from({ length: WINDOWS + 1 }, (_, k) => {
        const w = low * (high / low) ** (k / WINDOWS);
        return `${x(w).toFixed(1)},${y(leastUtilisation(list, w, trace.end)).toFixed(1)}`;
    });
    const text = (tx, ty, content, anchor) => {
        const node = svg('text', { x: tx, y: ty, class: 'axis', 'text-anchor': anchor });
        node.textContent = content;
        return node;
    };
    const grid = [0, 0.25, 0.5, 0.75, 1].flatMap((u) => [svg('line', { x1: LEFT, x2: WIDTH - 8, y1: y(u), y2: y(u),
        class: 'grid' }), text(LEFT - 6, y(u) + 4, `${u * 100} %`, 'end')]);
    for (let w = low; w <= high; w *= 10)
        grid.push(text(x(w), HEIGHT - 6, duration(w), 'middle'));
    return svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: 'curve', role: 'img',
        'aria-label': 'Least share of time left to the program, by length of the window' }, ...grid,
    svg('polyline', { points: points.join(' '), class: 'line' }));
}

function argument(trace, slice, name) {
    return trace.args(slice).find(([n]) => n === name)?.[1] ?? NaN;
}

export function build(app) {
    const { trace } = app, list = pauses(trace), gcs = slicesOf(trace, SLICE_GC);
    const stopped = (i) => list.reduce((sum, [a, b]) => sum + Math.max(0, Math.min(b, trace.slice_end[i]) -
        Math.max(a, trace.slice_start[i])), 0);
    const rows = gcs.map((i) => ({ i, stopped: stopped(i), live: argument(trace, i, 'live'), goal: argument(trace, i,
        'goal') }));
    const total = list.reduce((sum, [a, b]) => sum + b - a, 0);
    const size = (name) => ({ name, num: true, value: (r) => r[name], show: (r) => Number.isNaN(r[name]) ? '-' :
        bytes(r[name]) });
    return [el('p', {}, `${count(gcs.length)} collection${gcs.length === 1 ? '' : 's'}; the program stood still for ${duration(total)} of ${
        duration(trace.end)}, at most ${duration(Math.max(0, ...list.map(([a, b]) => b - a)))} at a time.`),
    list.length ? el('figure', {}, el('figcaption', {}, 'Minimum mutator utilisation: in the worst window of a length, ' +
        'the share of time that the program could run'), curve(trace, list)) : null,
    new Table({ caption: 'Every collection', rows, sort: 'number', columns: [
        { name: 'number', value: (r) => trace.slice_value[r.i] },
        { name: 'at', num: true, value: (r) => trace.slice_start[r.i], show: (r) => jump(moment(trace.slice_start[r.i]),
            () => app.toItem({ type: 'slice', index: r.i, thread: -1 }), 'show it in the timeline') },
        { name: 'took', num: true, value: (r) => trace.length(r.i), show: (r) => duration(trace.length(r.i)) },
        { name: 'stopped', num: true, value: (r) => r.stopped, show: (r) => duration(r.stopped) },
        size('live'), size('goal'),
    ] }).node];
}
