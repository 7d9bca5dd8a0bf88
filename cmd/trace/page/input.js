// Mouse, wheel and keyboard on the timeline.
import { byId } from './dom.js';
import { describe, hit, timesOf } from './hit.js';
import { duration } from './format.js';

const CLICK_PIXELS = 4; // what moves less is a click

export class Input {
    constructor(timeline, actions) {
        this.timeline = timeline;
        this.actions = actions; // by key, for what is not the timeline's own
        this.tip = byId('tip');
        const { canvas, scroller } = timeline;
        canvas.addEventListener('pointerdown', (e) => this.#press(e));
        canvas.addEventListener('pointermove', (e) => this.#move(e));
        canvas.addEventListener('pointerup', (e) => this.#release(e));
        canvas.addEventListener('pointercancel', () => this.drag = null);
        canvas.addEventListener('pointerleave', () => this.tip.hidden = true);
        canvas.addEventListener('dblclick', () => timeline.zoomToChosen());
        canvas.addEventListener('wheel', (e) => this.#wheel(e), { passive: false });
        byId('ruler').addEventListener('wheel', (e) => this.#wheel(e), { passive: false });
        document.addEventListener('keydown', (e) => this.#key(e));
        this.#overview(byId('overview'));
        this.scroller = scroller;
    }

    #point(e) {
        const box = this.timeline.canvas.getBoundingClientRect();
        return { x: e.clientX - box.left, y: e.clientY - box.top + this.timeline.scroller.scrollTop };
    }

    #hit({ x, y }) {
        const tl = this.timeline, reach = 2 * (tl.view.to - tl.view.from) / tl.width;
        return hit(tl.trace, tl.lanes, y, tl.timeAt(x), reach);
    }

    // ---- mouse

    #press(e) {
        const tl = this.timeline, point = this.#point(e);
        if (e.button > 1)
            return;
        tl.canvas.focus({ preventScroll: true });
        tl.canvas.setPointerCapture(e.pointerId);
        const panning = e.button === 1 || e.shiftKey;
        this.drag = { ...point, clientY: e.clientY, panning, view: { ...tl.view }, scroll: tl.scroller.scrollTop,
            at: tl.timeAt(point.x) };
        if (e.button === 1)
            e.preventDefault();
    }

    #move(e) {
        const { drag } = this, tl = this.timeline, point = this.#point(e);
        if (!drag)
            return this.#hover(e, point);
        if (drag.panning) {
            const by = (drag.x - point.x) / tl.width * (drag.view.to - drag.view.from);
            tl.show(drag.view.from + by, drag.view.to + by);
            tl.scroller.scrollTop = drag.scroll + drag.clientY - e.clientY;
            return undefined;
        }
        if (!drag.moved && Math.abs(point.x - drag.x) < CLICK_PIXELS)
            return undefined;
        drag.moved = true;
        const x = Math.min(Math.max(point.x, 0), tl.width);
        const range = [drag.at, tl.timeAt(x)].sort((a, b) => a - b);
        tl.setRange(range, false);
        return this.#tip(e, duration(range[1] - range[0]));
    }

    #release(e) {
        const { drag } = this, tl = this.timeline;
        this.drag = null;
        if (!drag || drag.panning)
            return;
        if (drag.moved) {
            tl.setRange(tl.range, true);
            return;
        }
        const item = this.#hit(this.#point(e));
        tl.range = null;
        tl.select(item?.type === 'counter' ? null : item);
    }

    #hover(e, point) {
        const item = this.#hit(point);
        this.timeline.canvas.classList.toggle('over', Boolean(item));
        if (item)
            this.#tip(e, describe(this.timeline.trace, item));
        else
            this.tip.hidden = true;
    }

