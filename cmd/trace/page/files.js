// What else can be had from the trace: profiles for pprof, Chrome's JSON, the file itself for Perfetto.
import { bytes } from './format.js';
import { el } from './dom.js';

const FILES = [
    ['sync.pprof', 'Waiting for locks', 'Time that threads were blocked on mutexes, conditions, semaphores, barriers and ' +
        'joins, by the stack that waited.'],
    ['syscall.pprof', 'System calls', 'Time within recorded system calls (sleep, poll, read, accept, ...), by the stack ' +
        'that called.'],
    ['sched.pprof', 'Waiting for a CPU', 'Time that threads were ready to run and no CPU was free, by the stack of what ' +
        'they had waited for.'],
    ['region.pprof', 'Regions', 'Time in regions, by what their threads were doing meanwhile.'],
    ['cpu.pprof', 'CPU samples', 'Where the program used CPU time, if a CPU profile ran while the trace was recorded.'],
    ['trace.json', 'Chrome Trace Event JSON', 'For other viewers. It is larger than the trace.'],
];

function command(text) {
    const button = el('button', { type: 'button', onclick: () => navigator.clipboard.writeText(text).then(() => {
        button.textContent = 'copied';
        setTimeout(() => button.textContent = 'copy', 1500);
    }) }, 'copy');
    button.hidden = !navigator.clipboard;
    return el('div', { class: 'cmd' }, el('code', {}, text), button);
}

function row(name, title, what, extra) {
    return el('tr', {}, el('th', { scope: 'row', class: 'name' }, title), el('td', {}, what, extra),
        el('td', { class: 'get' }, el('a', { href: `files/${name}` }, name)));
}

export function build(app) {
    const { meta } = app.trace, base = location.origin;
    const rows = FILES.map(([name, title, what]) => row(name, title, what, name.endsWith('.pprof') ?
        command(`go tool pprof -http=: '${base}/files/${name}'`) : null));
    rows.push(row('trace.pftrace', 'The trace itself', `${bytes(meta.file_bytes)} of Perfetto's format: open ` +
        'https://ui.perfetto.dev and drop the file on it. It stays in your browser there, too.'));
    return [el('div', { class: 'table' }, el('table', {}, el('caption', {}, 'Files'), el('thead', {}, el('tr', {},
        el('th', { scope: 'col' }, 'file'), el('th', { scope: 'col' }, 'what it shows, and the command that opens it'),
        el('th', { scope: 'col' }, 'get it'))), el('tbody', {}, ...rows)))];
}
