"""From embeddings to a score, against pytorch-metric-learning's AccuracyCalculator."""
import numpy as np
import torch

from bench_knn import random_vectors
from harness import bench_row, installed, interleaved, run_in_subprocess
from unifex.evaluation import Embeddings, evaluate
from unifex.tables import make_table

N_CLASSES = 10_000


def labeled_vectors(seed=0) -> list[tuple[np.ndarray, np.ndarray]]:
    "(unit vectors, labels) of 5,000 queries and of an index of 200,000, each somewhat nearer to its class"
    rng = np.random.default_rng(seed)
    vectors = random_vectors()
    labels = [rng.integers(0, N_CLASSES, len(x)) for x in vectors]
    centers = rng.standard_normal((N_CLASSES, 64), dtype=np.float32)*.1
    moved = [x + centers[y] for x, y in zip(vectors, labels)]
    return [(x/np.linalg.norm(x, axis=1, keepdims=True), y) for x, y in zip(moved, labels)]


def embeddings(name, vectors, labels) -> Embeddings:
    images = [f'{name}/{i}' for i in range(len(vectors))]
    return Embeddings(vectors, make_table(images, labels.astype(str)))


def score_seconds() -> tuple[dict[str, float], float, float]:
    "Seconds of ours and of the rival, and the P@1 of both"
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    data = labeled_vectors()
    both = [embeddings(name, *part) for name, part in zip(('query', 'index'), data)]
    tensors = [torch.from_numpy(a) for part in data for a in part]
    calculator = AccuracyCalculator(include=('precision_at_1',), k=5)
    def ours(): return evaluate(*both, map_k=5, metric='euclidean').overall['R@1']
    def theirs(): return calculator.get_accuracy(*tensors)['precision_at_1']
    seconds = interleaved({'ours': ours, 'theirs': theirs}, repeat=1)
    return seconds, float(ours()), float(theirs())


def run() -> list[dict]:
    "One row; none where the rival is not installed"
    if not installed('pytorch_metric_learning'):
        print('score: left out; pip install pytorch-metric-learning')
        return []
    seconds, ours, theirs = run_in_subprocess(score_seconds, threads=2)
    if abs(ours - theirs) > 1e-6: raise ValueError(f'P@1 is {ours} here and {theirs} there')
    return [bench_row('5k in 200k: score', seconds['ours'], seconds['theirs'], 'AccuracyCalculator', bar=.5)]
