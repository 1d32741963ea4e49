"""Servers on this machine that answer as Google Drive and the Hugging Face Hub do, faults included.

Uploads go wrong where no test on good days looks: in the middle of a file, after the last byte but before the answer,
on the day when a token runs out. `DriveStandIn` and `HubStandIn` speak the HTTP of the real ones, as far as unifex and
huggingface_hub need it, and fail on request. They check what they are sent as strictly as the originals say they do.
What they hold is in memory and gone afterwards; they listen on the loopback address only.

    with HubStandIn() as server, hub_online(cache):
        server.fault('put', 503, 'drop')      # what goes wrong with the next two uploads of a large file
        push('model', 'hf:you/model', endpoint=server.url, token=server.token())
    server.files('you/model')

71_stand_ins.ipynb shows and tests them.
"""
import base64, hashlib, io, json, logging, re, secrets, tempfile, threading, time, traceback, urllib.request, webbrowser
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock
from urllib.parse import parse_qsl, quote, unquote, urlsplit

# ---- a server that fails when told to


@dataclass
class Request:
    "What arrived, and what was answered"
    kind: str  # by method and path, see `StandIn.routes`
    method: str
    path: str  # without the query
    args: tuple  # groups of the route's pattern
    query: dict
    headers: dict  # names in lower case
    body: bytes = field(repr=False)
    whole: bool = True  # False: the connection broke in the middle of the body
    status: int = 0

    def json(self): return json.loads(self.body or b'{}')

    def bearer(self): return self.headers.get('authorization', '').removeprefix('Bearer ')


@dataclass
class Reply:
    "What is answered; a body that is no bytes is sent as JSON"
    status: int = 200
    body: object = b''
    headers: dict = field(default_factory=dict)


