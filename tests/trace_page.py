"""The checks of tests/trace_page.sh, in a browser; prints TAP. Figures come from the traces' makers (tests/trace_story.h,
tests/trace_make.c), or are worked out here in another way than the page does it.

    trace_page.py URL_OF_STORY URL_OF_SHOP URL_OF_A_RECORDED_TRACE URL_OF_AN_EMPTY_ONE
"""
import sys
import traceback

from browser import Browser, Failed

STORY, SHOP, REAL, EMPTY = sys.argv[1:5]
READY = "document.body && document.body.dataset.state === 'ready'"
count = failed = 0


def ok(name, good, *lines):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if not good:
        print('\n'.join(f'# {line}' for text in lines for line in str(text).splitlines()), flush=True)


def equal(name, got, expected):
    ok(name, got == expected, f'expected: {expected}', f'got:      {got}')


def contains(name, text, part):
    ok(name, part in text, f'expected to find: {part}', f'in: {text}')


def near(name, got, expected, by):
    ok(name, abs(got - expected) <= by, f'expected: {expected}, {by} more or less', f'got: {got}')


def open_page(page, url):
    page.open('about:blank')
    page.open(url)
    page.wait(READY)


def frame(page):
    """Until what was asked for is drawn."""
    page.run('new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))')


def colour_at(page, x, y):
    """Of the timeline, by the page's own coordinates, as the browser has it."""
    return page.run(f'''(() => {{ const c = document.getElementById('plot'), b = c.getBoundingClientRect();
        return [...c.getContext('2d').getImageData({x} - b.left, {y} - b.top, 1, 1).data].slice(0, 3).join(); }})()''')


def at(page, ms, thread, part):
    """Where a moment of a thread's lane is: part is 'stateY', or the number of a row of slices."""
    height = 'lane.stateY' if part == 'stateY' else f'lane.rows[{part}].y'
    return page.run(f'''(() => {{ const tl = traceApp.timeline, b = tl.canvas.getBoundingClientRect(),
        lane = tl.lanes.ofThread.get({thread}); return [b.left + tl.drawing.x({ms} * 1e6),
        b.top + lane.y + {height} - tl.scroller.scrollTop + 7]; }})()''')


def text(page, selector):
    return page.run(f"document.querySelector({selector!r})?.innerText ?? 'there is none'")


def cells(page, view, table, row):
    """A row's first lines, without those below the figures."""
    return page.run(f'''[...document.querySelectorAll('#{view} .content > .table')][{table}].querySelector('table')
        .tBodies[0].rows[{row}].innerText.split('\\t').map((c) => c.trim().split('\\n')[0].trim())''')


def press(page, text, within):
    """Clicks the first button or link with that text."""
    found = page.run(f'''(() => {{ const b = [...document.querySelectorAll({within!r} + ' button')].find((b) =>
        b.innerText.trim() === {text!r}); b?.click(); return Boolean(b); }})()''')
    if not found:
        raise Failed(f'no button "{text}" in {within}')


# ---- the trace whose every figure is known -----------------------------------------------------------

RUNNING, RUNNABLE, LOCKED, WAITING, ASLEEP = '0,158,115', '240,168,48', '201,70,12', '204,121,167', '195,204,214'
KITCHEN, LOADER, COOK = 0, 1, 2


def check_drawn(page):
    open_page(page, STORY)
    frame(page)
    equal('the page says what the trace is of', text(page, '#name'), 'kitchen')
    contains('and how large it is', text(page, '#about'), '45 events, 3 threads, 50 ms')
    equal('notices are said on top', text(page, '#notices p'), '12 events were dropped')
    for name, ms, thread, colour in (
            ('running', 5, KITCHEN, RUNNING), ('joining', 20, KITCHEN, WAITING), ('running again', 45, KITCHEN, RUNNING),
            ('preempted', 5.5, LOADER, RUNNABLE), ('asleep', 18, LOADER, ASLEEP), ('blocked on a lock', 20, COOK, LOCKED),
            ('woken and without a CPU', 23.5, COOK, RUNNABLE), ('on a CPU at last', 32, COOK, RUNNING)):
        equal(f'a thread is drawn {name}', colour_at(page, *at(page, ms, thread, 'stateY')), colour)
    equal('before its life a thread is not drawn', colour_at(page, *at(page, 0.5, LOADER, 'stateY')), '255,255,255')
    band = page.run('''(() => { const b = document.getElementById('plot').getBoundingClientRect(), tl = traceApp.timeline;
        return [b.left + tl.drawing.x(38e6), b.top + b.height - 5]; })()''')
    ok('a stop of the world is a band over all lanes', colour_at(page, *band) != '255,255,255', colour_at(page, *band))


