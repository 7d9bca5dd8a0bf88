// Opens the trace and puts the page together. The views other than the timeline are built when they are first looked at.
import * as collections from './collections.js';
import * as files from './files.js';
import * as fragment from './fragment.js';
import * as locks from './locks.js';
import * as tasks from './tasks.js';
import * as threads from './threads.js';
import { bytes, count, duration, moment } from './format.js';
import { byId, el, jump } from './dom.js';
import { Details } from './details.js';
import { findings } from './findings.js';
import { fetchColumns } from './load.js';
import { STATES } from './palette.js';
import { Input } from './input.js';
import { describe, itemOf, itemText } from './hit.js';
import { SearchBox } from './search.js';
import { SORTS } from './lanes.js';
import { Timeline } from './timeline.js';
import { totalsPanel } from './totals.js';
import { Trace } from './trace.js';

const BUILDERS = { threads, tasks, locks, collections, files };
const SPANNED = ['threads', 'tasks', 'locks']; // follow the timeline's selection
const ALWAYS = /^wakeups are inferred/; // how it is, not what is missing
const WRITE_DELAY_MS = 150; // browsers refuse an address that changes with every frame

class App {
    constructor(trace) {
        this.trace = trace;
        this.view = 'timeline';
        this.params = new URLSearchParams();
        this.timeline = new Timeline(trace, { changed: () => this.#remember(), chosen: () => this.#panel() });
        this.details = new Details(this);
        this.search = new SearchBox(this, { input: byId('search'), status: byId('found'), next: byId('next'),
            previous: byId('previous') });
        this.input = new Input(this.timeline, {
            '/': () => { this.go('timeline'); byId('search').select(); byId('search').focus(); },
            '?': () => byId('help').showModal(),
            n: () => this.search.step(1), N: () => this.search.step(-1),
        });
        this.#header();
        this.#notices();
        this.#tools();
        this.#legend();
        window.addEventListener('popstate', () => this.#apply());
        this.#apply();
    }

    // ---- the address

    #state() {
        const tl = this.timeline, whole = tl.view.from <= 0 && tl.view.to >= this.trace.end;
        return { view: this.view === 'timeline' ? '' : this.view, lock: this.view === 'locks' ? this.params.get('lock') : '',
            from: whole ? '' : tl.view.from.toFixed(0), to: whole ? '' : tl.view.to.toFixed(0), item: itemText(tl.item),
            range: tl.range ? tl.range.map((t) => t.toFixed(0)).join('-') : '', sort: tl.lanes.sort === 'start' ? '' :
                tl.lanes.sort, filter: tl.lanes.filter, hide: [...tl.lanes.hidden].join('.') };
    }

    #remember() {
        this.#hiddenCount();
        clearTimeout(this.timer);
        this.timer = setTimeout(() => fragment.replace(this.#state()), WRITE_DELAY_MS);
    }

    // Shows what the address says; what it does not say is as at the start.
    #apply() {
        const p = fragment.read(), tl = this.timeline, number = (name) => Number.parseFloat(p.get(name));
        clearTimeout(this.timer);
        tl.lanes.sort = Object.hasOwn(SORTS, p.get('sort')) ? p.get('sort') : 'start';
        tl.lanes.filter = p.get('filter') ?? '';
        tl.lanes.hidden = new Set((p.get('hide') ?? '').split('.').filter(Boolean).map(Number));
        byId('sort').value = tl.lanes.sort;
        byId('filter').value = tl.lanes.filter;
        tl.relayout();
        const range = (p.get('range') ?? '').split('-').map(Number);
        tl.range = range.length === 2 && range.every(Number.isFinite) && range[0] < range[1] ? range : null;
        tl.select(itemOf(this.trace, p.get('item')));
        tl.show(Number.isFinite(number('from')) ? number('from') : 0, number('to') > 0 ? number('to') : this.trace.end);
        this.#switch(p.get('view') ?? 'timeline', p);
        this.#hiddenCount();
    }

    // ---- going places

    // arrive(): what else is to change there, before the address is written down.
    go(view, params = {}, arrive = () => {}) {
        clearTimeout(this.timer);
        fragment.replace(this.#state());
        this.#switch(view, new URLSearchParams(params));
        arrive();
        clearTimeout(this.timer);
        fragment.push(this.#state());
    }

    toItem(item) {
        if (item)
            this.go('timeline', {}, () => {
                this.timeline.drawNow();
                this.timeline.reveal(item);
            });
    }

    toThread(thread) {
        this.toItem({ type: 'thread', index: thread, thread });
    }

    // What a thread did at a moment: its innermost slice, or its state.
    toMoment(thread, t) {
        const { trace } = this, state = trace.stateAt(thread, Math.min(t, trace.thread_end[thread] - 1));
        if (state >= 0)
            this.toItem({ type: 'state', index: state, thread });
        else
            this.toThread(thread);
    }

    #switch(view, params) {
        const known = Object.hasOwn(BUILDERS, view) && !(view === 'collections' && !this.trace.gcRows.length);
        this.view = known ? view : 'timeline';
        this.params = params;
        for (const section of document.querySelectorAll('main > section'))
            section.hidden = section.id !== this.view;
        for (const tab of document.querySelectorAll('nav button'))
            if (tab.dataset.view === this.view)
                tab.setAttribute('aria-current', 'page');
            else
                tab.removeAttribute('aria-current');
        if (this.view !== 'timeline')
            this.#build();
        byId('tip').hidden = true;
        this.timeline.redraw();
    }

    #build() {
        const root = byId(this.view).querySelector('.content');
        const made = `${this.params.get('lock') ?? ''} ${this.span}`;
        if (root.dataset.made === made)
            return;
        root.dataset.made = made;
        root.replaceChildren(...[this.#scope(), ...BUILDERS[this.view].build(this, this.params)].filter(Boolean));
    }

    // The part of the trace that the tables are about: what is selected in the timeline, else all of it.
    get span() {
        return this.timeline.range ?? [0, this.trace.end];
    }

    #scope() {
        const { range } = this.timeline;
        if (!range || !SPANNED.includes(this.view))
            return null;
        return el('p', { class: 'scope' }, `Only what lies in the selection, ${duration(range[1] - range[0])} from ${
            moment(range[0])}. `, jump('Show the whole trace', () => {
            this.timeline.setRange(null);
            this.#build();
        }));
    }

    // ---- around the timeline

    #panel() {
        const { timeline } = this, panel = byId('panel');
        const content = timeline.range ? totalsPanel(this, timeline.range) :
            timeline.item && this.details ? this.details.build(timeline.item) : [];
        byId('said').textContent = timeline.range ? 'totals of the selection are below the timeline' :
            timeline.item ? describe(this.trace, timeline.item) : '';
        panel.hidden = !content.length;
        byId('panel-content').replaceChildren(...content);
    }

    #header() {
        const { meta } = this.trace, t = this.trace;
        const name = meta.process || meta.file;
        document.title = `${name} - trace`;
        byId('name').textContent = name;
        const began = meta.wall_ms ? `, began ${new Date(meta.wall_ms).toLocaleString()}` : '';
        byId('about').textContent = `${meta.file}, ${bytes(meta.file_bytes)}, ${count(meta.events)} events, ${
            count(t.nthreads)} thread${t.nthreads === 1 ? '' : 's'}, ${duration(t.end)}${began}`;
        byId('tab-collections').hidden = !t.gcRows.length;
    }

    #notices() {
        const list = byId('notices');
        for (const notice of this.trace.meta.notices)
            if (ALWAYS.test(notice))
                byId('help-notes').append(`${notice}. `);
            else
                list.append(el('p', { class: 'note' }, notice));
        list.hidden = !list.childElementCount;
        if (list.childElementCount)
            list.append(el('button', { type: 'button', class: 'close', 'aria-label': 'dismiss the notices',
                onclick: () => { list.hidden = true; this.timeline.redraw(); } }, '×'));
    }

