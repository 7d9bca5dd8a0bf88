// The panel below the timeline: what the chosen item is, where it was, and where to look next.
import { el, jump } from './dom.js';
import { address, bytes, duration, moment, percent } from './format.js';
import { STATES } from './palette.js';
import { NONE, SLICE_BLOCK, SLICE_GC, SLICE_REGION, SLICE_SYSCALL, SLICE_TASK } from './trace.js';
import { timesOf } from './hit.js';

const FRAMES_SHOWN = 40, PARTS_SHOWN = 30;

export function stackList(trace, stack, title = 'Stack') {
    const frames = trace.frames(stack);
    if (!frames.length)
        return null;
    const lines = frames.slice(0, FRAMES_SHOWN).map((f) => el('li', {}, el('code', {}, f.name || '?'),
        f.file ? el('span', { class: 'dim', title: f.file }, ` ${f.file.replace(/.*\//, '')}${
            f.line ? `:${f.line}` : ''}`) : null));
    return el('section', { class: 'stack' }, el('h3', {}, title), el('ol', {}, ...lines));
}

export class Details {
    constructor(app) {
        this.app = app;
        this.trace = app.trace;
        // The contract with the reader: what the kernel did not tell is said to be so.
        this.inferred = this.trace.meta.notices.some((n) => n.startsWith('wakeups are inferred')) ? ' (inferred)' : '';
    }

    // The panel's content for an item.
    build(item) {
        const parts = this[`_${item.type}`](item);
        return [el('section', {}, el('h2', {}, parts.title), el('dl', {}, ...parts.rows.filter(Boolean).flatMap(
            ([name, ...value]) => [el('dt', {}, name), el('dd', {}, ...value)])), parts.note ?
            el('p', { class: 'dim' }, parts.note) : null), ...(parts.more ?? []).filter(Boolean)];
    }

    threadLink(thread, t, text) {
        const { trace, app } = this;
        if (thread === NONE || thread < 0)
            return 'unknown';
        const name = text ?? `${trace.threadName(thread)} (${trace.thread_tid[thread]})`;
        return jump(name, () => app.toMoment(thread, t), `show what ${trace.threadName(thread)} did then`);
    }

    sliceLink(slice, text) {
        return jump(text, () => this.app.toItem({ type: 'slice', index: slice, thread: this.trace.threadOf(slice) }));
    }

