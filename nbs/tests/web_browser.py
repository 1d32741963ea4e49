"""A page in Chromium, driven by the WebDriver protocol: what the notebook about the search page needs of it.

    with running(index) as url, browser() as call:
        page = Visit(call, url)
        page.choose('photo.jpg')
        wait(lambda: page.count('#found li') == 12)
"""
import base64
import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

HERE = bool(shutil.which('chromedriver') and shutil.which('chromium'))  # whether there is a browser


def wait(f, seconds=60):
    "The first true value of `f()`"
    end = time.time() + seconds
    while time.time() < end:
        with contextlib.suppress(OSError):
            if value := f(): return value
        time.sleep(.1)
    raise TimeoutError(f'nothing after {seconds} s')


FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--window-size=1000,820']


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as s: return s.getsockname()[1]


def driver(port):
    "A function (method, path, **body) that speaks to chromedriver"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    def call(method, path, **body):
        data = json.dumps(body).encode() if method == 'POST' else None
        request = urllib.request.Request(f'http://127.0.0.1:{port}{path}', data, {'Content-Type': 'application/json'}, method=method)
        with opener.open(request, timeout=120) as r: return json.loads(r.read())['value']
    return call


@contextlib.contextmanager
def browser(phone=None):
    "A function (method, path, **body) that speaks to a fresh Chromium, maybe one as wide as a phone"
    port = free_port()
    call = driver(port)
    process = subprocess.Popen(['chromedriver', f'--port={port}'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        try:
            wait(lambda: call('GET', '/status')['ready'])
            options = {'args': [*FLAGS, f'--user-data-dir={profile}']}
            if phone: options['mobileEmulation'] = {'deviceMetrics': phone}
            capabilities = {'alwaysMatch': {'goog:chromeOptions': options, 'goog:loggingPrefs': {'browser': 'ALL'}}}
            session = '/session/' + call('POST', '/session', capabilities=capabilities)['sessionId']
            try: yield lambda method, path, **body: call(method, session + path, **body)
            finally: call('DELETE', session)
        finally:
            process.terminate()
            process.wait()


KEYS = {'Enter': '\ue007', 'Escape': '\ue00c', 'ArrowRight': '\ue014', 'ArrowDown': '\ue015', 'ArrowLeft': '\ue012'}
class Visit:
    "A page that is open in a browser"
    def __init__(self, call, url):
        self.call = call
        call('POST', '/url', url=url)
        wait(lambda: self.run("return document.getElementById('about').textContent"))

    def run(self, script): return self.call('POST', '/execute/sync', script=script, args=[])
    def text(self, css): return self.run(f"return document.querySelector({css!r})?.textContent")
    def count(self, css): return self.run(f"return document.querySelectorAll({css!r}).length")
    def click(self, css, i=0): self.run(f"document.querySelectorAll({css!r})[{i}].click()")
    def ids(self): return self.run("return found.map(n => n.id)")
    def shot(self): return base64.b64decode(self.call('GET', '/screenshot'))

    def choose(self, *paths):
        self.run("document.getElementById('file').value = ''")  # as a click does
        field = self.call('POST', '/element', using='css selector', value='#file')
        text = '\n'.join(map(str, paths))
        self.call('POST', f'/element/{[*field.values()][0]}/value', text=text)

    def press(self, *keys):
        strokes = [{'type': kind, 'value': KEYS.get(key, key)} for key in keys for kind in ('keyDown', 'keyUp')]
        self.call('POST', '/actions', actions=[{'type': 'key', 'id': 'keys', 'actions': strokes}])

    def move(self, x, y, *then, kind='mouse'):
        "The pointer to a place in the map; `then` 'pointerDown', 'pointerUp'"
        box = self.run("const b = canvas.getBoundingClientRect(); return [b.left, b.top]")
        at = {'type': 'pointerMove', 'duration': 0, 'x': round(box[0] + x), 'y': round(box[1] + y)}
        actions = [at, *({'type': t, 'button': 0} for t in then)]
        pointer = {'type': 'pointer', 'id': kind, 'parameters': {'pointerType': kind}, 'actions': actions}
        self.call('POST', '/actions', actions=[pointer])

    def pinch(self, a, b, by):
        "Two fingers on the map that move apart, each `by` points"
        left, top = self.run("const b = canvas.getBoundingClientRect(); return [b.left, b.top]")
        def finger(name, x, y, step):
            at = lambda x: {'type': 'pointerMove', 'duration': 0, 'x': round(left + x), 'y': round(top + y)}
            moves = [at(x + step*i/6) for i in range(1, 7)]
            actions = [at(x), {'type': 'pointerDown', 'button': 0}, *moves, {'type': 'pointerUp', 'button': 0}]
            return {'type': 'pointer', 'id': name, 'parameters': {'pointerType': 'touch'}, 'actions': actions}
        self.call('POST', '/actions', actions=[finger('one', *a, -by), finger('two', *b, by)])
