"""An index on disk from ten thousand to two million pictures, beside faiss in memory on the same vectors."""
import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from harness import bench_row, installed, memory_mb, run_in_subprocess

SIZES = 10_000, 100_000, 500_000, 2_000_000
K = 10
CHANGED = 10_000  # pictures that are added, and removed
QUERIES = 200
SHELVES = 100  # a filter to one of them leaves 1 %
CHUNK = 2**17  # rows at a time


# ---- vectors


def packaged_embedder():
    import unifex.index  # patches `embeddings` in
    from unifex.embedder import Embedder
    return Embedder.zero_shot(img_size=128)


def sample_embeddings():
    "`Embeddings` of the packaged sample, 7,894 pictures, by the packaged backbone"
    from unifex.datasets import load_dataset, sample_root
    return packaged_embedder().embeddings(load_dataset('sample'), sample_root(), progress=False)


class Jitter:
    "Draws vectors like those of many pictures: one of a few, plus the difference of two others of one class"
    def __init__(self, embeddings):
        self.x = np.asarray(embeddings.vectors, np.float32)
        self.table = embeddings.table
        rows = pd.DataFrame({'row': range(len(self.x)), 'label': self.table.label, 'dataset': self.table.dataset})
        pairs = rows.merge(rows, on=['dataset', 'label'])
        self.pairs = pairs[pairs.row_x != pairs.row_y][['row_x', 'row_y']].to_numpy()

    def draw(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        "(n, D) float32 of length one, and (n,) the picture that each is near"
        rng = np.random.default_rng(seed)
        near = rng.integers(len(self.x), size=n)
        a, b = self.pairs[rng.integers(len(self.pairs), size=n)].T
        x = self.x[near] + rng.uniform(.3, 1, (n, 1)).astype(np.float32)*(self.x[a] - self.x[b])
        return x/np.linalg.norm(x, axis=1, keepdims=True), near

    def embeddings(self, n: int, seed: int, first: int = 0):
        "`Embeddings` of n made-up pictures, numbered from `first`, each on one of a hundred shelves"
        from unifex.evaluation import Embeddings
        x, near = self.draw(n, seed)
        names = [f'{i//1000:05d}/{i:09d}.jpg' for i in range(first, first + n)]
        table = self.table.iloc[near][['label', 'dataset', 'domain']].reset_index(drop=True)
        return Embeddings(x, table.assign(image=names, shelf=np.arange(first, first + n) % SHELVES))


def _jitter(folder) -> Jitter:
    from unifex.evaluation import Embeddings
    return Jitter(Embeddings.load(Path(folder)/'sample'))


def _parts(folder, n):
    "Embeddings of n pictures, a chunk at a time; the same whenever asked"
    jitter = _jitter(folder)
    for first in range(0, n, CHUNK):
        yield jitter.embeddings(min(CHUNK, n - first), seed=first, first=first)


def write_sample(folder):
    "Embed the sample, once for all sizes"
    sample_embeddings().save(Path(folder)/'sample')


def _changes(folder, n):
    "What is added, and the ids of what is removed"
    added = _jitter(folder).embeddings(CHANGED, seed=n + 1, first=n)
    removed = np.random.default_rng(1).choice(n, min(CHANGED, n//2), replace=False)
    return added, removed


def write_truth(folder, n):
    "Vectors, queries, and by faiss their true neighbors: of all, of a shelf, and after the changes"
    import faiss
    folder = Path(folder)
    x = np.concatenate([part.vectors for part in _parts(folder, n)])
    shelf = np.arange(n) % SHELVES == 7
    queries, _ = _jitter(folder).draw(QUERIES, seed=n + 2)
    def nearest(ids, vectors): return ids[faiss.knn(queries, vectors, K, metric=faiss.METRIC_INNER_PRODUCT)[1]]
    added, removed = _changes(folder, n)
    kept = np.delete(np.arange(n), removed)
    after = np.concatenate([kept, np.arange(n, n + CHANGED)])
    truth = {
        'all': nearest(np.arange(n), x),
        'shelf': nearest(np.flatnonzero(shelf), x[shelf]),
        'after': nearest(after, np.concatenate([x[kept], added.vectors])),
    }
    np.save(folder/'x.npy', x)
    np.savez(folder/'truth.npz', queries=queries, **truth)


# ---- costs


def timed(do) -> dict:
    "Seconds by the clock, and seconds of cores of this process, all threads"
    start, cpu = time.perf_counter(), time.process_time()
    do()
    return {'wall': time.perf_counter() - start, 'cpu': time.process_time() - cpu}


def median_cost(search, queries) -> dict:
    "The median costs of a query, in ms; the first does not count"
    costs = [timed(lambda: search(q)) for q in queries]
    return {clock: 1e3*median(c[clock] for c in costs[1:]) for clock in ('wall', 'cpu')}


def recall(found: list, truth: np.ndarray) -> float:
    "The share of the true neighbors that were found"
    return float(np.mean([len(set(a) & set(b))/len(b) for a, b in zip(found, truth)]))


def disk_mb(folder) -> float: return sum(f.stat().st_size for f in Path(folder).rglob('*') if f.is_file())/2**20


# ---- ours


def fill(folder, n) -> float:
    "Seconds of writing an index, a chunk at a time, after the first"
    from unifex.index import Index
    parts = _parts(folder, n)
    index = Index(next(parts), packaged_embedder(), folder, Path(folder)/f'index-{n}')
    return sum(timed(lambda: index.add(part))['wall'] for part in parts)


def build(folder, n) -> dict:
    "Costs of an exact search, and of the IVF"
    from unifex.index import load_index
    path = Path(folder)/f'index-{n}'
    index = load_index(path)
    queries = np.load(Path(folder)/'truth.npz')['queries']
    figures = {'exact': median_cost(lambda q: index.search(vectors=q, k=K), queries[:6])}
    figures['exact batch'] = 10*timed(lambda: index.search(vectors=queries[:100], k=K))['cpu']
    figures['build'] = timed(index.build)
    return figures | {'disk': disk_mb(path), 'memory': memory_mb('VmHWM')}


def ask_and_change(folder, n) -> dict:
    "Costs of opening, searching, filtering, adding and removing, in a process that does nothing else"
    from unifex.index import load_index
    saved = np.load(Path(folder)/'truth.npz')
    queries = saved['queries']
    load_index(Path(folder)/f'index-{n}')  # libraries load
    figures = {'open': min(timed(lambda: load_index(Path(folder)/f'index-{n}'))['wall'] for _ in range(3))}
    index = load_index(Path(folder)/f'index-{n}')
    def search(q, **how): return index.search(vectors=q, k=K, **how)
    def ids(found): return [g.id.to_numpy() for _, g in found.groupby('query')]
    for q in queries[:50]: search(q)
    figures['single'] = median_cost(search, queries[:101])
    figures['batch'] = 10*timed(lambda: search(queries[:100]))['cpu']
    figures['recall'] = recall(ids(search(queries)), saved['all'])
    where = 'shelf = 7'
    figures['filter'] = median_cost(lambda q: search(q, where=where), queries[:21])
    figures['filter recall'] = recall(ids(search(queries, where=where)), saved['shelf'])
    figures['fewest'] = min(len(g) for g in ids(search(queries, where=where)))
    added, removed = _changes(folder, n)
    figures['add'] = timed(lambda: index.add(added))
    figures['remove'] = timed(lambda: index.remove(removed))
    figures['single after'] = median_cost(search, queries[:101])
    figures['recall after'] = recall(ids(search(queries)), saved['after'])
    return figures | {'memory': memory_mb('VmHWM')}


# ---- eight clients


def ask_page(address: str, ids: list, clients: int = 8) -> float:
    "Answers by the second that clients get, each of which asks again when it is answered"
    def client(own):
        connection = http.client.HTTPConnection(address, timeout=60)
        for i in own:
            connection.request('GET', f'/like/{i}')
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200: raise RuntimeError(f'/like/{i}: {answer.status} {body[:200]}')
        connection.close()
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool: list(pool.map(client, np.array_split(ids, clients)))
    return len(ids)/(time.perf_counter() - start)


def ask_the_page(folder, n, asked: int = 800) -> dict:
    "Answers by the second of the page's server, with clients in another process, warmed up by a tenth; and memory"
    from unifex.index import load_index
    from unifex.serve import serve
    index = load_index(Path(folder)/f'index-{n}')
    started, there = [], threading.Event()
    def ready(url, server):
        started.extend([url, server])
        there.set()
    thread = threading.Thread(target=serve, args=[index], kwargs=dict(port=0, ready=ready), daemon=True)
    thread.start()
    if not there.wait(300): raise RuntimeError('the page did not start')
    url, server = started
    address = url.removeprefix('http://')
    ids = np.random.default_rng(0).choice(n, asked, replace=False).tolist()
    ask_page(address, ids[:asked//10])
    rate = run_in_subprocess(ask_page, address, ids)
    server.should_exit = True
    thread.join(30)
    return {'rate': rate, 'memory': memory_mb('VmHWM')}


# ---- the rival, and the floor


def ask_faiss(folder, n) -> dict:
    "The same by faiss: its exact index, and an IVF with as many lists that opens enough for a recall of .95"
    import faiss
    saved = np.load(Path(folder)/'truth.npz')
    queries, x = saved['queries'], np.load(Path(folder)/'x.npy')
    exact = faiss.IndexFlatIP(x.shape[1])
    exact.add(x)
    figures = {'exact': median_cost(lambda q: exact.search(q[None], K), queries[:6])}
    figures['product'] = median_cost(lambda q: x @ q, queries[:6])
    figures['exact batch'] = 10*timed(lambda: exact.search(queries[:100], K))['cpu']
    del exact
    quantizer = faiss.IndexFlatIP(x.shape[1])
    ivf = faiss.IndexIVFFlat(quantizer, x.shape[1], max(1, round(.7*n**.5)), faiss.METRIC_INNER_PRODUCT)
    def build():
        ivf.train(x[np.random.default_rng(0).permutation(n)[:64*ivf.nlist]])
        ivf.add(x)
    figures['build'] = timed(build)
    ivf.set_direct_map_type(faiss.DirectMap.Hashtable)
    for ivf.nprobe in range(1, ivf.nlist + 1):
        if recall(ivf.search(queries, K)[1], saved['all']) >= .95: break
    figures['recall'] = recall(ivf.search(queries, K)[1], saved['all'])
    figures['single'] = median_cost(lambda q: ivf.search(q[None], K), queries[:101])
    figures['batch'] = 10*timed(lambda: ivf.search(queries[:100], K))['cpu']
    shelf = faiss.IDSelectorBatch(np.flatnonzero(np.arange(n) % SHELVES == 7))
    how = faiss.SearchParametersIVF(sel=shelf, nprobe=ivf.nlist)
    figures['filter'] = median_cost(lambda q: ivf.search(q[None], K, params=how), queries[:21])
    added, removed = _changes(folder, n)
    figures['add'] = timed(lambda: ivf.add_with_ids(added.vectors, np.arange(n, n + CHANGED)))
    figures['remove'] = timed(lambda: ivf.remove_ids(faiss.IDSelectorArray(removed)))
    figures['recall after'] = recall(ivf.search(queries, K)[1], saved['after'])
    return figures | {'memory': memory_mb('VmHWM')}


# ---- rows


def size_rows(folder, n: int, with_bars: bool) -> list[dict]:
    "All figures of an index of n pictures; columns `pictures` and `figure` are there to be plotted by"
    run_in_subprocess(write_truth, folder, n, threads=2)
    filled = run_in_subprocess(fill, folder, n, threads=2)
    made = run_in_subprocess(build, folder, n, threads=2)
    page = run_in_subprocess(ask_the_page, folder, n, threads=2)
    ours = run_in_subprocess(ask_and_change, folder, n, threads=2)
    rival = run_in_subprocess(ask_faiss, folder, n, threads=2)
    rows = []
    def row(figure, ours, rival=None, against='faiss', unit='ms', floor=None, bar=None):
        known = against if rival is not None else ''
        bar = bar if with_bars else None
        made = bench_row(f'{n:,} pictures: {figure}', ours, rival, known, unit, floor, None)
        if bar is not None:  # on our own figure, whatever the rival's
            own = bench_row('', ours, unit=unit, bar=bar)
            made |= dict(bar=own['bar'], met=own['met'])
        rows.append(made | dict(pictures=n, figure=figure))
    bytes_mb = n*64*4/2**20
    row('open', 1e3*ours['open'], bar=100)
    exact = made['exact']
    row('exact query, clock', exact['wall'], rival['exact']['wall'], floor=rival['product']['wall'], bar=1000)
    row('exact query, core', exact['cpu'], rival['exact']['cpu'], floor=rival['product']['cpu'])
    row('query, core', ours['single']['cpu'], rival['single']['cpu'], bar=10)
    row('query, clock', ours['single']['wall'], rival['single']['wall'], bar=15)
    row('query in a batch of 100, core', ours['batch'], rival['batch'])
    row('exact query in a batch of 100, core', made['exact batch'], rival['exact batch'])
    row('missed of the 10 nearest', 1 - ours['recall'], 1 - rival['recall'], unit='share', bar=.05)
    row('eight clients of the page', page['rate'], unit='queries/s', bar=120)
    row('filter to 1 %, core', ours['filter']['cpu'], rival['filter']['cpu'])
    row('filter to 1 %, of an exact query', ours['filter']['cpu']/exact['cpu'], unit='times', bar=1/3)
    row('filter to 1 %, missed', 1 - ours['filter recall'], unit='share', bar=.05)
    row('filter to 1 %, rows that are lacking', K - ours['fewest'], unit='rows', bar=0)
    row('add 10,000', ours['add']['wall'], rival['add']['wall'], unit='s', bar=1)
    row('remove as many', ours['remove']['wall'], rival['remove']['wall'], unit='s', bar=1)
    row('query after both, core', ours['single after']['cpu'])
    row('missed after both', 1 - ours['recall after'], 1 - rival['recall after'], unit='share', bar=.05)
    row('fill', filled, unit='s')
    row('build', made['build']['wall'], rival['build']['wall'], unit='s', bar=60)
    row('build, core', made['build']['cpu'], rival['build']['cpu'], unit='s')
    row('memory to build', made['memory'], unit='MB', bar=1536)
    row('memory to search', ours['memory'], rival['memory'], unit='MB', bar=1536)
    row('memory of the page with its embedder', page['memory'], unit='MB', bar=1536)
    row('disk', made['disk'], unit='MB', floor=bytes_mb)
    return rows


def run(sizes=SIZES) -> list[dict]:
    "A fifth of a minute for ten thousand pictures, three minutes for two million; the bars are on the last"
    if not installed('faiss'): return []
    rows = []
    with TemporaryDirectory() as folder:
        run_in_subprocess(write_sample, folder)
        for n in sizes: rows += size_rows(folder, n, with_bars=n == SIZES[-1])
    return rows
