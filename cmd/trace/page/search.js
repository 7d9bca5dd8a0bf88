// Search: threads by name, number or start function; slices by name, by lock address, by a function in their stack; log
// messages; CPU samples by function. What is found is walked through in the order of time.
import { count } from './format.js';
import { itemOf } from './hit.js';
import { SLICE_BLOCK } from './trace.js';

// The strings that contain the text, as a mask.
function matchStrings(trace, needle) {
    const mask = new Uint8Array(trace.texts.length);
    for (let i = 1; i < mask.length; i++)
        mask[i] = trace.text(i).toLowerCase().includes(needle) ? 1 : 0;
    return mask;
}

function matchStacks(trace, strings) {
    const mask = new Uint8Array(trace.stack_first.length - 1);
    for (let s = 0; s < mask.length; s++)
        for (let i = trace.stack_first[s]; i < trace.stack_first[s + 1] && !mask[s]; i++)
            mask[s] = strings[trace.frame_function[trace.stack_frame[i]]];
    return mask;
}

// A lock's address is matched whole. NaN: the text is none.
function lockAddress(needle) {
    return /^0x[0-9a-f]{3,16}$/.test(needle) ? Number(needle) : NaN;
}

// What was found, in columns and in no order: a million finds are sorted by nobody, the next one is looked for instead.
class Finds {
    constructor(parts) {
        const n = parts.reduce((sum, p) => sum + p.mask.reduce((a, b) => a + b, 0), 0);
        this.at = new Float64Array(n);
        this.index = new Uint32Array(n);
        this.type = new Uint8Array(n);
        this.length = 0;
        parts.forEach((part, type) => this.#add(part, type));
    }

    #add({ mask, times }, type) {
        for (let i = 0; i < mask.length; i++)
            if (mask[i]) {
                const k = this.length++;
                this.at[k] = times[i];
                this.index[k] = i;
                this.type[k] = type;
            }
    }

    #before(a, b) {
        return this.at[a] < this.at[b] || (this.at[a] === this.at[b] && a < b);
    }

    // The one after (by 1) or before (by -1) another in time, and round again; -1 when there is none at all.
    next(current, by) {
        let best = -1, edge = -1; // edge: the first, or the last, of all
        for (let k = 0; k < this.length; k++) {
            const after = by > 0 ? this.#before(current, k) : this.#before(k, current);
            if (current !== k && after && (best < 0 || (by > 0 ? this.#before(k, best) : this.#before(best, k))))
                best = k;
            if (edge < 0 || (by > 0 ? this.#before(k, edge) : this.#before(edge, k)))
                edge = k;
        }
        return best < 0 ? edge : best;
    }

    // The first that is not before a time.
    from(t) {
        let best = -1;
        for (let k = 0; k < this.length; k++)
            if (this.at[k] >= t && (best < 0 || this.#before(k, best)))
                best = k;
        return best < 0 ? this.next(-1, 1) : best;
    }

    // How many come before it.
    rank(k) {
        let n = 0;
        for (let i = 0; i < this.length; i++)
            n += this.#before(i, k) ? 1 : 0;
        return n;
    }
}

const TYPES = ['thread', 'slice', 'mark', 'sample'];

function matchThreads(trace, strings, needle) {
    return Uint8Array.from({ length: trace.nthreads }, (_, t) =>
        strings[trace.thread_name[t]] || strings[trace.thread_start_function[t]] ||
        String(trace.thread_tid[t]) === needle || trace.threadName(t).toLowerCase().includes(needle) ? 1 : 0);
}

export function search(trace, text) {
    const needle = text.trim().toLowerCase();
    if (!needle)
        return null;
    const strings = matchStrings(trace, needle), stacks = matchStacks(trace, strings), lock = lockAddress(needle);
    const slices = new Uint8Array(trace.nslices);
    for (let i = 0; i < trace.nslices; i++)
        if (strings[trace.slice_name[i]] || stacks[trace.slice_stack[i]] ||
            (trace.slice_value[i] === lock && trace.slice_kind[i] === SLICE_BLOCK))
            slices[i] = 1;
    const finds = new Finds([
        { mask: matchThreads(trace, strings, needle), times: trace.thread_start },
        { mask: slices, times: trace.slice_start },
        { mask: maskOf(trace.mark_name, strings), times: trace.mark_time },
        { mask: maskOf(trace.sample_stack, stacks), times: trace.sample_time },
    ]);
    return { finds, slices, at: -1, text: needle };
}

function maskOf(column, mask) {
    const out = new Uint8Array(column.length);
    for (let i = 0; i < column.length; i++)
        out[i] = mask[column[i]];
    return out;
}

// The box in the toolbar.
export class SearchBox {
    constructor(app, { input, status, next, previous }) {
        Object.assign(this, { app, input, status });
        input.addEventListener('input', () => this.#later());
        input.addEventListener('keydown', (e) => {
            if (e.key === 'Enter')
                this.step(e.shiftKey ? -1 : 1);
        });
        next.addEventListener('click', () => this.step(1));
        previous.addEventListener('click', () => this.step(-1));
    }

    #later() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.run(), 120);
    }

    run() {
        clearTimeout(this.timer);
        const { app } = this;
        this.result = search(app.trace, this.input.value);
        app.timeline.found = this.result?.finds.length ? this.result.slices : null;
        app.timeline.redraw();
        this.#say();
    }

    #say() {
        const { result } = this;
        this.status.textContent = !result ? '' : !result.finds.length ? 'nothing found' :
            result.at < 0 ? `${count(result.finds.length)} found` :
                `${count(result.finds.rank(result.at) + 1)} of ${count(result.finds.length)}`;
    }

    step(by) {
        const { app } = this;
        if (this.input.value.trim().toLowerCase() !== (this.result?.text ?? ''))
            this.run();
        if (!this.result?.finds.length)
            return;
        const { finds, at } = this.result;
        this.result.at = at >= 0 ? finds.next(at, by) : finds.from(app.timeline.view.from);
        const type = TYPES[finds.type[this.result.at]], index = finds.index[this.result.at];
        if (type === 'thread')
            app.toThread(index);
        else
            app.toItem(itemOf(app.trace, `${type}-${index}`));
        this.#say();
    }
}
