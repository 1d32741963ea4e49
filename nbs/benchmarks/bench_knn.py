"""Exact nearest neighbors: seconds beside the matrix product alone and other searches, and memory."""
import numpy as np
import torch

from harness import bench_row, installed, interleaved, peak_memory, run_in_subprocess
from unifex.knn import knn

K = 5
BLOCK = 500  # queries of which the product holds the scores


def random_vectors(n_query=5000, n_index=200_000, dim=64, unit=True, seed=42) -> list[np.ndarray]:
    "Vectors of queries and index, float32; of length one where `unit`"
    rng = np.random.default_rng(seed)
    vectors = [rng.standard_normal((n, dim), dtype=np.float32) for n in (n_query, n_index)]
    return [x/np.linalg.norm(x, axis=1, keepdims=True) for x in vectors] if unit else vectors


def products(queries, index):
    "The floor, and the plain rival on top of it, as functions without arguments"
    a, b = map(torch.from_numpy, (queries, index))
    scores = torch.empty(BLOCK, len(b))
    half = b.square().sum(1)/2
    def floor():
        for block in a.split(BLOCK): torch.mm(block, b.T, out=scores)
    def plain():
        found = [torch.addmm(-half, block, b.T, out=scores).topk(K)[1] for block in a.split(BLOCK)]
        return torch.cat(found).numpy()
    return floor, plain


def search_ways(unit) -> dict:
    "Name -> search, ours and others', each giving (Q, k) ids; `floor` is the product alone"
    queries, index = random_vectors(unit=unit)
    floor, plain = products(queries, index)
    ways = {
        'floor': floor,
        'torch': lambda: knn(queries, index, K, backend='torch')[1],
        'product and topk': plain,
    }
    if installed('faiss'):
        import faiss
        metric = faiss.METRIC_INNER_PRODUCT if unit else faiss.METRIC_L2
        ways['faiss'] = lambda: knn(queries, index, K, backend='faiss')[1]
        ways['faiss.knn'] = lambda: faiss.knn(queries, index, K, metric=metric)[1]
    if installed('sklearn'):
        from sklearn.neighbors import NearestNeighbors
        brute = NearestNeighbors(n_neighbors=K, algorithm='brute')
        ways['scikit-learn'] = lambda: brute.fit(index).kneighbors(queries)[1]
    return ways


def search_seconds(unit) -> dict[str, float]:
    "Seconds of each of `search_ways`; each finds what ours finds, but for what rounding may swap"
    ways = search_ways(unit)
    ours = ways['torch']()
    for name, search in ways.items():
        if name == 'floor': continue
        same = (search() == ours).mean()
        if same < .999: raise ValueError(f'{name} has {same:.3%} of the neighbors of knn')
    return interleaved(ways, repeat=2)


def search_memory(n_query, n_index) -> float:
    "Megabytes of a search with its vectors, without the libraries"
    queries, index = random_vectors(n_query, n_index)
    knn(queries[:10], index[:100], K)  # libraries load
    with peak_memory() as peak: knn(queries, index, K)
    return peak.mb + (queries.nbytes + index.nbytes)/2**20


def search_rows(name, unit, faiss_bar) -> list[dict]:
    "Ours against the product, and the faster of ours against each other search"
    seconds = run_in_subprocess(search_seconds, unit, threads=2)
    floor = seconds['floor']
    rows = []
    for way, bar in ('faiss', faiss_bar), ('torch', 2.4):
        if way not in seconds: continue
        work = f'5k in 200k, {name}, {way}: product'
        rows.append(bench_row(work, seconds[way], floor, 'product', floor=floor, bar=bar))
    ours = min(seconds[way] for way in ('torch', 'faiss') if way in seconds)
    for rival in 'faiss.knn', 'scikit-learn', 'product and topk':
        if rival not in seconds: continue
        rows.append(bench_row(f'5k in 200k, {name}: {rival}', ours, seconds[rival], rival, floor=floor))
    return rows


def run() -> list[dict]:
    "Vectors of length one, raw ones, and the memory of a search in a million"
    mb = run_in_subprocess(search_memory, 10_000, 1_000_000, threads=2)
    return [
        *search_rows('unit', unit=True, faiss_bar=1.6),
        *search_rows('raw', unit=False, faiss_bar=1.9),
        bench_row('10k in 1M: memory with vectors', mb, unit='MB', bar=4096),
    ]
