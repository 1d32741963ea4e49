"""A page in Chromium, driven by the WebDriver protocol: what the notebook about the search page needs of it.

    for page in searches(index, 'photo.jpg'):
        assert page.count('#found li') == 12
"""
import atexit
import base64
import contextlib
import io
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

from page_server import running
from PIL import Image

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


PHONE = {'width': 390, 'height': 844, 'pixelRatio': 2, 'touch': True}


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
    atexit.register(process.terminate)  # also where a visit broke off
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
    def texts(self, css): return self.run(f"return [...document.querySelectorAll({css!r})].map(e => e.textContent)")
    def count(self, css): return self.run(f"return document.querySelectorAll({css!r}).length")
    def click(self, css, i=0): self.run(f"document.querySelectorAll({css!r})[{i}].click()")
    def ids(self): return self.run("return found.map(n => n.id)")
    def shot(self): return base64.b64decode(self.call('GET', '/screenshot'))

    def choose(self, *paths):
        self.run("document.getElementById('file').value = ''")  # as a click does
        field = self.call('POST', '/element', using='css selector', value='#file')
        text = '\n'.join(map(str, paths))
        self.call('POST', f'/element/{[*field.values()][0]}/value', text=text)

    def until(self, script): return wait(lambda: self.run(f'return {script}'))

    def search(self, *paths):
        "Choose files and wait for the pictures of their neighbors"
        self.choose(*paths)
        self.until_shown()

    def until_all(self, condition):
        "Wait until there are neighbors, and `condition` holds for each `n`"
        self.until(f'found.length && found.every(n => {condition})')

    def until_shown(self):
        images = "[...document.querySelectorAll('#found img')]"
        self.until(f'{images}.length && {images}.every(i => i.naturalWidth > 0)')

    def until_map(self): self.until('plan && view.scale > 50')

    def until_open(self): self.until("$('original').open && $('large').naturalWidth")

    def fill(self, **values):
        "Give fields other values, as typing does"
        for name, value in values.items():
            self.run(f"const e = $('{name}'); e.value = {value!r};"
                     "for (const type of ['input', 'change']) e.dispatchEvent(new Event(type))")

    def keep(self):
        "Remember the chosen file, to hand it over in another way"
        self.run("window.kept = $('file').files[0]")

    def hand_over(self, event):
        "The kept file as `d` of an event"
        self.run(f'const d = new DataTransfer(); d.items.add(window.kept); {event}')

    def drop(self):
        how = '{dataTransfer: d, bubbles: true, cancelable: true}'
        self.hand_over(f"document.body.dispatchEvent(new DragEvent('drop', {how}))")

    def paste(self): self.hand_over("dispatchEvent(new ClipboardEvent('paste', {clipboardData: d}))")

    def focus(self, css): self.run(f"document.querySelector({css!r}).focus()")

    def act(self, *devices): self.call('POST', '/actions', actions=[*devices])

    def press(self, *keys):
        strokes = [{'type': kind, 'value': KEYS.get(key, key)} for key in keys for kind in ('keyDown', 'keyUp')]
        self.act({'type': 'key', 'id': 'keys', 'actions': strokes})

    def pointer(self, name, kind, *steps):
        "A pointer that goes to places (x, y) on the map, and does 'pointerDown' and 'pointerUp' there"
        left, top = self.run("const b = canvas.getBoundingClientRect(); return [b.left, b.top]")
        def action(step):
            if isinstance(step, str): return {'type': step, 'button': 0}
            return {'type': 'pointerMove', 'duration': 0, 'x': round(left + step[0]), 'y': round(top + step[1])}
        actions = [action(step) for step in steps]
        return {'type': 'pointer', 'id': name, 'parameters': {'pointerType': kind}, 'actions': actions}

    def move(self, x, y, *then, kind='mouse'):
        "The pointer to a place in the map; `then` 'pointerDown', 'pointerUp'"
        self.act(self.pointer(kind, kind, (x, y), *then))

    def pinch(self, a, b, by):
        "Two fingers on the map that move apart, each `by` points"
        def finger(name, x, y, by):
            start, *way = [(x + by*i/6, y) for i in range(7)]
            return self.pointer(name, 'touch', start, 'pointerDown', *way, 'pointerUp')
        self.act(finger('one', *a, -by), finger('two', *b, by))

    def look_at_first(self):
        "The map from near, at the best neighbor"
        self.run('const i = plan.id.indexOf(found[0].id);'
                 'view.x = plan.x[i] - .05; view.y = plan.y[i] - .05; zoom(6, 0, 0)')

    def columns(self):
        "How many neighbors stand in a row"
        return self.run("return getComputedStyle($('found')).gridTemplateColumns.split(' ').length")

    def place(self, id):
        "Where a picture is on the map"
        return self.run(f'return place(plan.id.indexOf({id}))')

    def pointed(self):
        "The id under the pointer"
        return self.run('return plan.id[pointed]')

    def too_low(self):
        "What is to be tapped and is less than 44 points high"
        return self.run("""return [...document.querySelectorAll('button, select, input:not([type=range])')]
            .filter(e => e.offsetHeight && e.offsetHeight < 44 && e.id != 'file').map(e => e.outerHTML)""")

    def from_elsewhere(self):
        "What was loaded from another server"
        return self.run("""return performance.getEntriesByType('resource').map(r => new URL(r.name))
            .filter(u => u.protocol != 'blob:' && u.origin != location.origin).map(String)""")

    def complaints(self):
        "What the browser has to say, but for answers that refuse"
        said = [line['message'] for line in self.call('POST', '/se/log', type='browser')]
        return [line for line in said if 'status of 4' not in line]


def visits(index, at='', phone=None):
    "For a `for`: the page of an index in a browser, of which nothing may come from elsewhere; none without a browser"
    if not HERE: return
    with running(index) as url, browser(phone) as call:
        page = Visit(call, url + at)
        yield page
        assert (page.from_elsewhere(), page.complaints()) == ([], [])


def searches(index, *paths, phone=None):
    "Visits that begin with a search by files"
    for page in visits(index, phone=phone):
        page.search(*paths)
        yield page


def maps(index, phone=None):
    "Visits that begin with the map"
    for page in visits(index, '#map', phone):
        page.until_map()
        yield page


def few_colors(png, width=600):
    "A screenshot, small and with few colors, as PNG"
    picture = Image.open(io.BytesIO(png)).convert('RGB')
    picture.thumbnail((width, width), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.quantize(128).save(out, 'PNG', optimize=True)
    return out.getvalue()