class StandIn:
    "A server for as long as the `with` block lasts; a request of kind x is answered by `on_x(request, fault)`"
    routes = ()  # (kind, method, pattern of the path)
    kinds_in_parts = ()  # whose body counts even where it broke off

    def __init__(
        self,
        delay: float = 0.,  # seconds before each answer
    ):
        self.delay = delay
        self.faults = {}  # kind -> what goes wrong next
        self.seen = []  # every `Request`
        self.lock = threading.RLock()

    def fault(self, kind: str, *faults):
        """What goes wrong with the next requests of this kind, one after another; None: nothing

        503, or (429, {'Retry-After': '1'}): that status is answered; 'drop': the connection is cut in the middle of the
        body, of which the server keeps what it has; 'lost': the request is carried out and the answer never arrives.
        Other words are for the server in question."""
        self.faults.setdefault(kind, []).extend(faults)

    def count(self, kind: str) -> int:
        "How many requests of this kind have arrived"
        return sum(r.kind == kind for r in self.seen)

    @property
    def url(self) -> str: return f'http://127.0.0.1:{self.http.server_port}'

    def __enter__(self):
        self.http = ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
        self.http.daemon_threads = True
        self.http.stand_in = self
        threading.Thread(target=self.http.serve_forever, kwargs={'poll_interval': .02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def route(self, method: str, path: str) -> tuple[str, tuple]:
        "Kind of a request, and the groups of its pattern"
        for kind, route_method, pattern in self.routes:
            match = re.fullmatch(pattern, path)
            if match and method == route_method: return kind, match.groups()
        return 'unknown', ()

    def next_fault(self, kind: str):
        with self.lock:
            faults = self.faults.get(kind)
            return faults.pop(0) if faults else None

    def answer(self, r: Request, fault) -> Reply:
        "Note the request and carry it out, unless it fails"
        with self.lock:
            self.seen.append(r)
            reply = self._reply(r, fault)
            r.status = reply.status
        return reply

    def _reply(self, r, fault):
        if r.kind == 'unknown': return Reply(404, {'error': f'no such address {r.path}'})
        status, headers = fault if isinstance(fault, tuple) else (fault, {})
        if isinstance(status, int): return Reply(status, {'error': {'code': status, 'message': 'as asked'}}, headers)
        if not r.whole and r.kind not in self.kinds_in_parts: return Reply(400)
        return self.refuse(r) or getattr(self, f'on_{r.kind}')(r, fault)

    def refuse(self, r: Request) -> Reply | None:
        "What is answered to a request that may not be carried out"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout = 30

    def log_message(self, *_): pass

    def _serve(self):
        server = self.server.stand_in
        url = urlsplit(self.path)
        path = unquote(url.path)
        kind, args = server.route(self.command, path)
        fault = server.next_fault(kind)
        try: body, whole = self._read(half=fault == 'drop')
        except OSError: body, whole = b'', False
        query = dict(parse_qsl(url.query))
        headers = {name.lower(): value for name, value in self.headers.items()}
        time.sleep(server.delay)
        reply = server.answer(Request(kind, self.command, path, args, query, headers, body, whole), fault)
        if not whole or fault in ('drop', 'lost'): self.close_connection = True
        else: self._send(reply)

    def _read(self, half) -> tuple[bytes, bool]:
        "The body, or its first half; False: it broke off"
        if self.headers.get('Transfer-Encoding') == 'chunked': return self._read_chunked(), True
        size = int(self.headers.get('Content-Length') or 0)
        left = size//2 if half else size
        parts = []
        while left and (part := self.rfile.read1(min(left, 1 << 16))):
            parts.append(part)
            left -= len(part)
        return b''.join(parts), not half and not left

    def _read_chunked(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline() or b'0', 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b''.join(parts)

    def _send(self, reply):
        raw = isinstance(reply.body, bytes)
        data = reply.body if raw else json.dumps(reply.body).encode()
        kind = 'application/octet-stream' if raw else 'application/json'
        headers = {'Content-Type': kind, 'Content-Length': len(data)} | reply.headers
        try:
            self.send_response(reply.status)
            for name, value in headers.items(): self.send_header(name, str(value))
            self.end_headers()
            if self.command != 'HEAD': self.wfile.write(data)
        except OSError: self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve


def _content(content: bytes, r: Request) -> Reply:
    "Content, or the `Range` of it that was asked for"
    match = re.fullmatch(r'bytes=(\d+)-(\d*)', r.headers.get('range', ''))
    if not match: return Reply(body=content, headers={'Accept-Ranges': 'bytes'})
    size = len(content)
    first = int(match[1])
    last = min(int(match[2] or size), size - 1)
    if first >= size: return Reply(416, headers={'Content-Range': f'bytes */{size}'})
    return Reply(206, content[first:last + 1], {'Content-Range': f'bytes {first}-{last}/{size}'})


@contextmanager
def short_waits():
    "unifex waits a hundredth of a second between its tries, or what the server asks for"
    from unifex import hub
    wait = hub._wait
    with mock.patch('unifex.hub._wait', lambda seconds, after: wait(.01, after)): yield


# ---- what tests of uploads compare, and what they search for tokens


def same(a, b):
    "Megabytes, which test_eq compares byte by byte"
    assert a == b, 'contents differ'


def says(f, *args, **kwargs) -> str:
    "The message of the `HubError` that `f` raises; printed too, without the temporary folder"
    from unifex.hub import HubError
    try: f(*args, **kwargs)
    except HubError as e: error = re.sub(re.escape(tempfile.gettempdir()) + r'/\w+', '...', str(e))
    print('-', error)
    return error


def traceback_of(f, *args) -> str:
    "What is printed of the error that `f` raises"
    try: f(*args)
    except Exception: return traceback.format_exc()
    raise AssertionError('no error')


class _Everything(logging.Handler):
    "Writes every record with all that it holds"
    def __init__(self):
        super().__init__()
        self.logs = io.StringIO()

    def emit(self, record): self.logs.write(f'{record.getMessage()} {vars(record)}\n')


# what may log the requests of huggingface_hub, of whichever version
HTTP_PACKAGES = 'urllib3', 'requests', 'httpx', 'httpx2', 'httpcore', 'httpcore2', 'huggingface_hub'


@contextmanager
def all_logged(*packages: str):
    "Log at the finest level, from everywhere and from these packages; yields a StringIO"
    handler = _Everything()
    loggers = [logging.getLogger(), *map(logging.getLogger, packages)]
    before = [logger.level for logger in loggers]
    logging.disable(logging.NOTSET)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
    try: yield handler.logs
    finally:
        for logger, level in zip(loggers, before):
            logger.setLevel(level)
            logger.removeHandler(handler)


# ---- Google Drive

FOLDER = 'application/vnd.google-apps.folder'
SCOPE = 'https://www.googleapis.com/auth/drive'
CHUNK = 256 << 10  # bytes that the chunks of an upload are multiples of


def google_error(status: int, reason: str, message: str) -> Reply:
    "An error in the words of Google"
    errors = [dict(domain='global', reason=reason, message=message)]
    return Reply(status, {'error': dict(code=status, message=message, errors=errors)})


class DriveStandIn(StandIn):
    """Google Drive v3 and Google's token server

    Files have ids, and a folder may hold two of the same name. A resumable upload begins with a request that gives a
    session, an address of its own; chunks go there, each with its place in `Content-Range`. The answer is 308 with a
    `Range` of what has arrived, and 200 with the file when all has
    (developers.google.com/workspace/drive/api/guides/manage-uploads#resumable). More faults of 'send':
    'expire': the session is gone; 'corrupt': the last byte of the chunk is changed."""
    routes = (
        ('consent', 'GET', '/auth'),
        ('token', 'POST', '/token'),
        ('list', 'GET', '/drive/v3/files'),
        ('create', 'POST', '/drive/v3/files'),
        ('get', 'GET', '/drive/v3/files/([^/]+)'),
        ('start', 'POST', '/upload/drive/v3/files'),
        ('start', 'PATCH', '/upload/drive/v3/files/([^/]+)'),
        ('send', 'PUT', '/upload/drive/v3/files'),
    )
    kinds_in_parts = ('send',)

    def __init__(self, delay: float = 0.):
        super().__init__(delay)
        self.files = {'root': dict(id='root', name='My Drive', mimeType=FOLDER, parents=[])}
        self.sessions = {}  # id -> how far an upload is
        self.access_tokens = set()
        self.refresh_tokens = set()
        self.codes = set()  # of consents
        self.public_keys = {}  # of service accounts, by e-mail address

    # what a test does without HTTP

    def new(self, name: str, parent: str = 'root', content: bytes | None = None) -> str:
        "Put a folder there, or a file with `content`; returns its id"
        kind = FOLDER if content is None else 'application/octet-stream'
        file = dict(id=secrets.token_hex(8), name=name, parents=[parent], mimeType=kind)
        self.files[file['id']] = file
        if content is not None: self.fill(file, content)
        return file['id']

    def fill(self, file: dict, content: bytes):
        md5 = hashlib.md5(content).hexdigest()
        link = f"{self.url}/file/d/{file['id']}"
        file.update(content=content, size=str(len(content)), md5Checksum=md5, webViewLink=link)
        file['changed'] = time.monotonic_ns()

    def tree(self, parent: str = 'root', at: str = '') -> dict[str, bytes]:
        "Path -> content of all files below a folder"
        found = {}
        for file in self.files.values():
            if parent not in file['parents']: continue
            path = at + file['name']
            found |= self.tree(file['id'], f'{path}/') if file['mimeType'] == FOLDER else {path: file['content']}
        return found

    @property
    def received(self) -> int:
        "Bytes of content that have arrived"
        return sum(len(r.body) for r in self.seen if r.kind == 'send')

    # the token server: an OAuth client stands for the program, a person consents in the browser, and the program gets
    # an access token of an hour and a refresh token that gives new ones; a service account signs its request with a key

    def client_secret(self) -> dict:
        "What the Cloud console gives for an OAuth client of the type Desktop app"
        return {'installed': dict(
            client_id='test.apps.googleusercontent.com', client_secret=f'GOCSPX-{secrets.token_hex(8)}',
            project_id='test', auth_uri=f'{self.url}/auth', token_uri=f'{self.url}/token',
            redirect_uris=['http://localhost'],
        )}

    def user_token(self) -> dict:
        "A token as it is saved after a consent"
        expiry = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 3599))
        token = dict(token=self._access_token(), refresh_token=self._refresh_token(), scopes=[SCOPE], expiry=expiry)
        return self.client_secret()['installed'] | token | {'type': 'authorized_user'}

    def service_key(self) -> dict:
        "The key of a service account; needs the package cryptography, which google-auth brings along"
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
        key = rsa.generate_private_key(65537, 2048)
        email = 'test@test.iam.gserviceaccount.com'
        self.public_keys[email] = key.public_key()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return dict(type='service_account', project_id='test', private_key_id='1', private_key=pem.decode(),
                    client_email=email, client_id='1', token_uri=f'{self.url}/token')

    def _access_token(self) -> str:
        token = f'ya29.{secrets.token_hex(16)}'
        self.access_tokens.add(token)
        return token

    def _refresh_token(self) -> str:
        token = f'1//{secrets.token_hex(16)}'
        self.refresh_tokens.add(token)
        return token

    def _signed(self, assertion: str) -> bool:
        "Whether a JWT is signed with a key that this server knows, and is still valid"
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding
        decode = lambda part: base64.urlsafe_b64decode(part + '=' * (-len(part) % 4))
        header, claims, signature = (assertion.split('.') + ['', ''])[:3]
        try:
            claim = json.loads(decode(claims))
            key = self.public_keys[claim['iss']]
            key.verify(decode(signature), f'{header}.{claims}'.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (ValueError, KeyError, InvalidSignature): return False
        for_google = claim['aud'] == 'https://oauth2.googleapis.com/token'  # whatever the address
        return for_google and claim['exp'] > time.time()

    def on_consent(self, r, fault):
        code = secrets.token_hex(8)
        self.codes.add(code)
        answer = f"code={code}&state={quote(r.query['state'])}&scope={quote(SCOPE)}"
        return Reply(302, headers={'Location': f"{r.query['redirect_uri']}?{answer}"})

    def on_token(self, r, fault):
        form = dict(parse_qsl(r.body.decode()))
        kind = form.get('grant_type')
        consented = kind == 'authorization_code'
        if kind == 'refresh_token': granted = form.get('refresh_token') in self.refresh_tokens
        elif consented: granted = form.get('code') in self.codes
        else: granted = self._signed(form.get('assertion', ''))
        if not granted:
            return Reply(400, {'error': 'invalid_grant', 'error_description': 'Token has been expired or revoked.'})
        answer = dict(access_token=self._access_token(), expires_in=3599, token_type='Bearer', scope=SCOPE)
        if consented:
            self.codes.discard(form['code'])
            answer['refresh_token'] = self._refresh_token()
        return Reply(body=answer)

    # files

    def refuse(self, r):
        if r.kind in ('consent', 'token'): return None
        if r.bearer() not in self.access_tokens: return google_error(401, 'authError', 'Invalid Credentials')
        if r.kind == 'send': return None
        if r.query.get('supportsAllDrives') != 'true':
            return google_error(404, 'notFound', 'a file of a shared drive, for which supportsAllDrives was not said')
        for file in r.args:
            if file not in self.files: return self._not_found(file)

    def _not_found(self, file): return google_error(404, 'notFound', f'File not found: {file}.')

    def _shown(self, file: dict, r: Request) -> dict:
        "The fields of a file that were asked for, or those that Drive gives unasked"
        asked = re.sub(r'.*files\((.*?)\).*', r'\1', r.query.get('fields', ''))
        names = asked.split(',') if asked else ['id', 'name', 'mimeType', 'kind']
        return {name: file[name] for name in names if name in file}

    def on_list(self, r, fault):
        "Files that fit `q`, in the part of its language that is needed here; the latest first"
        query = r.query.get('q', '')
        want = re.findall(r"(name|mimeType) = '((?:[^'\\]|\\.)*)'", query)
        want = {name: re.sub(r'\\(.)', r'\1', value) for name, value in want}
        parent = re.search(r"'([^']+)' in parents", query)
        if parent and parent[1] not in self.files: return self._not_found(parent[1])
        found = [file for file in self.files.values() if want.items() <= file.items()]
        if parent: found = [file for file in found if parent[1] in file['parents']]
        found.sort(key=lambda file: -file.get('changed', 0))
        start = int(r.query.get('pageToken', 0))
        end = start + int(r.query.get('pageSize', 100))
        page = {'files': [self._shown(file, r) for file in found[start:end]]}
        return Reply(body=page | ({'nextPageToken': str(end)} if end < len(found) else {}))

    def on_create(self, r, fault):
        meta = r.json()
        folder = self.new(meta['name'], *meta.get('parents', ['root']))
        return Reply(body=self._shown(self.files[folder], r))

    def on_get(self, r, fault):
        file = self.files[r.args[0]]
        if r.query.get('alt') == 'media': return _content(file['content'], r)
        return Reply(body=self._shown(file, r))

    def on_start(self, r, fault):
        "Open a session, for a new file or for another content of an old one"
        if r.query.get('uploadType') != 'resumable' or 'x-upload-content-length' not in r.headers:
            return google_error(400, 'badRequest', 'not a resumable upload')
        meta = r.json()
        for parent in meta.get('parents', []):
            if parent not in self.files: return self._not_found(parent)
        session = secrets.token_hex(16)
        size = int(r.headers['x-upload-content-length'])
        replaces = r.args[0] if r.args else None
        self.sessions[session] = dict(file=replaces, meta=meta, size=size, got=bytearray(), start=r)
        address = f'{self.url}/upload/drive/v3/files?uploadType=resumable&upload_id={session}'
        return Reply(headers={'Location': address})

    def on_send(self, r, fault):
        "A chunk for a session, or the question how far it is"
        session_id = r.query.get('upload_id')
        if fault == 'expire': self.sessions.pop(session_id, None)
        session = self.sessions.get(session_id)
        if session is None: return google_error(404, 'notFound', 'the session is gone')
        place = re.fullmatch(r'bytes (\*|(\d+)-(\d+))/(\d+)', r.headers.get('content-range', ''))
        size = session['size']
        if not place or int(place[4]) != size:
            return google_error(400, 'badRequest', 'Content-Range is not that of the session')
        got = session['got']
        if place[2]:
            wrong = self._wrong_chunk(r, int(place[2]), int(place[3]), len(got), size)
            if wrong: return google_error(400, 'badRequest', wrong)
            got += r.body
            if fault == 'corrupt': got[-1] ^= 1
        if len(got) < size: return Reply(308, headers={'Range': f'bytes=0-{len(got) - 1}'} if got else {})
        return Reply(body=self._shown(self._finish(session), session['start']))

    def _wrong_chunk(self, r, first, last, arrived, size) -> str:
        if first != arrived: return f'byte {arrived} was expected, not {first}'
        n = last + 1 - first
        if r.whole and len(r.body) != n: return f'{n} bytes were announced, and {len(r.body)} came'
        if last + 1 < size and n % CHUNK: return 'not a multiple of 256 KiB'
        return ''

    def _finish(self, session) -> dict:
        "The file of a session whose bytes have all arrived"
        if 'done' not in session:
            meta = session['meta']
            file = session['file'] or self.new(meta['name'], meta.get('parents', ['root'])[0], b'')
            self.fill(self.files[file], bytes(session['got']))
            session['done'] = file
        return self.files[session['done']]


@contextmanager
def drive_online(server: DriveStandIn):
    "Every `GoogleDrive` is that of a server here; waits between tries are short"
    with (mock.patch.dict('os.environ', UNIFEX_DRIVE_ENDPOINT=server.url, NO_PROXY='127.0.0.1'),
          short_waits()): yield


class ConsentingBrowser(webbrowser.BaseBrowser):
    "A browser whose user consents at once"
    def open(self, url, *_, **__):
        threading.Thread(target=urllib.request.urlopen, args=(url,), daemon=True).start()
        return True


@contextmanager
def google_consent():
    "Every consent that is asked for in a browser is given; over plain HTTP, which oauthlib wants to be told"
    with (mock.patch.dict('os.environ', OAUTHLIB_INSECURE_TRANSPORT='1'),
          mock.patch('webbrowser.get', lambda *_: ConsentingBrowser())): yield


# ---- the Hugging Face Hub

EMPTY = '0'*40  # the commit that a repository begins with
LARGE = ('.safetensors', '.pt', '.onnx', '.bin', '.npy', '.parquet', '.png', '.zip')


def is_large(path: str, size: int) -> bool:
    "Whether the hub keeps a file in its large-file store"
    return size > 10 << 20 or path.endswith(LARGE)


def file_info(path: str, data: bytes) -> dict:
    "A file as the hub describes it"
    sha256 = hashlib.sha256(data).hexdigest()
    pointer = f'version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(data)}\n'.encode()
    large = is_large(path, len(data))
    blob = pointer if large else data
    git_id = hashlib.sha1(f'blob {len(blob)}\0'.encode() + blob).hexdigest()
    info = dict(type='file', path=path, size=len(data), oid=git_id)
    if large: info['lfs'] = dict(oid=sha256, size=len(data), pointerSize=len(pointer))
    return info


class HubStandIn(StandIn):
    """The Hugging Face Hub, as far as creating, committing to, listing and fetching a repository of models goes

    A repository is a list of commits, and a commit names all its files at once. Small text goes into the commit itself;
    every other file goes to the large-file store first, by its SHA-256, whole or in parts, and one that is there
    already is not asked for again (github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md). The newer store, Xet, is not
    there; see `hub_online`. One more fault of 'put': 'corrupt', the first byte is changed."""
    _repo = '([^/]+/[^/]+)'
    routes = (
        ('create', 'POST', '/api/repos/create'),
        ('yaml', 'POST', '/api/validate-yaml'),
        ('preupload', 'POST', f'/api/models/{_repo}/preupload/(.+)'),
        ('batch', 'POST', rf'/{_repo}\.git/info/lfs/objects/batch'),
        ('put', 'PUT', r'/lfs/(\w+)(?:/(\d+))?'),
        ('complete', 'POST', r'/lfs/(\w+)/complete'),
        ('verify', 'POST', r'/lfs/(\w+)/verify'),
        ('commit', 'POST', f'/api/models/{_repo}/commit/(.+)'),
        ('paths', 'POST', f'/api/models/{_repo}/paths-info/(.+)'),
        ('tree', 'GET', f'/api/models/{_repo}/tree/([^/]+).*'),
        ('info', 'GET', f'/api/models/{_repo}(?:/revision/(.+))?'),
        ('resolve', 'GET', f'/{_repo}/resolve/([^/]+)/(.+)'),
        ('resolve', 'HEAD', f'/{_repo}/resolve/([^/]+)/(.+)'),
    )

    def __init__(
        self,
        delay: float = 0.,
        part: int = 0,  # bytes; larger files go in parts of that size; 0: all whole
    ):
        super().__init__(delay)
        self.part = part
        self.repos = {}  # name -> {'private': bool, 'commits': [(id, {path: content})]}
        self.store = {}  # large files by SHA-256
        self.parts = {}  # (SHA-256, number) -> a part that has arrived
        self.tokens = set()

    # what a test does without HTTP

    def token(self) -> str:
        "A new token that may write"
        token = f'hf_{secrets.token_hex(17)}'
        self.tokens.add(token)
        return token

    def publish(self, repo: str, files: dict[str, bytes]):
        "A public repository that holds these files"
        self.repos[repo] = dict(private=False, commits=[(EMPTY, {}), ('1'*40, files)])

    def files(self, repo: str, revision: str = 'main') -> dict[str, bytes] | None:
        "Path -> content at a commit or at `main`, the only branch; None: there is no such revision"
        commits = self.repos[repo]['commits']
        return dict(commits).get(commits[-1][0] if revision == 'main' else revision)

    def n_commits(self, repo: str) -> int:
        "How many there are beside the empty one that a repository begins with"
        return len(self.repos[repo]['commits']) - 1

    @property
    def received(self) -> int:
        "Bytes of large files that have arrived"
        return sum(len(r.body) for r in self.seen if r.kind == 'put')

    # who may do what

    def refuse(self, r):
        known = r.bearer() in self.tokens
        if r.kind in ('yaml', 'put', 'complete'): return None  # parts go to signed addresses, without a token
        if r.kind in ('batch', 'verify'): return None if known else Reply(401)
        if r.kind == 'create': return None if known else Reply(401, {'error': 'Invalid username or password.'})
        repo, revision = (r.args + (None,))[:2]
        if repo not in self.repos or (self.repos[repo]['private'] and not known):
            return self._error(404 if known else 401, 'RepoNotFound', 'Repository not found')
        if r.kind in ('preupload', 'commit') and not known:
            return Reply(403, {'error': 'a token that may write is needed'})
        if self.files(repo, revision or 'main') is None:
            return self._error(404, 'RevisionNotFound', f'Invalid rev id: {revision}')

    def _error(self, status, code, message, **headers):
        headers = {'X-Error-Code': code, 'X-Error-Message': message} | headers
        return Reply(status, {'error': message}, headers)

    # the large-file store

    def on_batch(self, r, fault):
        "Which files are wanted, and where they go"
        objects = [self._upload_actions(o) for o in r.json()['objects']]
        return Reply(body=dict(transfer='multipart' if self.part else 'basic', objects=objects))

    def _upload_actions(self, wanted):
        oid = wanted['oid']
        size = wanted['size']
        if oid in self.store: return dict(oid=oid, size=size)
        address = f'{self.url}/lfs/{oid}'
        upload = dict(href=address)
        if self.part and size > self.part:
            n_parts = -(-size//self.part)
            addresses = {f'{i:05}': f'{address}/{i}' for i in range(1, n_parts + 1)}
            upload = dict(href=f'{address}/complete', header={'chunk_size': str(self.part)} | addresses)
        return dict(oid=oid, size=size, actions=dict(upload=upload, verify=dict(href=f'{address}/verify')))

    def on_put(self, r, fault):
        data = r.body
        if fault == 'corrupt': data = bytes([data[0] ^ 1]) + data[1:]
        oid, number = r.args
        if number: self.parts[oid, int(number)] = data
        else: self.store[oid] = data
        return Reply(headers={'ETag': f'"{hashlib.md5(data).hexdigest()}"'})

    def on_complete(self, r, fault):
        oid = r.args[0]
        if oid not in self.store:
            parts = [self.parts.pop((oid, part['partNumber'])) for part in r.json()['parts']]
            self.store[oid] = b''.join(parts)
        return self.on_verify(r, fault)

    def on_verify(self, r, fault):
        oid = r.args[0]
        content = self.store.get(oid, b'')
        if hashlib.sha256(content).hexdigest() == oid: return Reply(body={'success': True})
        self.store.pop(oid, None)
        return Reply(400, {'error': 'the content is not that of the SHA-256'})

    # repositories

    def on_yaml(self, r, fault): return Reply(body=dict(errors=[], warnings=[]))

    def on_create(self, r, fault):
        meta = r.json()
        repo = f"{meta['organization']}/{meta['name']}"
        address = f'{self.url}/{repo}'
        if repo in self.repos: return Reply(409, dict(error='You already created this model repo', url=address))
        private = meta.get('private') or meta.get('visibility') == 'private'
        self.repos[repo] = dict(private=private, commits=[(EMPTY, {})])
        return Reply(body=dict(url=address, name=repo, id=repo))

    def on_preupload(self, r, fault):
        "How each file is to be sent, and the checksum of the one that has its name already"
        repo, revision = r.args
        there = self.files(repo, revision)
        answers = []
        for file in r.json()['files']:
            path = file['path']
            mode = 'lfs' if is_large(path, file['size']) else 'regular'
            answer = dict(path=path, shouldIgnore=False, uploadMode=mode)
            if path in there:
                info = file_info(path, there[path])
                answer['oid'] = info.get('lfs', info)['oid']
            answers.append(answer)
        return Reply(body={'files': answers})

    def on_commit(self, r, fault):
        "One more commit; its lines are a header, files with their content, and large files by their SHA-256"
        repo, revision = r.args
        files = dict(self.files(repo, revision))
        for line in r.body.splitlines()[1:]:
            line = json.loads(line)
            value = line['value']
            path = value['path']
            if line['key'] == 'file': files[path] = base64.b64decode(value['content'])
            elif line['key'] == 'lfsFile':
                if value['oid'] not in self.store: return Reply(400, {'error': f'{path} is not in the store'})
                files[path] = self.store[value['oid']]
            else: files = {p: f for p, f in files.items() if not f'{p}/'.startswith(f"{path.rstrip('/')}/")}
        commit = hashlib.sha1(r.body + secrets.token_bytes(8)).hexdigest()
        self.repos[repo]['commits'].append((commit, files))
        address = f'https://huggingface.co/{repo}/commit/{commit}'
        return Reply(body=dict(success=True, commitOid=commit, commitUrl=address, hookOutput=''))

    def on_paths(self, r, fault):
        files = self.files(*r.args)
        asked = [value for name, value in parse_qsl(r.body.decode()) if name == 'paths']
        return Reply(body=[file_info(path, files[path]) for path in asked if path in files])

    def on_tree(self, r, fault):
        return Reply(body=[file_info(path, data) for path, data in self.files(*r.args).items()])

    def on_info(self, r, fault):
        repo, revision = r.args
        files = self.files(repo, revision or 'main')
        private = self.repos[repo]['private']
        siblings = [{'rfilename': path} for path in files]
        return Reply(body=dict(id=repo, modelId=repo, sha=self._commit(repo, revision), private=private, tags=[],
                               downloads=0, siblings=siblings))

    def on_resolve(self, r, fault):
        repo, revision, path = r.args
        files = self.files(repo, revision)
        commit = self._commit(repo, revision)
        if path not in files: return self._error(404, 'EntryNotFound', 'Entry not found', **{'X-Repo-Commit': commit})
        info = file_info(path, files[path])
        etag = f"\"{info.get('lfs', info)['oid']}\""
        reply = _content(files[path], r)
        reply.headers |= {'X-Repo-Commit': commit, 'ETag': etag, 'X-Linked-Size': info['size'], 'X-Linked-Etag': etag}
        return reply

    def _commit(self, repo, revision):
        return self.repos[repo]['commits'][-1][0] if revision in (None, 'main') else revision


@contextmanager
def hub_online(
    cache,  # folder for what is fetched
    server=None,  # a `HubStandIn` that every address of the hub is to mean
):
    "huggingface_hub set up for a `HubStandIn`: online, without Xet and waits, with a cache of its own"
    import huggingface_hub
    values = dict(HF_HUB_OFFLINE=False, HF_HUB_DISABLE_XET=True, HF_HUB_CACHE=str(cache))
    if server:
        template = server.url + '/{repo_id}/resolve/{revision}/{filename}'
        values |= dict(ENDPOINT=server.url, HUGGINGFACE_CO_URL_TEMPLATE=template)
    with ExitStack() as patches:
        patches.enter_context(mock.patch.multiple(huggingface_hub.constants, **values))
        patches.enter_context(mock.patch.dict('os.environ', NO_PROXY='127.0.0.1'))
        patches.enter_context(mock.patch('huggingface_hub.utils._http.time.sleep'))
        patches.enter_context(short_waits())
        yield
