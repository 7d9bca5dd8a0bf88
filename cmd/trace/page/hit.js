// What lies under the pointer. An item is {type, index} with the thread or CPU it was found on; as text (in the page's
// address) it is `slice-12`.
import { MARK_HEIGHT, ROW_HEIGHT, STATE_HEIGHT } from './lanes.js';
import { lowerBound } from './search_sorted.js';
import { duration, moment, quantity } from './format.js';
import { NONE } from './trace.js';
import { STATES } from './palette.js';
import { valueAt } from './counter.js';

// The index in lo..hi of the time nearest to t, when it is at most `reach` away; -1 otherwise.
function nearest(times, lo, hi, t, reach) {
    const i = lowerBound(times, lo, hi, t);
    const best = i < hi && (i === lo || times[i] - t < t - times[i - 1]) ? i : i - 1;
    return best >= lo && Math.abs(times[best] - t) <= reach ? best : -1;
}

// An interval of lo..hi around t, or one within `reach`: what is thinner than a pixel can be clicked, too.
function around(starts, ends, lo, hi, t, reach) {
    const i = lowerBound(ends, lo, hi, t);
    if (i < hi && starts[i] <= t)
        return i;
    if (i < hi && starts[i] - t <= reach)
        return i;
    return i > lo && t - ends[i - 1] <= reach ? i - 1 : -1;
}

function within(y, top, height) {
    return y >= top && y < top + height;
}

function hitThread(trace, lane, y, t, reach) {
    const thread = lane.thread, of = (first) => [first[thread], first[thread + 1]];
    if (lane.marksY !== undefined && within(y, lane.marksY, MARK_HEIGHT)) {
        const i = nearest(trace.mark_time, ...of(trace.thread_mark_first), t, 3 * reach);
        return i < 0 ? null : { type: 'mark', index: i, thread };
    }
    if (lane.samplesY !== undefined && within(y, lane.samplesY, MARK_HEIGHT)) {
        const i = nearest(trace.sample_time, ...of(trace.thread_sample_first), t, 3 * reach);
        return i < 0 ? null : { type: 'sample', index: i, thread };
    }
    if (within(y, lane.stateY, STATE_HEIGHT)) {
        const i = trace.stateAt(thread, t);
        return i < 0 ? null : { type: 'state', index: i, thread };
    }
    return hitRows(trace, lane, y, t, reach);
}

function hitRows(trace, lane, y, t, reach) {
    const found = lane.rows.find((r) => within(y, r.y, ROW_HEIGHT));
    if (!found)
        return null;
    const [lo, hi] = [trace.row_first[found.row], trace.row_first[found.row + 1]];
    const i = around(trace.slice_start, trace.slice_end, lo, hi, t, reach);
    return i < 0 ? null : { type: 'slice', index: i, thread: lane.thread };
}

// y: in the list of lanes; reach: ns of two pixels.
export function hit(trace, lanes, y, t, reach) {
    const lane = lanes.at(y);
    if (!lane || lane.kind === 'section')
        return null;
    if (lane.kind === 'thread')
        return hitThread(trace, lane, y - lane.y, t, reach);
    if (lane.kind === 'counter')
        return { type: 'counter', index: lane.counter, t };
    if (lane.kind === 'cpu') {
        const [lo, hi] = [trace.cpu_first[lane.cpu], trace.cpu_first[lane.cpu + 1]];
        const i = around(trace.run_start, trace.run_end, lo, hi, t, reach);
        return i < 0 ? null : { type: 'run', index: i, cpu: lane.cpu };
    }
    return hitRows(trace, lane, y - lane.y, t, reach);
}

// In a few words, for the box at the pointer.
export function describe(trace, item) {
    const i = item.index;
    switch (item.type) {
    case 'slice':
        return `${trace.text(trace.slice_name[i])}: ${duration(trace.length(i))}`;
    case 'state': {
        const slice = trace.state_slice[i];
        const on = slice === NONE ? '' : ` (${trace.text(trace.slice_name[slice])})`;
        return `${STATES[trace.state_class[i]].name}${on}: ${duration(trace.state_end[i] - trace.state_start[i])}`;
    }
    case 'run':
        return `${trace.run_thread[i] === NONE ? 'another process' : trace.threadLabel(trace.run_thread[i])}: ${
            duration(trace.run_end[i] - trace.run_start[i])} on this CPU`;
    case 'mark':
        return `${trace.text(trace.mark_name[i])} at ${moment(trace.mark_time[i])}`;
    case 'sample':
        return `CPU sample: ${trace.frames(trace.sample_stack[i])[0]?.name ?? 'no stack'}`;
    case 'thread':
        return `thread ${trace.threadLabel(i)}`;
    case 'counter': {
        const unit = trace.text(trace.counter_unit[i]), v = valueAt(trace, i, item.t);
        return `${trace.text(trace.counter_name[i])}: ${Number.isNaN(v) ? 'no value yet' : quantity(v, unit)}`;
    }
    }
    return '';
}

export function itemText(item) {
    return item && item.type !== 'counter' ? `${item.type}-${item.index}` : '';
}

const COLUMNS = { slice: 'slice_start', state: 'state_start', run: 'run_start', mark: 'mark_time', sample: 'sample_time',
    thread: 'thread_start' };
const FIRSTS = { state: 'thread_state_first', mark: 'thread_mark_first', sample: 'thread_sample_first', run: 'cpu_first' };

// Back from text; null for what is not in this trace.
export function itemOf(trace, text) {
    const [, type, digits] = /^(slice|state|run|mark|sample|thread)-(\d{1,9})$/.exec(text ?? '') ?? [];
    const index = Number(digits);
    if (!type || index >= trace[COLUMNS[type]].length)
        return null;
    if (type === 'slice')
        return { type, index, thread: trace.threadOf(index) };
    if (type === 'thread')
        return { type, index, thread: index };
    const first = trace[FIRSTS[type]];
    const owner = lowerBound(first, 0, first.length, index + 1) - 1;
    return type === 'run' ? { type, index, cpu: owner } : { type, index, thread: owner };
}

export function timesOf(trace, item) {
    const i = item.index;
    switch (item.type) {
    case 'slice': return [trace.slice_start[i], trace.slice_end[i]];
    case 'state': return [trace.state_start[i], trace.state_end[i]];
    case 'run': return [trace.run_start[i], trace.run_end[i]];
    case 'mark': return [trace.mark_time[i], trace.mark_time[i]];
    case 'sample': return [trace.sample_time[i], trace.sample_time[i]];
    case 'thread': return [trace.thread_start[i], trace.thread_end[i]];
    default: return [item.t, item.t];
    }
}