    #when(item) {
        const [start, end] = timesOf(this.trace, item);
        return end > start ? [['duration', el('b', {}, duration(end - start))], ['start', moment(start)],
            ['end', moment(end)]] : [['at', moment(start)]];
    }

    // ---- slices

    _slice(item) {
        const { trace } = this, i = item.index, kind = trace.slice_kind[i], thread = item.thread;
        const rows = [...this.#when(item), thread >= 0 ? ['thread', this.threadLink(thread, trace.slice_start[i])] : null];
        if (kind === SLICE_BLOCK)
            rows.push(...this.#lock(i));
        if (kind === SLICE_SYSCALL && trace.slice_has_value[i])
            rows.push(['descriptor', String(trace.slice_value[i])]);
        if (kind === SLICE_GC && trace.slice_has_value[i])
            rows.push(['number', String(trace.slice_value[i])]);
        if (kind === SLICE_REGION || kind === SLICE_TASK)
            rows.push(this.#task(i));
        rows.push(...trace.args(i).map(([name, value]) => [name, this.#argument(name, value)]));
        if (trace.slice_waker[i] !== NONE)
            rows.push(['woken by', this.threadLink(trace.slice_waker[i], trace.slice_wake[i]),
                ` at ${moment(trace.slice_wake[i])}${this.inferred}`]);
        return { title: trace.text(trace.slice_name[i]), rows, note: this.#flags(i),
            more: [thread >= 0 ? this.#spent(thread, trace.slice_start[i], trace.slice_end[i]) : null,
                stackList(trace, trace.slice_stack[i], kind === SLICE_BLOCK ? 'Where it waited' : 'Stack'),
                stackList(trace, trace.slice_wake_stack[i], 'Where it was woken from'),
                kind === SLICE_TASK ? this.#parts(i) : null] };
    }

    // The regions that a task went through, on whichever thread.
    #parts(task) {
        const { trace } = this, id = trace.slice_value[task], found = [];
        for (let i = 0; i < trace.nslices && found.length < PARTS_SHOWN; i++)
            if (trace.slice_kind[i] === SLICE_REGION && trace.slice_value[i] === id && trace.slice_has_value[i])
                found.push(i);
        if (!id || !found.length)
            return null;
        found.sort((a, b) => trace.slice_start[a] - trace.slice_start[b]);
        return el('section', {}, el('h3', {}, 'Its regions'), el('ol', {}, ...found.map((i) => el('li', {},
            this.sliceLink(i, trace.text(trace.slice_name[i])), ` ${duration(trace.length(i))} on ${
                trace.threadLabel(trace.threadOf(i))}`))));
    }

    #lock(i) {
        const { trace, app } = this, rows = [], value = trace.slice_value[i];
        if (trace.hasLock(i))
            rows.push(['lock', jump(address(value), () => app.go('locks', { lock: address(value) }),
                'all who waited for it')]);
        if (trace.slice_holder[i] !== NONE)
            rows.push(['held by', this.threadLink(trace.slice_holder[i], trace.slice_start[i]), ' when the wait began']);
        return rows;
    }

    #task(i) {
        const { trace } = this, id = trace.slice_value[i];
        if (!trace.slice_has_value[i] || !id)
            return null;
        const index = trace.task_id.indexOf(id);
        const slice = index < 0 ? NONE : trace.task_slice[index];
        if (slice === NONE || slice === i)
            return ['task', `${id}`];
        return ['task', this.sliceLink(slice, `${trace.text(trace.slice_name[slice])} ${id}`)];
    }

    #argument(name, value) {
        if (typeof value === 'number' && (name === 'live' || name === 'goal'))
            return bytes(value);
        return String(value);
    }

    #flags(i) {
        const flags = this.trace.slice_flags[i];
        if (flags & 1)
            return 'It began before the trace did.';
        return flags & 2 ? 'It had not ended when the trace did.' : null;
    }

    // What the thread did during a stretch of time.
    #spent(thread, from, to) {
        const times = this.trace.times(thread, from, to);
        const rows = STATES.map((s, c) => [s, times[c], c]).filter(([, t]) => t > 0);
        if (!rows.length)
            return null;
        return el('section', {}, el('h3', {}, 'What the thread did'), el('dl', { class: 'spent' },
            ...rows.flatMap(([s, t, c]) => [el('dt', {}, el('span', { class: `chip state-${c}` }), s.name),
                el('dd', {}, `${duration(t)}, ${percent(t, to - from)}`)])));
    }

    // ---- the others

    _thread(item) {
        const { trace } = this, i = item.index, creator = trace.thread_creator[i];
        const rows = [['number', String(trace.thread_tid[i])], trace.startFunction(i) ? ['start function',
            el('code', {}, trace.startFunction(i))] : null, ...this.#when(item), creator === NONE ? null :
            ['created by', this.threadLink(creator, trace.thread_start[i])]];
        return { title: trace.threadName(i), rows, more: [this.#spent(i, trace.thread_start[i], trace.thread_end[i]),
            stackList(trace, trace.thread_stack[i], 'Where it was created')] };
    }

    _state(item) {
        const { trace } = this, i = item.index, state = STATES[trace.state_class[i]];
        const slice = trace.state_slice[i], rows = this.#when(item);
        rows.push(['thread', this.threadLink(item.thread, trace.state_start[i])]);
        const cpu = trace.cpuAt(item.thread, trace.state_start[i]);
        if (cpu >= 0)
            rows.push(['on', `CPU ${trace.cpu_number[cpu]}`]);
        if (slice !== NONE) {
            rows.push(['waits in', this.sliceLink(slice, trace.text(trace.slice_name[slice]))]);
            rows.push(...this.#lock(slice));
            if (trace.slice_waker[slice] !== NONE)
                rows.push(['woken by', this.threadLink(trace.slice_waker[slice], trace.slice_wake[slice])]);
        }
        return { title: state.name, rows, note: `${state.what}.`,
            more: [slice === NONE ? null : stackList(trace, trace.slice_stack[slice], 'Where it waited')] };
    }

    _run(item) {
        const { trace } = this, i = item.index, thread = trace.run_thread[i];
        const rows = [...this.#when(item), ['thread', thread === NONE ? 'of another process' :
            this.threadLink(thread, trace.run_start[i])]];
        return { title: `On CPU ${trace.cpu_number[item.cpu]}`, rows };
    }

    _mark(item) {
        const { trace } = this, i = item.index, category = trace.text(trace.mark_category[i]);
        const rows = [...this.#when(item), ['thread', this.threadLink(item.thread, trace.mark_time[i])],
            category ? ['category', category] : null];
        return { title: trace.text(trace.mark_name[i]), rows, more: [stackList(trace, trace.mark_stack[i])] };
    }

    _sample(item) {
        const { trace } = this, i = item.index;
        return { title: 'CPU sample', rows: [...this.#when(item), ['thread', this.threadLink(item.thread,
            trace.sample_time[i])]], note: 'The thread was running here.',
        more: [stackList(trace, trace.sample_stack[i])] };
    }
}