def check_click(page):
    page.click(*at(page, 18, COOK, 0))
    frame(page)
    panel = text(page, '#panel')
    for part in ('mutex lock', '10.2 ms', '0.013900 s', '0x1000', 'loader (101)', 'when the wait began', 'woken by',
                 'cook', 'lock'):
        contains(f'a click on a wait tells: {part}', panel, part)
    near('the arrow comes from the unlock', page.run('traceApp.trace.slice_wake[traceApp.timeline.item.index]'), 22e6, 1)
    contains('the address keeps what was clicked', page.run('new Promise((r) => setTimeout(() => r(location.hash), 300))'),
             'item=slice-')
    page.run('''[...document.querySelectorAll('#panel dt')].find((d) => d.innerText === 'held by').nextSibling
        .querySelector('button').click()''')
    frame(page)
    contains('the link to the holder shows it at that time', text(page, '#panel h2'), 'sleep')
    equal('on its own lane', page.run('traceApp.timeline.item.thread'), LOADER)
    page.run('history.back()')
    page.wait("document.querySelector('#panel h2')?.innerText === 'mutex lock'")
    ok('Back goes back to the wait', True)
    page.key('Escape')
    ok('Escape closes the panel', page.run("document.getElementById('panel').hidden"))


def check_selection(page):
    page.run('traceApp.timeline.fit()')
    frame(page)
    x0, y = at(page, 10, COOK, 'stateY')
    x1, _ = at(page, 30, COOK, 'stateY')
    page.drag(x0, x1, y)
    frame(page)
    page.run('traceApp.timeline.setRange([10e6, 30e6], true)')  # the pointer has whole pixels only
    panel = page.run('''[...document.querySelectorAll('#panel table')].map((t) => [...t.tBodies[0].rows].map((r) =>
        [...r.cells].map((c) => c.innerText.trim())))''')
    states = {row[0]: row[1] for row in panel[0]}
    equal('dragging adds up the states of all threads', states, {'running': '22 ms', 'runnable': '2 ms', 'lock': '8 ms',
                                                               'wait': '20 ms', 'sleep': '8 ms'})
    slices = {row[0]: row[1:] for row in panel[1]}
    equal('and counts slices within it', slices.get('fry'), ['1', '5 ms', '5 ms', '5 ms'])
    equal('cut at its ends', slices.get('evening'), ['1', '20 ms', '20 ms', '20 ms'])
    press(page, 'Threads', 'nav')
    rows = [cells(page, 'threads', 1, i) for i in range(3)]
    equal('the tables are of the selection, too', sorted(row[:2] for row in rows), [['cook', '10 ms'], ['kitchen', '-'],
                                                                                ['loader', '12 ms']])
    contains('and say so', text(page, '#threads .scope'), '20 ms from 0.010000 s')
    press(page, 'Timeline', 'nav')
    page.run("document.getElementById('filter').value = 'cook'; document.getElementById('filter')"
             ".dispatchEvent(new Event('input'))")
    contains('of the threads that are shown', text(page, '#panel'), '1 thread shown')
    contains('a filter leaves the others out', text(page, '#labels'), 'Threads (1 of 3)')
    page.run("document.getElementById('filter').value = ''; document.getElementById('filter')"
             ".dispatchEvent(new Event('input'))")
    page.key('Escape')


