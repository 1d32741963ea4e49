"""What the notebooks about the search page share: the server in a thread of its own, and requests to it.

    with running(index) as url: neighbors = ask(f'{url}/search', photo)['neighbors']
"""
import contextlib
import json
import threading
import urllib.error
import urllib.request

from unifex.serve import serve


@contextlib.contextmanager
def running(index, **kwargs):
    "Address of a server that ends with the block; `kwargs` as for `serve`"
    started = []
    there = threading.Event()
    def ready(url, server):
        started.extend([url, server])
        there.set()
    thread = threading.Thread(target=serve, args=[index], kwargs=dict(port=0, ready=ready, **kwargs), daemon=True)
    thread.start()
    assert there.wait(30)
    url, server = started
    try: yield url
    finally:
        server.should_exit = True
        thread.join(30)


def get(url, data=None, **headers):
    "Status and body of an answer"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data, headers)
    try:
        with opener.open(request, timeout=60) as r: return r.status, r.read()
    except urllib.error.HTTPError as e: return e.code, e.read()


def ask(url, data=None, **headers):
    "An answer that is JSON"
    return json.loads(get(url, data, **headers)[1])


def status(url, data=None, **headers):
    "The status of an answer"
    return get(url, data, **headers)[0]
