// Locks: for each, who waited for it, who held it meanwhile, and how long. A lock is known by its address and by where
// threads wait for it. Conditions, semaphores and barriers have a table of their own: threads with nothing to do wait there.
import { address, count, duration, moment } from './format.js';
import { el, jump } from './dom.js';
import { LOCK } from './palette.js';
import { NONE } from './trace.js';
import { stackList } from './details.js';
import { Table } from './table.js';

const LONGEST = 20;

function add(map, key, length) {
    const entry = map.get(key) ?? { key, n: 0, sum: 0, max: 0 };
    entry.n++;
    entry.sum += length;
    entry.max = Math.max(entry.max, length);
    map.set(key, entry);
}

// One entry for each lock, condition, semaphore or barrier that somebody waited for.
export function gather(trace, span) {
    const locks = new Map();
    for (let i = 0; i < trace.nslices; i++) {
        if (!trace.touches(i, span) || !trace.hasLock(i))
            continue;
        const key = trace.slice_value[i], length = trace.lengthWithin(i, span);
        let lock = locks.get(key);
        if (!lock)
            locks.set(key, lock = { key, n: 0, sum: 0, max: 0, slices: [], waiters: new Map(), holders: new Map(), wakers: new Map(),
                stacks: new Map(), kinds: new Map() });
        lock.n++;
        lock.sum += length;
        lock.max = Math.max(lock.max, length);
        lock.slices.push(i);
        add(lock.waiters, trace.threadOf(i), length);
        add(lock.holders, trace.slice_holder[i], length);
        add(lock.wakers, trace.slice_waker[i], length);
        add(lock.stacks, trace.slice_stack[i], length);
        add(lock.kinds, trace.slice_name[i], length);
    }
    return [...locks.values()];
}

// Whether it is held by somebody, not signalled.
export function isLock(trace, lock) {
    return trace.classOfName(byTime(lock.kinds)[0].key) === LOCK;
}

// When several threads waited for it at once, for longest by all their time: {threads, from, to}.
export function crowd(trace, lock) {
    const changes = lock.slices.flatMap((i) => [[trace.slice_start[i], 1], [trace.slice_end[i], -1]]);
    changes.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    let n = 0, best = { threads: 0, from: 0, to: 0 };
    changes.forEach(([from, step], i) => {
        n += step;
        const to = changes[i + 1]?.[0] ?? from;
        if (n > 1 && n * (to - from) > best.threads * (best.to - best.from))
            best = { threads: n, from, to };
    });
    return best;
}

const known = (map) => [...map.keys()].some((key) => key !== NONE);
const byTime = (map) => [...map.values()].sort((a, b) => b.sum - a.sum);

const OWN = /(^|\/)prof\/[a-z0-9_]+\.c$/; // libprof's, in a program that has it linked in
const CALLS = /^(__)?(pthread_|sem_|mtx_|cnd_)/, CALL_DEPTH = 8; // how deep below the top a lock call can lie

// The function that called the lock call: where in the program it is.
export function place(trace, stack) {
    const frames = trace.frames(stack);
    const call = frames.slice(0, CALL_DEPTH).findLastIndex((f) => CALLS.test(f.name) || OWN.test(f.file));
    return (frames[call + 1] ?? frames[0])?.name ?? '';
}

function people(app, caption, entries) {
    const { trace } = app;
    const name = (e) => e.key === NONE || e.key < 0 ? 'unknown' : trace.threadLabel(e.key);
    return new Table({ caption, rows: entries, sort: 'time', columns: [
        { name: 'thread', value: name, show: (e) => name(e) === 'unknown' ? name(e) : jump(name(e), () =>
            app.toThread(e.key), 'show it in the timeline') },
        { name: 'waits', num: true, value: (e) => e.n, show: (e) => count(e.n) },
        { name: 'time', num: true, value: (e) => e.sum, show: (e) => duration(e.sum) },
        { name: 'longest', num: true, value: (e) => e.max, show: (e) => duration(e.max) },
    ] }).node;
}

function longest(app, lock) {
    const { trace } = app;
    const rows = [...lock.slices].sort((a, b) => trace.length(b) - trace.length(a)).slice(0, LONGEST);
    const name = (t) => t === NONE || t < 0 ? 'unknown' : trace.threadLabel(t);
    return new Table({ caption: rows.length < lock.n ? `The ${LONGEST} longest waits` : 'All waits', sort: 'waited', rows,
        columns: [
            { name: 'at', value: (i) => trace.slice_start[i], show: (i) => jump(moment(trace.slice_start[i]), () =>
                app.toItem({ type: 'slice', index: i, thread: trace.threadOf(i) }), 'show it in the timeline') },
            { name: 'waited', num: true, value: (i) => trace.length(i), show: (i) => duration(trace.length(i)) },
            { name: 'thread', value: (i) => name(trace.threadOf(i)) },
            { name: 'held by', value: (i) => name(trace.slice_holder[i]) },
            { name: 'woken by', value: (i) => name(trace.slice_waker[i]) },
        ] }).node;
}

function unfolded(app, lock) {
    const stacks = byTime(lock.stacks).slice(0, 3).map((s) => stackList(app.trace, s.key,
        `Where threads waited: ${duration(s.sum)} here`));
    return el('div', { class: 'unfolded' }, people(app, 'Who waited', byTime(lock.waiters)),
        known(lock.holders) ? people(app, 'Who held it when a wait began', byTime(lock.holders)) : '',
        known(lock.wakers) ? people(app, 'Who ended the waits', byTime(lock.wakers)) : '', longest(app, lock),
        ...stacks.filter(Boolean));
}

function table(app, locks, caption, empty) {
    const { trace } = app, top = (map) => byTime(map)[0];
    return new Table({ caption, rows: locks, sort: 'waited', open: (l) => unfolded(app, l), empty, columns: [
        { name: 'address', value: (l) => l.key, show: (l) => el('code', {}, address(l.key)) },
        { name: 'call', value: (l) => trace.text(top(l.kinds).key) },
        { name: 'where', what: 'the function that waits most', value: (l) => place(trace, top(l.stacks).key),
            show: (l) => el('code', {}, place(trace, top(l.stacks).key)) },
        { name: 'waits', num: true, value: (l) => l.n, show: (l) => count(l.n) },
        { name: 'waited', num: true, value: (l) => l.sum, show: (l) => duration(l.sum) },
        { name: 'average', num: true, value: (l) => l.sum / l.n, show: (l) => duration(l.sum / l.n) },
        { name: 'longest', num: true, value: (l) => l.max, show: (l) => duration(l.max) },
        { name: 'threads', what: 'how many threads waited', num: true, value: (l) => l.waiters.size },
    ] });
}

export function build(app, params) {
    const all = gather(app.trace, app.span);
    const locks = all.filter((l) => isLock(app.trace, l)), others = all.filter((l) => !isLock(app.trace, l));
    const tables = [table(app, locks, 'Locks that threads waited for', 'No thread waited for a lock while the trace ran.')];
    if (others.length)
        tables.push(table(app, others, 'Conditions, semaphores and barriers: until another thread signalled, or came'));
    for (const t of tables) {
        const chosen = t.rows.find((l) => address(l.key) === params.get('lock'));
        if (chosen)
            t.unfold(chosen);
    }
    return tables.map((t) => t.node);
}