def check_findings(page):
    page.wait("document.getElementById('findings').childElementCount > 0")
    said = text(page, '#findings')
    contains('what stands out is said: the lock', said, '10.2 ms waited for one lock, in lock')
    contains('and the collector', said, 'stopped by the collector for 2 ms, 4.0 % of the time')
    page.run("document.querySelector('#findings button').click()")
    contains('each with a link to it', page.run('location.hash'), 'view=locks&lock=0x1000')
    ok('where the lock is unfolded', page.run("document.querySelector('#locks .unfolded') !== null"))
    press(page, 'Timeline', 'nav')


def check_zoom(page):
    span = lambda: page.run('traceApp.timeline.view.to - traceApp.timeline.view.from')
    page.run('traceApp.timeline.fit()')
    x, y = at(page, 20, COOK, 'stateY')
    before = page.run(f'traceApp.timeline.timeAt({x} - traceApp.timeline.canvas.getBoundingClientRect().left)')
    page.wheel(x, y, -300)
    frame(page)
    ok('the wheel zooms in', span() < 30e6, span())
    near('at the pointer', page.run(f'traceApp.timeline.timeAt({x} - traceApp.timeline.canvas.getBoundingClientRect().left)'),
         before, 1000)
    zoomed = span()
    page.key('s')
    ok('s zooms out', span() > zoomed, span(), zoomed)
    page.key('w')
    near('w zooms in again', span(), zoomed, 10)
    start = page.run('traceApp.timeline.view.from')
    page.key('d')
    ok('d moves on', page.run('traceApp.timeline.view.from') > start)
    page.key('a')
    near('a moves back', page.run('traceApp.timeline.view.from'), start, 10)
    contains('the address keeps the view', page.run('new Promise((r) => setTimeout(() => r(location.hash), 300))'), 'from=')
    address = page.run('location.href')
    open_page(page, address)
    near('and brings it back', span(), zoomed, 10)
    page.key('f')
    near('f shows all', span(), 50e6, 1)
    page.key('?')
    ok('? shows the keys', page.run("document.getElementById('help').open"))
    page.run("document.getElementById('help').close()")


def check_search(page):
    page.key('/')
    equal('/ goes to the search', page.run('document.activeElement.id'), 'search')
    for what, found in (('salt', 1), ('0x1000', 1), ('loader', 1), ('rest', 1), ('all done', 1), ('no such thing', 0)):
        page.run("document.getElementById('search').value = ''")
        page.type(what)
        page.wait("traceApp.search.input.value && traceApp.search.result?.text === traceApp.search.input.value")
        contains(f'searching finds: {what}', text(page, '#found'), f'{found} found' if found else 'nothing found')
    page.run("document.getElementById('search').value = 'salt'")
    page.key('Enter')
    equal('Enter shows it', text(page, '#panel h2'), 'salt')
    equal('and counts', text(page, '#found'), '1 of 1')
    page.key('Escape')
    page.key('Escape')


