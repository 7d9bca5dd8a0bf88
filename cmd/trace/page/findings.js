// What stands out: a few sentences with figures, each with a link to where it can be seen. Only what the trace says, and
// only when it is large enough to be worth a look.
import { EITHER, LOCK, OTHER, RUNNABLE, RUNNING, WAIT } from './palette.js';
import { byName } from './tasks.js';
import { crowd, gather, isLock, place } from './locks.js';
import { duration, percent } from './format.js';
import { pauses } from './collections.js';
import { quantile } from './histogram.js';
import { SLICE_REGION, SLICE_TASK } from './trace.js';
import { stateTotals } from './totals.js';

const WAITED = 0.1; // of the trace's length: what threads wait for a lock, or for a CPU, before it is worth a word
const STOPPED = 0.01; // of its length: pauses
const TAIL = 5, TAIL_COUNT = 50; // p99 over p50; of at least so many
const LOST = 0.5; // of its life: a thread's last wait

function worstLock(trace) {
    const worst = gather(trace, [0, trace.end]).filter((l) => isLock(trace, l)).sort((a, b) => b.sum - a.sum)[0];
    return worst && worst.sum >= trace.end * WAITED ? worst : null;
}

function waited(trace, worst) {
    if (!worst)
        return null;
    const where = place(trace, [...worst.stacks.values()].sort((a, b) => b.sum - a.sum)[0].key);
    return { text: `${duration(worst.sum)} waited for one lock${where ? `, in ${where}` : ''}`, to: ['locks',
        { lock: `0x${worst.key.toString(16)}` }] };
}

// What a queue looks like: one thread goes on, the others stand.
function queue(trace, worst) {
    const { threads, from, to } = worst ? crowd(trace, worst) : { threads: 0 };
    return threads ? { text: `${threads} threads queued for it at once, here for ${duration(to - from)}`,
        show: [from, to], of: worst.slices.filter((i) => trace.slice_start[i] <= from && trace.slice_end[i] >= to).map((i) =>
            trace.threadOf(i)) } : null;
}

function noCpu(trace) {
    const sums = stateTotals(trace, [...Array(trace.nthreads).keys()], 0, trace.end);
    const ready = sums[RUNNABLE], wanted = ready + sums[RUNNING] + sums[EITHER];
    if (!ready || ready < trace.end * WAITED || ready < wanted * 0.2)
        return null;
    return { text: `ready to run, but without a CPU for ${percent(ready, wanted)} of the time that threads wanted one`,
        to: ['threads'] };
}

const life = (trace, t) => trace.thread_end[t] - trace.thread_start[t];
const kindOf = (trace, t) => trace.startFunction(t) || trace.threadName(t);

// By start function, how long the longest of those lived that ended.
function longestLives(trace) {
    const lives = new Map();
    for (let t = 0; t < trace.nthreads; t++)
        if (trace.thread_end[t] < trace.end)
            lives.set(kindOf(trace, t), Math.max(lives.get(kindOf(trace, t)) ?? 0, life(trace, t)));
    return lives;
}

// How long a thread that began in the trace has been in a wait that goes on to its end; 0: in none.
function lastWait(trace, t) {
    const last = trace.thread_state_first[t + 1] - 1;
    if (last < trace.thread_state_first[t] || trace.thread_start[t] <= 0 || trace.thread_end[t] < trace.end)
        return 0;
    return [LOCK, WAIT, OTHER].includes(trace.state_class[last]) ? trace.state_end[last] - trace.state_start[last] : 0;
}

// Threads that wait to the end, and longer than any of their kind lived that ended: by start function, the most of them.
export function lost(trace) {
    const groups = new Map(), lives = longestLives(trace);
    for (let t = 0; t < trace.nthreads; t++) {
        const name = kindOf(trace, t), wait = lastWait(trace, t);
        if (wait > life(trace, t) * LOST && wait > (lives.get(name) ?? 0))
            groups.set(name, (groups.get(name) ?? 0) + 1);
    }
    const [name, n] = [...groups].sort((a, b) => b[1] - a[1])[0] ?? [];
    return n ? { text: `${n} ${n > 1 ? 'threads' : 'thread'} of ${name} began, then waited and never ran again`,
        filter: name } : null;
}

function tail(trace) {
    const groups = [SLICE_TASK, SLICE_REGION].flatMap((kind) => byName(trace, kind, [0, trace.end])).filter((g) =>
        g.slices.length >= TAIL_COUNT).map((g) => ({ ...g, p50: quantile(g.lengths, 0.5), p99: quantile(g.lengths, 0.99) }));
    const worst = groups.filter((g) => g.p99 > TAIL * g.p50).sort((a, b) => b.sum - a.sum)[0];
    return worst ? { text: `one ${trace.text(worst.name)} in a hundred takes over ${duration(worst.p99)}, half of them ` +
        `under ${duration(worst.p50)}`, to: ['tasks'] } : null;
}

function stops(trace) {
    const list = pauses(trace), total = list.reduce((sum, [a, b]) => sum + b - a, 0);
    return total > trace.end * STOPPED ? { text: `stopped by the collector for ${duration(total)}, ${
        percent(total, trace.end)} of the time`, to: ['collections'] } : null;
}

// [{text, to: [view, parameters]}, {text, filter} or {text, show: [from, to], of: threads}]
export function findings(trace) {
    const worst = worstLock(trace);
    return [waited(trace, worst), queue(trace, worst), ...[noCpu, lost, tail, stops].map((find) => find(trace))].filter(Boolean);
}
