// Thread analysis: what the threads of each start function did, and each thread by itself.
import { CLASSES, EITHER, UNKNOWN, IO, LOCK, OTHER, RUNNABLE, RUNNING, SLEEP, STATES, WAIT } from './palette.js';
import { Table, figure } from './table.js';
import { brief, count, duration } from './format.js';
import { el, jump } from './dom.js';
import { SLICE_SYSCALL, Trace } from './trace.js';

const SHOWN = [RUNNING, RUNNABLE, LOCK, WAIT, IO, SLEEP, OTHER, EITHER, UNKNOWN];

// Number, shortest and longest stretch in each class, as far as they lie within the span.
function stretches(trace, thread, span) {
    const n = new Float64Array(CLASSES), min = new Float64Array(CLASSES).fill(Infinity), max = new Float64Array(CLASSES);
    const [lo, hi] = trace.statesWithin(thread, ...span);
    for (let i = lo; i < hi; i++) {
        const c = trace.state_class[i], length = Trace.overlap(trace.state_start[i], trace.state_end[i], span);
        n[c]++;
        min[c] = Math.min(min[c], length);
        max[c] = Math.max(max[c], length);
    }
    return { n, min, max };
}

function systemCalls(trace, thread, span) {
    const out = { n: 0, time: 0 };
    for (const row of trace.threadRows[thread])
        for (let [i, end] = trace.slicesWithin(row, ...span); i < end; i++)
            if (trace.slice_kind[i] === SLICE_SYSCALL) {
                out.n++;
                out.time += trace.lengthWithin(i, span);
            }
    return out;
}

function analyse(trace, span) {
    return Array.from({ length: trace.nthreads }, (_, thread) => ({
        thread, times: trace.times(thread, ...span), ...stretches(trace, thread, span),
        calls: systemCalls(trace, thread, span),
        life: Trace.overlap(trace.thread_start[thread], trace.thread_end[thread], span),
    })).filter((row) => row.life > 0);
}

function grouped(trace, rows) {
    const groups = new Map();
    for (const row of rows) {
        const name = trace.startFunction(row.thread) || (trace.thread_tid[row.thread] === trace.meta.pid ? 'main' :
            `(${trace.threadName(row.thread)})`); // it began before the trace did, or is none of the program's
        groups.set(name, [...groups.get(name) ?? [], row]);
    }
    return [...groups].map(([name, threads]) => ({ name, threads }));
}

// The columns of states that some row has.
function used(rows) {
    return SHOWN.filter((c) => rows.some((r) => r.times[c] > 0));
}

function spread(values) {
    const sum = values.reduce((a, b) => a + b, 0);
    if (values.length < 2 || !sum)
        return '';
    return `${brief(Math.min(...values))} / ${brief(sum / values.length)} / ${brief(Math.max(...values))}`;
}

function groupColumn(name, what, valueOf) {
    return { name, what, num: true, value: (g) => g.threads.reduce((a, r) => a + valueOf(r), 0),
        show: (g) => {
            const sum = g.threads.reduce((a, r) => a + valueOf(r), 0);
            return figure(sum ? duration(sum) : '-', spread(g.threads.map(valueOf)));
        } };
}

function groupTable(app, rows) {
    const { trace } = app;
    return new Table({ caption: 'By start function: total, and below it the least, average and most of its threads',
        rows: grouped(trace, rows), sort: 'threads', empty: 'There are no threads.',
        open: (g) => threadTable(app, g.threads, `Threads of ${g.name}`), columns: [
            { name: 'start function', value: (g) => g.name, show: (g) => el('code', {}, g.name) },
            { name: 'threads', num: true, value: (g) => g.threads.length, show: (g) => count(g.threads.length) },
            ...used(rows).map((c) => groupColumn(STATES[c].name, STATES[c].what, (r) => r.times[c])),
            groupColumn('system calls', 'time within system calls that were recorded', (r) => r.calls.time),
            groupColumn('lifetime', 'from start to end, as far as the trace knows', (r) => r.life),
        ] }).node;
}

function stateColumn(c) {
    return { name: STATES[c].name, what: STATES[c].what, num: true, value: (r) => r.times[c],
        show: (r) => r.n[c] ? el('span', { title: `${count(r.n[c])} times` }, figure(duration(r.times[c]), `${
            brief(r.min[c])} / ${brief(r.times[c] / r.n[c])} / ${brief(r.max[c])}`)) : '-' };
}

function threadTable(app, rows, caption) {
    const { trace } = app;
    return new Table({ caption, rows, sort: used(rows).includes(RUNNING) ? 'running' : 'lifetime', columns: [
        { name: 'thread', value: (r) => trace.threadName(r.thread), show: (r) => figure(jump(trace.threadName(r.thread),
            () => app.toThread(r.thread), 'show it in the timeline'), String(trace.thread_tid[r.thread])) },
        ...used(rows).map(stateColumn),
        { name: 'system calls', num: true, value: (r) => r.calls.time, show: (r) => figure(r.calls.n ?
            duration(r.calls.time) : '-', r.calls.n ? `${count(r.calls.n)}×` : '') },
        { name: 'lifetime', num: true, value: (r) => r.life, show: (r) => duration(r.life) },
    ] }).node;
}

export function build(app) {
    const rows = analyse(app.trace, app.span);
    return [groupTable(app, rows), threadTable(app, rows,
        'Every thread: time in each state, and below it the shortest, average and longest stretch'),
    el('p', { class: 'dim' }, used(rows).map((c) => `${STATES[c].name}: ${STATES[c].what}`).join('. '), '.')];
}
