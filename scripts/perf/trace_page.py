"""Opens a trace in the browser and draws; called by trace_page.sh with the program, the trace and the number of rounds."""
import os
import re
import subprocess
import sys
import time

from browser import Browser

PROGRAM, TRACE, ROUNDS = sys.argv[1], sys.argv[2], int(sys.argv[3])
READY = "document.body && document.body.dataset.state === 'ready'"
# Zooms in to 1/800 and out again, moves to and fro, scrolls: each step waits for its frame.
DRAW = '''(async () => {
    const tl = traceApp.timeline, frame = () => new Promise((r) => requestAnimationFrame(r)), step = async (f) => {
        f();
        await frame();
    };
    tl.frames.length = 0;
    for (let i = 0; i < 60; i++)
        await step(() => tl.zoom(i < 30 ? 0.8 : 1.25, tl.trace.end * 0.4));
    for (let i = 0; i < 60; i++)
        await step(() => tl.pan(i % 2 ? 0.1 : -0.1));
    for (let i = 0; i < 60; i++)
        await step(() => tl.scroller.scrollTop = i * 20);
    return tl.frames.slice().sort((a, b) => a - b);
})()'''


def report(name, measured, bar, good):
    print(f"{name}\t{measured}\t{bar}\t{'ok' if good else 'MISSED'}", flush=True)


def serve():
    """The program, where its page is, and the seconds that it took to serve it."""
    began = time.monotonic()
    server = subprocess.Popen([PROGRAM, '-http=127.0.0.1:0', TRACE], stdout=subprocess.PIPE, text=True)
    url = re.search(r'http://\S+', server.stdout.readline())
    if not url:
        sys.exit('trace_page: bin/trace does not serve')
    return server, url.group(0), time.monotonic() - began


def measure():
    """One opening: events, seconds to read, seconds until it is drawn, MB of heap, ms of each frame."""
    server, url, read_s = serve()
    try:
        with Browser(1920, 1080) as page:
            page.open(url)
            page.wait(READY)
            drawn_s = page.run("performance.getEntriesByName('drawn')[0].startTime") / 1e3
            heap = page.run('performance.memory.usedJSHeapSize') / 1e6
            return page.run('traceApp.trace.meta.events'), read_s, read_s + drawn_s, heap, page.run(DRAW)
    finally:
        server.terminate()
        server.wait()


def main():
    rounds = [measure() for _ in range(ROUNDS)]
    events, read_s, opened_s, _, _ = min(rounds, key=lambda r: r[2])
    size = os.path.getsize(TRACE) / 1e6
    report(f'trace page: {events} events, {size:.0f} MB', f'{opened_s:.2f} s ({read_s:.2f} s to read)', 'under 2 s', opened_s < 2)
    median = min(r[4][len(r[4]) // 2] for r in rounds)
    most = min(r[4][len(r[4]) * 95 // 100] for r in rounds)
    heap = min(r[3] for r in rounds)
    report('trace page: a frame, median', f'{median:.1f} ms', 'at most 16.7 ms', median <= 16.7)
    report('trace page: a frame, 95 of 100', f'{most:.1f} ms', 'at most 33 ms', most <= 33)
    report('trace page: heap in the browser', f'{heap:.0f} MB', 'at most 229 MB', heap <= 229)


main()