def check_tables(page):
    press(page, 'Threads', 'nav')
    equal('threads by start function', [cells(page, 'threads', 0, i)[0].lstrip('▸ ') for i in range(3)],
          ['main', 'load', 'cook'])
    header = page.run('''[...document.querySelectorAll('#threads .content > .table')][1].querySelector('thead').innerText
        .split('\\t').map((c) => c.trim())''')
    rows = [dict(zip(header, cells(page, 'threads', 1, i))) for i in range(3)]
    figures = {r['thread']: [r[c] for c in ('running', 'runnable', 'lock', 'wait', 'sleep', 'lifetime')] for r in rows}
    equal('what each thread did', figures, {
        'kitchen': ['20 ms', '-', '-', '30 ms', '-', '50 ms'], 'loader': ['20 ms', '1 ms', '-', '-', '8 ms', '29 ms'],
        'cook': ['15 ms', '2 ms', '8 ms', '-', '-', '25 ms']})
    contains('with the shortest, average and longest stretch', text(page, '#threads .content'), '4.0 ms / 6.7 ms / 10 ms')
    page.run('''[...document.querySelectorAll('#threads .content > .table')][1].querySelectorAll('th button')[2].click()''')
    equal('a click on a column sorts by it', cells(page, 'threads', 1, 0)[0], 'cook')
    equal('and says so', page.run('''[...document.querySelectorAll('#threads .content > .table')][1]
        .querySelector('[aria-sort=descending]').innerText.trim()'''), 'runnable')
    press(page, 'cook', '#threads')
    equal('a row leads into the timeline', page.run("[document.getElementById('timeline').hidden, "
                                                   "document.querySelector('#panel h2').innerText]"), [False, 'cook'])
    press(page, 'Tasks and regions', 'nav')
    equal('tasks by name', cells(page, 'tasks', 0, 0)[1:9], ['1', '19 ms', '19 ms', '19 ms', '19 ms', '19 ms', '19 ms',
                                                            '19 ms'])
    press(page, 'Locks', 'nav')
    row = cells(page, 'locks', 0, 0)
    contains('locks by address', row[0], '0x1000')
    equal('with waits and time', row[3:], ['1', '10.2 ms', '10.2 ms', '10.2 ms', '1'])
    page.run("document.querySelector('#locks .fold').click()")
    contains('who held it', text(page, '#locks .unfolded'), 'loader')
    press(page, 'Collections', 'nav')
    contains('collections', text(page, '#collections'), '1 collection; the program stood still for 2 ms of 50 ms')
    near('the least of 4 ms windows', page.run('''import('./collections.js').then((m) =>
        m.leastUtilisation([[37e6, 39e6]], 4e6, 50e6))'''), 0.5, 0.001)
    press(page, 'Files', 'nav')
    contains('files for other tools', text(page, '#files'), 'sync.pprof')


# ---- a larger one --------------------------------------------------------------------------------------

def check_shop(page):
    open_page(page, SHOP)
    frame(page)
    equal('a name with markup is a name', page.run('''[document.images.length, [...document.querySelectorAll('#labels .who')]
        .some((e) => e.innerText.includes('<img src=x>&amp;'))]'''), [0, True])
    equal('what holds for every trace is no notice', page.run('[...document.querySelectorAll("#notices p")].map((e) => e.innerText)'
          '.filter((t) => t.includes("inferred"))'), [])
    contains('but is told', page.run("document.getElementById('help-notes').textContent"), 'wakeups are inferred')
    # Added up state by state, and slice by slice: the page uses running sums.
    page.run('traceApp.timeline.setRange([traceApp.trace.end * 0.2, traceApp.trace.end * 0.7], true)')
    for name, script in (
            ('the states of a selection', '''t.state_start.reduce((sum, s, i) => sum + Math.max(0, Math.min(b, t.state_end[i]) -
                Math.max(a, s)), 0) - m.stateTotals(t, [...Array(t.nthreads).keys()], a, b).reduce((x, y) => x + y, 0)'''),
            ('its slices', '''t.slice_start.reduce((sum, s, i) => sum + Math.max(0, Math.min(b, t.slice_end[i]) -
                Math.max(a, s)), 0) - m.sliceTotals(t, [...Array(t.nrows).keys()], a, b).reduce((x, y) => x + y.sum, 0)''')):
        off = page.run(f'''import('./totals.js').then((m) => {{ const t = traceApp.trace, [a, b] = traceApp.timeline.range;
            return {script}; }})''')
        near(f'{name} add up', off, 0, 10)
    page.key('Escape')
    check_sorting(page)
    check_walk(page)
    check_tasks(page)
    equal('each row of slices is in order and does not overlap', page.run('''(() => { const t = traceApp.trace; let bad = 0;
        for (let r = 0; r < t.nrows; r++) for (let i = t.row_first[r] + 1; i < t.row_first[r + 1]; i++)
            bad += t.slice_start[i] < t.slice_end[i - 1]; return bad; })()'''), 0)


