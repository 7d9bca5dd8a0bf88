// Sums over a stretch of time, for the threads that are shown: time in each state, and slices by name.
import { CLASSES, STATES } from './palette.js';
import { count, duration, moment, percent } from './format.js';
import { el, jump } from './dom.js';
import { Table } from './table.js';

export function stateTotals(trace, threads, from, to) {
    const sum = new Float64Array(CLASSES);
    for (const thread of threads) {
        const times = trace.times(thread, from, to);
        for (let c = 0; c < CLASSES; c++)
            sum[c] += times[c];
    }
    return sum;
}

// By name: how many slices touch from..to, and how long they are within it.
export function sliceTotals(trace, rows, from, to) {
    const byName = new Map();
    for (const row of rows) {
        const [i, j] = trace.slicesWithin(row, from, to);
        for (let k = i; k < j; k++) {
            const length = Math.min(trace.slice_end[k], to) - Math.max(trace.slice_start[k], from);
            let entry = byName.get(trace.slice_name[k]);
            if (!entry)
                byName.set(trace.slice_name[k], entry = { name: trace.slice_name[k], count: 0, sum: 0, max: -1 });
            entry.count++;
            entry.sum += length;
            if (length > entry.max) {
                entry.max = length;
                entry.longest = k;
            }
        }
    }
    return [...byName.values()];
}

function stateTable(sums, whole) {
    const rows = STATES.map((s, c) => ({ ...s, c, time: sums[c] })).filter((s) => s.time > 0);
    return new Table({ caption: 'Time of the threads shown, by state', sort: 'time', empty: 'No thread lived then.', rows,
        columns: [
            { name: 'state', value: (r) => r.name, show: (r) => el('span', { title: r.what },
                el('span', { class: `chip state-${r.c}` }), r.name) },
            { name: 'time', num: true, value: (r) => r.time, show: (r) => duration(r.time) },
            { name: 'share', num: true, value: (r) => r.time, show: (r) => percent(r.time, whole) },
        ] }).node;
}

function sliceTable(app, entries) {
    const { trace } = app;
    return new Table({ caption: 'Slices by name, as far as they lie in the selection', sort: 'sum', rows: entries,
        empty: 'No slice lies in the selection.', columns: [
            { name: 'slice', value: (r) => trace.text(r.name) },
            { name: 'count', num: true, value: (r) => r.count, show: (r) => count(r.count) },
            { name: 'sum', num: true, value: (r) => r.sum, show: (r) => duration(r.sum) },
            { name: 'avg', num: true, value: (r) => r.sum / r.count, show: (r) => duration(r.sum / r.count) },
            { name: 'max', num: true, value: (r) => r.max, show: (r) => jump(duration(r.max), () => app.toItem({
                type: 'slice', index: r.longest, thread: trace.threadOf(r.longest) }), 'show the longest') },
        ] }).node;
}

export function totalsPanel(app, [from, to]) {
    const { trace, timeline } = app;
    const lanes = timeline.lanes.list.filter((lane) => lane.kind === 'thread' || lane.rows);
    const threads = lanes.filter((lane) => lane.kind === 'thread').map((lane) => lane.thread);
    const rows = lanes.flatMap((lane) => lane.kind === 'thread' ? trace.threadRows[lane.thread] :
        lane.rows.map((r) => r.row));
    const sums = stateTotals(trace, threads, from, to);
    const whole = sums.reduce((a, b) => a + b, 0);
    return [el('section', {}, el('h2', {}, `Selection: ${duration(to - from)}`),
        el('p', { class: 'dim' }, `${moment(from)} to ${moment(to)}, ${threads.length} thread${
            threads.length === 1 ? '' : 's'} shown. `, jump('zoom in (z)', () => timeline.zoomToChosen()), ' · ',
        jump('its threads', () => app.go('threads'))),
        stateTable(sums, whole)), el('section', { class: 'grow' }, sliceTable(app, sliceTotals(trace, rows, from, to)))];
}
