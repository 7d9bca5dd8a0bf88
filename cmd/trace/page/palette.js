// What a thread can be doing, and the colours. The colours of states are Okabe and Ito's, which people with any kind
// of colour blindness tell apart, made lighter or darker where a state is nothing to worry about. Blocked time is
// sorted by what a learner does about it: a lock, a signal from another thread, a file or socket, a sleep.

export const RUNNING = 0, RUNNABLE = 1, LOCK = 2, WAIT = 3, IO = 4, SLEEP = 5, OTHER = 6, EITHER = 7, UNKNOWN = 8;
export const CLASSES = 9; // how many

export const STATES = [
    { name: 'running', light: '#009e73', dark: '#0fb487', what: 'on a CPU' },
    { name: 'runnable', light: '#f0a830', dark: '#e69f00', what: 'could run, but no CPU was free' },
    { name: 'lock', light: '#c9460c', dark: '#e0632b', what: 'blocked: a lock was held by another thread' },
    { name: 'wait', light: '#cc79a7', dark: '#c871a3', what: 'blocked until another thread signals, posts or ends' },
    { name: 'I/O', light: '#9bcdec', dark: '#32759c', what: 'in a system call on a file or socket' },
    { name: 'sleep', light: '#c3ccd6', dark: '#48535f', what: 'asleep because it asked to be' },
    { name: 'other', light: '#8f99a5', dark: '#78838f', what: 'blocked, and nothing says on what' },
    { name: 'run?', light: '#7fcdb5', dark: '#3f7f6d', what: 'running or runnable: there are no switch records' },
    { name: 'unknown', light: '#ffffff', dark: '#14181d', what: 'switch records are missing here' },
];

// By the name of the call. What is not in here and blocks is `other`.
const KINDS = [
    [/^(mutex|rwlock|spin|futex|lock)/, LOCK],
    [/^(cond|sem|barrier|join|once|wait$|waitpid|sigwait|sigsuspend|pause)/, WAIT],
    [/^(sleep|nanosleep|usleep|clock_nanosleep)/, SLEEP],
    [/^(p?poll|p?select|epoll|read|write|p?readv|p?writev|pread|pwrite|accept|connect|send|recv|open|close|fsync|fdatasync|flock|fcntl|io)/, IO],
];

export function classOfCall(name) {
    for (const [pattern, kind] of KINDS)
        if (pattern.test(name))
            return kind;
    return OTHER;
}

// Threads, regions and tasks: pale colours that mean nothing but "the same again", so that states stand out.
const NAMED = ['#b9a3dd', '#e6d08c', '#a3cf96', '#e8ab9b', '#97bfc4', '#cdb29c', '#dba6c8', '#b9bf7e', '#a5afe0',
    '#dcd9a0', '#8fc7b0', '#a8b4c2'];

export const NAMED_COUNT = NAMED.length;

// Into the order of bytes that ImageData has on a little-endian machine.
export function packed(hex) {
    const v = parseInt(hex.slice(1), 16);
    return (0xff000000 | (v & 0xff) << 16 | (v & 0xff00) | v >>> 16) >>> 0;
}

export function mix(under, over, share) {
    let out = 0xff000000;
    for (const shift of [0, 8, 16]) {
        const a = under >>> shift & 255, b = over >>> shift & 255;
        out |= Math.round(a + (b - a) * share) << shift;
    }
    return out >>> 0;
}

const isDark = matchMedia('(prefers-color-scheme: dark)');

// The colours of now; `onchange` is called when the system's theme changes.
export function colours() {
    const dark = isDark.matches;
    return {
        dark,
        background: packed(dark ? '#14181d' : '#ffffff'),
        stripe: packed(dark ? '#191e24' : '#f7f9fb'),
        line: dark ? '#2c343d' : '#dfe4ea',
        text: dark ? '#e4e9ef' : '#1c2530',
        dim: dark ? '#9aa7b4' : '#5b6875',
        accent: dark ? '#7db8ff' : '#0a58b8',
        found: packed(dark ? '#ffe14d' : '#7a2fd0'),
        states: STATES.map((s) => packed(dark ? s.dark : s.light)),
        css: STATES.map((s) => dark ? s.dark : s.light),
        named: NAMED.map((c) => dark ? mix(packed('#14181d'), packed(c), 0.82) : packed(c)),
        counter: dark ? '#5d8fc9' : '#6f9fd6',
        band: dark ? 'rgba(255,110,80,.22)' : 'rgba(201,70,12,.16)',
    };
}

export function onThemeChange(call) {
    isDark.addEventListener('change', call);
}