def check_sorting(page):
    order = lambda: page.run("[...document.querySelectorAll('#labels .thread')].map((e) => Number(e.dataset.thread))")
    choose = lambda value: page.run(f'''(() => {{ const s = document.getElementById('sort'); s.value = '{value}';
        s.dispatchEvent(new Event('change')); }})()''')
    choose('running')
    running = page.run('[...Array(traceApp.trace.nthreads).keys()].map((t) => traceApp.trace.times(t)[0])')
    equal('threads sort by time on a CPU', [running[t] for t in order()], sorted(running, reverse=True))
    first = order()[0]
    page.run("document.querySelector('#labels .thread .hide').click()")
    ok('a thread can be hidden', first not in order(), order())
    equal('and be had back', text(page, '#unhide'), 'show 1 hidden')
    page.run("document.getElementById('unhide').click()")
    ok('with one click', first in order(), order())
    choose('start')


def check_walk(page):
    page.run("traceApp.timeline.fit(); document.getElementById('search').value = 'cache miss'; traceApp.search.run()")
    total = page.run("traceApp.trace.mark_name.filter((n) => traceApp.trace.text(n) === 'cache miss').length")
    times = []
    for _ in range(3):
        page.key('n')
        times.append(page.run('traceApp.trace.mark_time[traceApp.timeline.item.index]'))
    ok('n walks through what was found in order of time', total > 3 and times == sorted(times) and len(set(times)) == 3,
       total, times)
    equal('and counts', text(page, '#found'), f'3 of {total}')
    page.key('N')
    equal('N walks back', page.run('traceApp.trace.mark_time[traceApp.timeline.item.index]'), times[1])
    page.run("document.getElementById('search').value = ''; traceApp.search.run()")


def check_tasks(page):
    press(page, 'Tasks and regions', 'nav')
    page.run("document.querySelector('#tasks .fold').click()")
    requests = page.run("traceApp.trace.slice_kind.filter((k) => k === 4).length")
    bars = page.run('''[...document.querySelectorAll('#tasks .unfolded rect title')].reduce((sum, e) =>
        sum + Number(e.textContent.split(': ')[1]), 0)''')
    equal('a histogram holds every task once', bars, requests)
    slowest = page.run('''(() => { const t = traceApp.trace; let max = 0; for (let i = 0; i < t.nslices; i++)
        if (t.slice_kind[i] === 4) max = Math.max(max, t.length(i)); return max; })()''')
    page.run("document.querySelector('#tasks .unfolded tbody .jump').click()")
    equal('the first of the slowest is the slowest, in the timeline', page.run('''[document.getElementById('timeline').hidden,
        traceApp.trace.length(traceApp.timeline.item.index)]'''), [False, slowest])
    contains('with the regions it went through', text(page, '#panel'), 'handle request')
    page.run("[...document.querySelectorAll('#tasks .unfolded rect')].find((r) => r.getAttribute('height') > 0)"
             ".dispatchEvent(new Event('click'))")
    contains('a bar shows those within it', text(page, '#tasks .unfolded caption') if page.run(
        "traceApp.go('tasks') ?? true") else '', 'that took')
    press(page, 'Timeline', 'nav')


def check_queue(page):
    """The sentence on a queue leads to where three threads wait for one lock: threads 1 to 3, from 2 to 6 ms."""
    times = page.run('''import('./locks.js').then((m) => { const t = { slice_start: [0, 1, 2, 7], slice_end: [6, 6.5, 8, 9] };
        return m.crowd(t, { slices: [0, 1, 2, 3] }); })''')
    equal('the queue that is shown is where most wait for longest', times, {'threads': 3, 'from': 2, 'to': 6})
    equal('one thread is no queue', page.run('''import('./locks.js').then((m) => m.crowd({ slice_start: [0], slice_end: [6] },
        { slices: [0] }).threads)'''), 0)


def check_leaked(page):
    """Of threads that wait to the end only those are lost that outlive all that ended; by a trace of two kinds."""
    found = page.run('''import('./findings.js').then((m) => { const WAIT = 3, t = { nthreads: 4, end: 100,
        thread_start: [1, 10, 90, 20], thread_end: [60, 100, 100, 100], thread_state_first: [0, 1, 2, 3, 4],
        state_class: [0, WAIT, WAIT, WAIT], state_start: [1, 10, 90, 20], state_end: [60, 100, 100, 100],
        startFunction: () => 'serve', threadName: () => 'x' }; return m.lost(t)?.text; })''')
    equal('threads that wait to the end are told from those that are about to end', found,
          '2 threads of serve began, then waited and never ran again')


