"""Drives Debian's chromium through its DevTools protocol, over a pipe: no package beside the browser and Python is needed.

    with Browser(width=1280, height=800) as page:
        page.open('http://127.0.0.1:18085/')
        page.wait("document.body.dataset.state === 'ready'")
        page.click(400, 300)
        page.screenshot('page.png')

What a page's scripts complain of is in page.complaints.
"""
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--hide-scrollbars=false',
         '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1', '--remote-debugging-pipe', '--mute-audio']
KEYS = {'Escape': 27, 'Enter': 13, 'ArrowLeft': 37, 'ArrowUp': 38, 'ArrowRight': 39, 'ArrowDown': 40, 'Tab': 9}


class Failed(Exception):
    """The browser, or a script in it, said no."""


class Browser:
    def __init__(self, width=1280, height=800, dark=False, seconds=60):
        self.width, self.height, self.dark, self.seconds = width, height, dark, seconds
        self.folder = tempfile.mkdtemp(prefix='browser.')
        self.number = 0
        self.buffer = b''
        self.complaints = []
        self.session = None

    def __enter__(self):
        try:
            self._start()
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        to_browser, self.to = os.pipe()
        self.back, from_browser = os.pipe()

        def descriptors():  # the browser reads from 3 and writes to 4
            high = [os.dup2(to_browser, 60), os.dup2(from_browser, 61)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            ['chromium', *FLAGS, f'--window-size={self.width},{self.height}', f'--user-data-dir={self.folder}',
             'about:blank'], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=descriptors, start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)

    def _attach(self):
        targets = self.call('Target.getTargets')['targetInfos']
        target = next(t for t in targets if t['type'] == 'page')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log'):
            self.call(domain + '.enable')
        self.call('Emulation.setDeviceMetricsOverride', width=self.width, height=self.height, deviceScaleFactor=1,
                  mobile=False)
        self.call('Emulation.setEmulatedMedia',
                  features=[{'name': 'prefers-color-scheme', 'value': 'dark' if self.dark else 'light'}])

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        except (AttributeError, ProcessLookupError):
            pass
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- the protocol

    def call(self, method, **params):
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': params}
        if self.session:
            message['sessionId'] = self.session
        data = json.dumps(message).encode() + b'\0'
        while data:
            data = data[os.write(self.to, data):]
        deadline = time.monotonic() + self.seconds
        while True:
            answer = self._receive(deadline)
            if answer.get('id') == self.number:
                if 'error' in answer:
                    raise Failed(f"{method}: {answer['error']['message']}")
                return answer['result']
            self._event(answer)

    def _receive(self, deadline):
        while b'\0' not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.back], [], [], left)[0]:
                raise Failed(f'the browser said nothing for {self.seconds} s')
            data = os.read(self.back, 1 << 20)
            if not data:
                raise Failed('the browser ended')
            self.buffer += data
        message, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(message)

    def _event(self, event):
        params = event.get('params', {})
        if event.get('method') == 'Runtime.exceptionThrown':
            details = params['exceptionDetails']
            self.complaints.append(details.get('exception', {}).get('description', details['text']))
        elif event.get('method') == 'Log.entryAdded' and params['entry']['level'] in ('warning', 'error'):
            self.complaints.append(params['entry']['text'])
        elif event.get('method') == 'Runtime.consoleAPICalled' and params['type'] in ('error', 'warning'):
            self.complaints.append(str([a.get('value') for a in params['args']]))

    # ---- what a reader does

    def open(self, url):
        result = self.call('Page.navigate', url=url)
        if result.get('errorText'):
            raise Failed(f"{url}: {result['errorText']}")

    def run(self, script):
        """The value of a script's expression; a promise is waited for."""
        result = self.call('Runtime.evaluate', expression=script, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in result:
            details = result['exceptionDetails']
            raise Failed(f"{script}: {details.get('exception', {}).get('description', details['text'])}")
        return result['result'].get('value')

    def wait(self, script):
        """Until the expression is true."""
        deadline = time.monotonic() + self.seconds
        while not self.run(script):
            if time.monotonic() > deadline:
                raise Failed(f'never true: {script}')
            time.sleep(0.02)

    def mouse(self, kind, x, y, **more):
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **more)

    def click(self, x, y):
        self.mouse('mouseMoved', x, y)
        self.mouse('mousePressed', x, y, button='left', clickCount=1)
        self.mouse('mouseReleased', x, y, button='left', clickCount=1)

    def drag(self, x0, x1, y):
        self.mouse('mouseMoved', x0, y)
        self.mouse('mousePressed', x0, y, button='left', clickCount=1)
        for i in range(1, 5):
            self.mouse('mouseMoved', x0 + (x1 - x0) * i / 4, y, button='left', buttons=1)
        self.mouse('mouseReleased', x1, y, button='left', clickCount=1)

    def wheel(self, x, y, dy):
        self.mouse('mouseWheel', x, y, deltaX=0, deltaY=dy)

    def key(self, key):
        more = {'windowsVirtualKeyCode': KEYS[key]} if key in KEYS else {'text': key}
        self.call('Input.dispatchKeyEvent', type='keyDown', key=key, **more)
        self.call('Input.dispatchKeyEvent', type='keyUp', key=key)

    def type(self, text):
        self.call('Input.insertText', text=text)

    def screenshot(self, path):
        data = base64.b64decode(self.call('Page.captureScreenshot', format='png')['data'])
        with open(path, 'wb') as file:
            file.write(data)
