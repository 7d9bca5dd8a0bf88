// What stands out: a few sentences with figures, each with a link to where it can be seen. Only what the trace says, and
// only when it is large enough to be worth a look.
import { gather, place } from './locks.js';
import { EITHER, LOCK, OTHER, RUNNABLE, RUNNING, WAIT } from './palette.js';
import { byName } from './tasks.js';
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
    const worst = gather(trace, [0, trace.end]).filter((l) => trace.classOfName(topName(l)) === LOCK).sort((a, b) =>
        b.sum - a.sum)[0];
    if (!worst || worst.sum < trace.end * WAITED)
        return null;
    const where = place(trace, [...worst.stacks.values()].sort((a, b) => b.sum - a.sum)[0].key);
    return { text: `${duration(worst.sum)} waited for one lock${where ? `, in ${where}` : ''}`, to: ['locks',
        { lock: `0x${worst.key.toString(16)}` }] };
}

const topName = (lock) => [...lock.kinds.values()].sort((a, b) => b.sum - a.sum)[0].key;

function noCpu(trace) {
    const sums = stateTotals(trace, [...Array(trace.nthreads).keys()], 0, trace.end);
    const ready = sums[RUNNABLE], wanted = ready + sums[RUNNING] + sums[EITHER];
    if (ready < trace.end * WAITED || ready < wanted * 0.2)
        return null;
    return { text: `ready to run, but without a CPU for ${percent(ready, wanted)} of the time that threads wanted one`,
        to: ['threads'] };
}

// Threads that began in the trace and whose last wait goes on to its end: by start function, the most of them.
function lost(trace) {
    const groups = new Map();
    for (let t = 0; t < trace.nthreads; t++) {
        const last = trace.thread_state_first[t + 1] - 1, life = trace.thread_end[t] - trace.thread_start[t];
        if (last < trace.thread_state_first[t] || trace.thread_start[t] <= 0 || trace.thread_end[t] < trace.end)
            continue;
        const waits = [LOCK, WAIT, OTHER].includes(trace.state_class[last]);
        if (!waits || trace.state_end[last] - trace.state_start[last] < life * LOST)
            continue;
        const name = trace.startFunction(t) || trace.threadName(t);
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

// [{text, to: [view, parameters]} or {text, filter}]
export function findings(trace) {
    return [worstLock, noCpu, lost, tail, stops].map((find) => find(trace)).filter(Boolean);
}