def check_real(page):
    open_page(page, REAL)
    frame(page)
    threads = page.run('traceApp.trace.nthreads')
    ok('a recorded trace has its threads', threads >= 5, threads)
    lives = page.run('''[...Array(traceApp.trace.nthreads).keys()].map((t) => traceApp.trace.times(t).reduce((a, b) => a + b, 0) -
        (traceApp.trace.thread_end[t] - traceApp.trace.thread_start[t]))''')
    ok('whose states fill their lives', all(abs(life) < 10 for life in lives), lives)
    check_queue(page)
    check_leaked(page)
    press(page, 'Locks', 'nav')
    waits = int(cells(page, 'locks', 1, 0)[3])
    ok('and the semaphore that they waited for, which is no lock', waits >= 4, waits)
    page.run("document.querySelectorAll('#locks .content > .table')[1].querySelector('.fold').click()")
    contains('with the place in the source', text(page, '#locks .stack'), 'PyThread_acquire_lock')


def check_empty(page):
    """A trace without events, and addresses that name what is not there."""
    open_page(page, EMPTY)
    frame(page)
    contains('a trace without events says so', text(page, '#notices'), 'there is no event in it')
    page.run('new Promise((r) => setTimeout(r, 50))')
    equal('and nothing stands out', page.run("document.getElementById('findings').childElementCount"), 0)
    for part in ('sort=__proto__', 'view=constructor', 'item=slice-99', 'range=5-1', 'from=x&to=1e99', 'hide=7.x'):
        open_page(page, f'{EMPTY}#{part}')
        ok(f'#{part} is no reason to fail', page.run("traceApp.view === 'timeline'"))


def check_looks(width, dark):
    with Browser(width, 900, dark) as page:
        open_page(page, SHOP)
        frame(page)
        name = f'at {width} pixels, {"dark" if dark else "light"}'
        equal(f'{name}: nothing sticks out', page.run('document.documentElement.scrollWidth'), width)
        ok(f'{name}: every view can be reached', page.run('''[...document.querySelectorAll('nav button, .tools button, .tools input')]
            .every((b) => b.getBoundingClientRect().right <= window.innerWidth)'''))
        near(f'{name}: the timeline takes the width', page.run('''document.getElementById('plot').getBoundingClientRect()
            .right'''), width, 20)
        equal(f'{name}: the theme is taken', page.run('getComputedStyle(document.body).backgroundColor'),
              'rgb(20, 24, 29)' if dark else 'rgb(255, 255, 255)')
        ok(f'{name}: something of many colours is drawn', page.run('''new Set(new Uint32Array(document
            .getElementById('plot').getContext('2d').getImageData(0, 0, 800, 300).data.buffer)).size''') > 12)
        press(page, 'Threads', 'nav')
        ok(f'{name}: columns have their heads', page.run('''[...document.querySelectorAll('#threads thead th')]
            .every((h) => h.getBoundingClientRect().height > 0)'''))
        equal(f'{name}: and the table stays within the page', page.run('document.documentElement.scrollWidth'), width)
        equal(f'{name}: without complaint', page.complaints, [])


def main():
    try:
        with Browser(1280, 900) as page:
            for check in (check_drawn, check_findings, check_click, check_selection, check_zoom, check_search, check_tables, check_shop,
                          check_real, check_empty):
                check(page)
            # The browser's advice on getImageData is on what is done here.
            equal('the scripts run without complaint', [c for c in page.complaints if 'getImageData' not in c], [])
        for width, dark in ((400, False), (600, True), (1024, False), (1920, True)):
            check_looks(width, dark)
    except Exception:  # what is not there, or not in time, is a failure like any other
        ok('every check could be made', False, traceback.format_exc())
    print(f'1..{count}')
    return failed > 0


sys.exit(main())