    #tip(e, text) {
        this.tip.textContent = text;
        this.tip.hidden = false;
        const left = e.clientX + 14 + this.tip.offsetWidth > window.innerWidth ? e.clientX - 14 - this.tip.offsetWidth :
            e.clientX + 14;
        this.tip.style.left = `${Math.max(0, left)}px`;
        this.tip.style.top = `${Math.min(e.clientY + 16, window.innerHeight - this.tip.offsetHeight - 4)}px`;
    }

    // Up and down zooms at the pointer, sideways (or with Shift) moves.
    #wheel(e) {
        e.preventDefault();
        const tl = this.timeline, { x } = this.#point(e);
        const scale = e.deltaMode === 1 ? 33 : e.deltaMode === 2 ? 400 : 1;
        const dx = (e.shiftKey ? e.deltaX || e.deltaY : e.deltaX) * scale, dy = e.shiftKey ? 0 : e.deltaY * scale;
        if (Math.abs(dx) > Math.abs(dy))
            tl.pan(dx / tl.width);
        else if (dy)
            tl.zoom(Math.exp(Math.min(Math.max(dy, -300), 300) * (e.ctrlKey ? 0.01 : 0.0022)), tl.timeAt(x));
    }

    #overview(canvas) {
        const tl = this.timeline;
        const go = (e) => {
            const t = (e.clientX - canvas.getBoundingClientRect().left) / tl.width * tl.trace.end;
            const span = tl.view.to - tl.view.from;
            tl.show(t - span / 2, t + span / 2);
        };
        canvas.addEventListener('pointerdown', (e) => {
            canvas.setPointerCapture(e.pointerId);
            this.moving = true;
            go(e);
        });
        canvas.addEventListener('pointermove', (e) => this.moving && go(e));
        canvas.addEventListener('pointerup', () => this.moving = false);
        canvas.addEventListener('wheel', (e) => {
            e.preventDefault();
            tl.zoom(Math.exp(Math.min(Math.max(e.deltaY, -300), 300) * 0.0022));
        }, { passive: false });
    }

    // ---- keyboard

    #key(e) {
        if (e.ctrlKey || e.altKey || e.metaKey)
            return;
        const typing = e.target.closest?.('input, select, textarea, dialog[open]');
        if (typing) {
            if (e.key === 'Escape' && e.target.matches('input'))
                e.target.blur();
            return;
        }
        const onTimeline = !byId('timeline').hidden;
        const action = this.actions[e.key] ?? (onTimeline ? this.#keys()[e.key] : undefined);
        // Enter and arrows belong to the control that has the focus, unless that is the timeline.
        if (!action || (e.target.closest?.('button, a, [tabindex="-1"]') && /^(Enter| |Arrow)/.test(e.key)))
            return;
        e.preventDefault();
        action();
    }

    #keys() {
        const tl = this.timeline, step = 60;
        return {
            w: () => tl.zoom(0.7), '+': () => tl.zoom(0.7), '=': () => tl.zoom(0.7),
            s: () => tl.zoom(1 / 0.7), '-': () => tl.zoom(1 / 0.7),
            a: () => tl.pan(-0.2), ArrowLeft: () => tl.pan(-0.2),
            d: () => tl.pan(0.2), ArrowRight: () => tl.pan(0.2),
            ArrowUp: () => this.scroller.scrollBy(0, -step), ArrowDown: () => this.scroller.scrollBy(0, step),
            PageUp: () => this.scroller.scrollBy(0, -this.scroller.clientHeight * 0.9),
            PageDown: () => this.scroller.scrollBy(0, this.scroller.clientHeight * 0.9),
            f: () => tl.fit(), z: () => tl.zoomToChosen(), Home: () => tl.pan(-1e9), End: () => tl.pan(1e9),
            h: () => tl.item?.thread >= 0 && tl.hideThread(tl.item.thread),
            ',': () => this.#neighbour(-1), '.': () => this.#neighbour(1),
            Escape: () => tl.range ? tl.setRange(null) : tl.select(null),
        };
    }

    // The item before or after the chosen one, in its row.
    #neighbour(by) {
        const tl = this.timeline, t = tl.trace, item = tl.item?.type === 'thread' ? null : tl.item;
        if (!item) {
            this.#first();
            return;
        }
        const next = { ...item, index: item.index + by };
        const [lo, hi] = item.type === 'slice' ? rangeOfRow(t, item.index) : rangeOfOwner(t, item);
        if (next.index >= lo && next.index < hi && timesOf(t, next)[0] <= t.end)
            tl.reveal(next);
    }

    // Without anything to start from: what the chosen thread, or the first one that is shown, does at the left edge.
    #first() {
        const tl = this.timeline, lane = tl.lanes.ofThread.get(tl.item?.thread) ?? tl.lanes.list.find((l) =>
            l.kind === 'thread' && l.y >= tl.scroller.scrollTop);
        const [i, j] = lane ? tl.trace.statesWithin(lane.thread, tl.view.from, tl.view.to) : [0, 0];
        if (i < j)
            tl.reveal({ type: 'state', index: i, thread: lane.thread });
    }
}

function rangeOfRow(t, slice) {
    const row = t.rowOf(slice);
    return [t.row_first[row], t.row_first[row + 1]];
}

function rangeOfOwner(t, item) {
    const first = { state: t.thread_state_first, mark: t.thread_mark_first, sample: t.thread_sample_first,
        run: t.cpu_first }[item.type];
    const owner = item.type === 'run' ? item.cpu : item.thread;
    return [first[owner], first[owner + 1]];
}
