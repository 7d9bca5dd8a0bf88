// The trace as the page uses it: the columns, and what is worked out once when it opens. Times are nanoseconds since the
// trace began. Things are known by their index: thread 3, slice 1200.
//
// Slices lie in rows (the slices of one thread at one depth; tasks that do not overlap), by start, so that no two of a
// row overlap and every place can be found by halving.
import { CLASSES, EITHER, UNKNOWN, OTHER, RUNNABLE, RUNNING, classOfCall } from './palette.js';
import { lowerBound, upperBound } from './search_sorted.js';

export const NONE = 0xffffffff;
export const ROW_THREAD = 0, ROW_TASK = 1, ROW_GC = 2, ROW_OTHER = 3;
export const SLICE_OTHER = 0, SLICE_BLOCK = 1, SLICE_SYSCALL = 2, SLICE_REGION = 3, SLICE_TASK = 4, SLICE_GC = 5,
    SLICE_STOP = 6;
export const MARK_LOG = 2, MARK_START = 3, MARK_EXIT = 4;

const KIND_RUNNING = 0, KIND_RUNNABLE = 1, KIND_BLOCKED = 2, KIND_ACTIVE = 3;
const STEP = 32; // states between two running sums

export class Trace {
    constructor({ meta, columns }) {
        this.meta = meta;
        this.end = meta.duration_ns;
        Object.assign(this, columns);
        this.decoder = new TextDecoder();
        this.texts = new Array(this.string_offset.length - 1);
        this.nthreads = this.thread_tid.length;
        this.nslices = this.slice_start.length;
        this.nrows = this.row_kind.length;
        this.#classes();
        this.#sums();
        this.#rows();
    }

    text(id) {
        return this.texts[id] ??= this.decoder.decode(
            this.string_byte.subarray(this.string_offset[id], this.string_offset[id + 1]));
    }

