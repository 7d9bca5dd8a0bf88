// Which lanes there are, in which order, and where each begins: CPUs, counters, collections, tasks, other tracks, then
// threads as the reader sorted and filtered them. Heights are CSS pixels.
import { count } from './format.js';
import { EITHER, LOCK, IO, OTHER, RUNNABLE, RUNNING, SLEEP, WAIT } from './palette.js';

export const SECTION_HEIGHT = 24, STATE_HEIGHT = 14, ROW_HEIGHT = 15, CPU_HEIGHT = 18, COUNTER_HEIGHT = 38;
export const MARK_HEIGHT = 6, PAD = 4;
const TWO_LINES = 36; // a name, and the start function below it
const UNFOLDED_MAX = 4; // rows of tasks: threads come after them
const ROWS_MAX = 24; // of one lane: what lies deeper is in the tables

export const SORTS = {
    start: 'start', name: 'name', running: 'most running', blocked: 'most blocked', wait: 'longest without a CPU',
};

// Threads by `sort`; the sums are of the whole trace, so that the order stays while one looks around.
function sortKeys(trace) {
    const keys = [];
    for (let t = 0; t < trace.nthreads; t++) {
        const times = trace.times(t);
        keys.push({
            running: times[RUNNING] + times[EITHER],
            blocked: times[LOCK] + times[WAIT] + times[IO] + times[SLEEP] + times[OTHER],
            wait: times[RUNNABLE],
        });
    }
    return keys;
}

export class Lanes {
    constructor(trace) {
        this.trace = trace;
        this.sort = 'start';
        this.filter = '';
        this.hidden = new Set();
        this.folded = new Set(trace.taskRows.length > UNFOLDED_MAX ? ['tasks'] : []); // sections
        this.keys = sortKeys(trace);
        this.layout();
    }

    matches(thread) {
        const t = this.trace;
        if (this.hidden.has(thread))
            return false;
        if (!this.filter)
            return true;
        const text = `${t.threadName(thread)} ${t.thread_tid[thread]} ${t.startFunction(thread)}`.toLowerCase();
        return this.filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
    }

    threads() {
        const t = this.trace, keys = this.keys;
        const order = {
            start: (a, b) => t.thread_start[a] - t.thread_start[b] || t.thread_tid[a] - t.thread_tid[b],
            name: (a, b) => t.threadName(a).localeCompare(t.threadName(b), undefined, { numeric: true }) || a - b,
            running: (a, b) => keys[b].running - keys[a].running || a - b,
            blocked: (a, b) => keys[b].blocked - keys[a].blocked || a - b,
            wait: (a, b) => keys[b].wait - keys[a].wait || a - b,
        }[this.sort];
        return Array.from({ length: t.nthreads }, (_, i) => i).filter((i) => this.matches(i)).sort(order);
    }

    layout() {
        const t = this.trace;
        this.list = [];
        this.height = 0;
        this.ofThread = new Map();
        this.#section('cpus', 'CPUs', [...t.cpu_number].map((_, cpu) => ({ kind: 'cpu', cpu, h: CPU_HEIGHT + 2 })));
        this.#section('counters', 'Counters', [...t.counter_name].map((_, counter) =>
            ({ kind: 'counter', counter, h: COUNTER_HEIGHT })));
        this.#section('gc', 'Collections', this.#rowLane('gc', t.gcRows, 'garbage collector'));
        this.#section('tasks', `Tasks (${count(t.task_id.length)})`, this.#rowLane('task', t.taskRows, 'tasks'));
        this.#section('other', 'Other tracks', this.#named(t.otherRows));
        const threads = this.threads();
        const shown = threads.length < t.nthreads ? `${threads.length} of ${t.nthreads}` : `${t.nthreads}`;
        this.#section('threads', `Threads (${shown})`, threads.map((i) => this.#threadLane(i)), true);
    }

    #section(key, name, lanes, always) {
        if (!lanes.length && !always)
            return;
        const folded = this.folded.has(key);
        this.#add({ kind: 'section', key, name, folded, h: SECTION_HEIGHT });
        if (!folded)
            lanes.forEach((lane) => this.#add(lane));
    }

    #add(lane) {
        lane.y = this.height;
        this.height += lane.h;
        this.list.push(lane);
        if (lane.kind === 'thread')
            this.ofThread.set(lane.thread, lane);
    }

    #rowLane(kind, rows, name) {
        if (!rows.length)
            return [];
        const shown = rows.slice(0, ROWS_MAX);
        return [{ kind, name, rows: shown.map((row, i) => ({ row, y: PAD + i * ROW_HEIGHT })),
            more: rows.length - shown.length, h: shown.length * ROW_HEIGHT + 2 * PAD }];
    }

    // Tracks of their own, each with its rows.
    #named(rows) {
        const owners = new Map();
        for (const row of rows) {
            const owner = this.trace.row_owner[row];
            owners.set(owner, [...owners.get(owner) ?? [], row]);
        }
        return [...owners.values()].slice(0, 200).flatMap((list) =>
            this.#rowLane('other', list, this.trace.text(this.trace.row_name[list[0]]) || 'unnamed'));
    }

    #threadLane(thread) {
        const t = this.trace;
        const some = (first) => first[thread + 1] > first[thread];
        const lane = { kind: 'thread', thread, rows: [] };
        let y = PAD;
        if (some(t.thread_mark_first)) {
            lane.marksY = y;
            y += MARK_HEIGHT;
        }
        lane.stateY = y;
        y += STATE_HEIGHT + 1;
        for (const row of t.threadRows[thread].slice(0, ROWS_MAX)) {
            lane.rows.push({ row, y });
            y += ROW_HEIGHT;
        }
        if (some(t.thread_sample_first)) {
            lane.samplesY = y;
            y += MARK_HEIGHT;
        }
        lane.h = Math.max(y + PAD, t.startFunction(thread) ? TWO_LINES : 0);
        return lane;
    }

    // The lane at a height; undefined: below the last.
    at(y) {
        let lo = 0, hi = this.list.length;
        while (lo < hi) {
            const mid = (lo + hi) >>> 1;
            if (this.list[mid].y + this.list[mid].h <= y)
                lo = mid + 1;
            else
                hi = mid;
        }
        return this.list[lo];
    }

    // The lane and the height within it of a slice's row; undefined when it is not shown.
    ofSlice(slice) {
        const row = this.trace.rowOf(slice);
        for (const lane of this.list) {
            const found = lane.rows?.find((r) => r.row === row);
            if (found)
                return { lane, y: lane.y + found.y };
        }
        return undefined;
    }
}