    // After the first picture: it takes as long as drawing a few.
    showFindings() {
        const list = findings(this.trace).map((f) => el('li', {}, jump(f.text, () => {
            if (f.to)
                this.go(...f.to);
            else if (f.show)
                this.#showRange(f);
            else
                this.#filter(f.filter);
        })));
        byId('findings').replaceChildren(...list);
        byId('findings').hidden = !list.length;
        this.timeline.redraw();
    }

    // A stretch of time, with as much around it as shows what came before and after.
    #showRange({ show: [from, to], of }) {
        const { timeline } = this, margin = Math.max(to - from, 1000) * 2;
        timeline.show(from - margin, to + margin);
        timeline.setRange([from, to], true);
        timeline.drawNow();
        const first = Math.min(...of.map((thread) => timeline.lanes.ofThread.get(thread)?.y ?? Infinity));
        if (Number.isFinite(first))
            timeline.scroller.scrollTop = first;
    }

    #filter(text) {
        byId('filter').value = text;
        byId('filter').dispatchEvent(new Event('input'));
        this.timeline.fit();
    }

    #tools() {
        const tl = this.timeline;
        byId('sort').append(...Object.entries(SORTS).map(([key, name]) => el('option', { value: key }, name)));
        const relayout = () => { tl.relayout(); this.#remember(); if (tl.range) this.#panel(); };
        byId('sort').addEventListener('change', (e) => { tl.lanes.sort = e.target.value; relayout(); });
        byId('filter').addEventListener('input', (e) => { tl.lanes.filter = e.target.value; relayout(); });
        byId('unhide').addEventListener('click', () => { tl.lanes.hidden.clear(); relayout(); });
        const buttons = { 'zoom-in': () => tl.zoom(0.5), 'zoom-out': () => tl.zoom(2), fit: () => tl.fit(),
            'close-panel': () => tl.range ? tl.setRange(null) : tl.select(null), 'open-help': () => byId('help').showModal() };
        for (const [id, action] of Object.entries(buttons))
            byId(id).addEventListener('click', action);
        for (const tab of document.querySelectorAll('nav button'))
            tab.addEventListener('click', () => this.go(tab.dataset.view));
    }

    #hiddenCount() {
        const n = this.timeline?.lanes.hidden.size ?? 0;
        byId('unhide').hidden = !n;
        byId('unhide').textContent = `show ${n} hidden`;
    }

    #legend() {
        const present = new Set(this.trace.state_class);
        byId('legend').append(...STATES.flatMap((s, c) => !present.has(c) ? [] :
            [el('li', { title: s.what }, el('span', { class: `chip state-${c}` }), s.name)]));
    }
}

// States' colours, for everything that is not drawn on the canvas.
function stateStyles() {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STATES.map((s, c) => `.state-${c}{background:${s.light}}` +
        `@media(prefers-color-scheme:dark){.state-${c}{background:${s.dark}}}`).join(''));
    document.adoptedStyleSheets = [sheet];
}

async function open() {
    const loading = byId('loading');
    try {
        stateStyles();
        const fetched = await fetchColumns((share) => byId('progress').value = share);
        performance.mark('fetched');
        window.traceApp = new App(new Trace(fetched)); // for the browser's console, and the tests
        loading.hidden = true;
        byId('page').hidden = false;
        window.traceApp.timeline.drawNow();
        performance.mark('drawn');
        document.body.dataset.state = 'ready';
        setTimeout(() => window.traceApp.showFindings());
    } catch (error) {
        loading.replaceChildren(el('p', { class: 'note' }, `The trace cannot be shown: ${error.message}`));
        document.body.dataset.state = 'failed';
        throw error;
    }
}

open();