    // The class of each string as a call's name, and with it of each state.
    #classes() {
        const known = new Uint8Array(this.texts.length).fill(255);
        this.classOfName = (id) => {
            if (known[id] === 255)
                known[id] = classOfCall(this.text(id));
            return known[id];
        };
        const { state_kind: kinds, state_slice: slices, slice_name: names } = this;
        const fixed = [RUNNING, RUNNABLE, OTHER, EITHER, UNKNOWN];
        const out = this.state_class = new Uint8Array(kinds.length);
        for (let i = 0; i < kinds.length; i++)
            out[i] = kinds[i] === KIND_BLOCKED && slices[i] !== NONE ? this.classOfName(names[slices[i]]) :
                fixed[kinds[i]];
    }

    // Running sums of the time in each class, at every STEPth state: any stretch of any thread is added up at once.
    #sums() {
        const { state_class: kinds, state_start: starts, state_end: ends } = this;
        const marks = this.marks = new Float64Array((Math.floor(kinds.length / STEP) + 1) * CLASSES);
        const sum = new Float64Array(CLASSES);
        for (let i = 0; i < kinds.length; i++) {
            if (i % STEP === 0)
                marks.set(sum, i / STEP * CLASSES);
            sum[kinds[i]] += ends[i] - starts[i];
        }
        if (kinds.length % STEP === 0)
            marks.set(sum, kinds.length / STEP * CLASSES);
        const lengths = this.slice_sum = new Float64Array(this.nslices + 1);
        for (let i = 0; i < this.nslices; i++)
            lengths[i + 1] = lengths[i] + this.slice_end[i] - this.slice_start[i];
    }

    #rows() {
        this.threadRows = Array.from({ length: this.nthreads }, () => []);
        this.taskRows = [];
        this.gcRows = [];
        this.otherRows = [];
        const lists = [null, this.taskRows, this.gcRows, this.otherRows];
        for (let r = 0; r < this.nrows; r++)
            (this.row_kind[r] === ROW_THREAD ? this.threadRows[this.row_owner[r]] : lists[this.row_kind[r]]).push(r);
    }

    rowOf(slice) {
        return upperBound(this.row_first, 0, this.nrows, slice) - 1;
    }

    // The thread a slice lies on; -1 when it lies on none.
    threadOf(slice) {
        const row = this.rowOf(slice);
        return this.row_kind[row] === ROW_THREAD ? this.row_owner[row] : -1;
    }

    threadName(i) {
        return this.text(this.thread_name[i]) || `thread ${this.thread_tid[i]}`;
    }

    // A name that tells it from the others: with its number where they are called the same.
    threadLabel(i) {
        this.sameName ??= this.thread_name.reduce((map, id) => map.set(id, (map.get(id) ?? 0) + 1), new Map());
        const name = this.threadName(i);
        return this.sameName.get(this.thread_name[i]) > 1 ? `${name} ${this.thread_tid[i]}` : name;
    }

    startFunction(i) {
        return this.text(this.thread_start_function[i]);
    }

    // Adds states i..j (whole) into `out`, one number for each class.
    #addWhole(i, j, out) {
        const { state_class: kinds, state_start: starts, state_end: ends, marks } = this;
        if (j - i > 2 * STEP) {
            const a = Math.ceil(i / STEP), b = Math.floor(j / STEP);
            for (let c = 0; c < CLASSES; c++)
                out[c] += marks[b * CLASSES + c] - marks[a * CLASSES + c];
            this.#addWhole(i, a * STEP, out);
            i = b * STEP;
        }
        for (; i < j; i++)
            out[kinds[i]] += ends[i] - starts[i];
    }

    // The same of the parts of i..j that lie within from..to: only the ends can stick out.
    addStates(i, j, from, to, out) {
        if (i >= j)
            return;
        this.#addWhole(i, j, out);
        const { state_class: kinds, state_start: starts, state_end: ends } = this;
        out[kinds[i]] -= Math.max(0, from - starts[i]);
        out[kinds[j - 1]] -= Math.max(0, ends[j - 1] - to);
    }

    statesOf(thread) {
        return [this.thread_state_first[thread], this.thread_state_first[thread + 1]];
    }

    // The states of a thread that touch from..to, as a range of indices.
    statesWithin(thread, from, to) {
        const [lo, hi] = this.statesOf(thread);
        const i = upperBound(this.state_end, lo, hi, from);
        return [i, lowerBound(this.state_start, i, hi, to)];
    }

    // Time of a thread in each class between from and to.
    times(thread, from = 0, to = this.end) {
        const out = new Float64Array(CLASSES);
        const [i, j] = this.statesWithin(thread, from, to);
        this.addStates(i, j, from, to, out);
        return out;
    }

    stateAt(thread, t) {
        const [lo, hi] = this.statesOf(thread);
        const i = upperBound(this.state_start, lo, hi, t) - 1;
        return i >= lo && this.state_end[i] > t ? i : -1;
    }

    // The slices of a row that touch from..to.
    slicesWithin(row, from, to) {
        const lo = this.row_first[row], hi = this.row_first[row + 1];
        const i = upperBound(this.slice_end, lo, hi, from);
        return [i, lowerBound(this.slice_start, i, hi, to)];
    }

    sliceAt(row, t) {
        const lo = this.row_first[row];
        const i = upperBound(this.slice_start, lo, this.row_first[row + 1], t) - 1;
        return i >= lo && this.slice_end[i] >= t ? i : -1;
    }

    // The innermost slice of one of the kinds around a moment of a thread; -1: none.
    innermost(thread, t, kinds) {
        let found = -1;
        for (const row of this.threadRows[thread]) {
            const i = this.sliceAt(row, t);
            if (i >= 0 && kinds.includes(this.slice_kind[i]))
                found = i;
        }
        return found;
    }

    // The CPU that a thread runs on at a moment; -1: none, or nobody knows.
    cpuAt(thread, t) {
        for (let c = 0; c < this.cpu_number.length; c++) {
            const i = upperBound(this.run_start, this.cpu_first[c], this.cpu_first[c + 1], t) - 1;
            if (i >= this.cpu_first[c] && this.run_end[i] > t && this.run_thread[i] === thread)
                return c;
        }
        return -1;
    }

    // A stack's functions, innermost first.
    frames(stack) {
        const out = [];
        for (let i = this.stack_first[stack]; i < this.stack_first[stack + 1]; i++) {
            const f = this.stack_frame[i];
            out.push({ name: this.text(this.frame_function[f]), file: this.text(this.frame_file[f]),
                line: this.frame_line[f] });
        }
        return out;
    }

    // What was given with a slice beside the fields that have a column.
    args(slice) {
        const out = [];
        let i = this.slice_args[slice];
        if (i === NONE)
            return out;
        do
            out.push([this.text(this.arg_name[i]),
                this.arg_is_text[i] ? this.text(this.arg_value[i]) : this.arg_value[i]]);
        while (!this.arg_last[i++]);
        return out;
    }

    // How much of an interval lies between from and to.
    static overlap(start, end, [from, to]) {
        return Math.max(0, Math.min(end, to) - Math.max(start, from));
    }

    lengthWithin(slice, span) {
        return Trace.overlap(this.slice_start[slice], this.slice_end[slice], span);
    }

    touches(slice, [from, to]) {
        return this.slice_start[slice] < to && this.slice_end[slice] > from;
    }

    // Its value is the address of a lock, a condition, a semaphore or a barrier; a join waits for a thread.
    hasLock(slice) {
        return this.slice_kind[slice] === SLICE_BLOCK && this.slice_has_value[slice] && this.slice_value[slice] &&
            this.text(this.slice_name[slice]) !== 'join';
    }

    length(slice) {
        return this.slice_end[slice] - this.slice_start[slice];
    }
}
