"""A training step of the margin heads by chunks of classes, and by a matrix of all logits."""
import time

import torch
import torch.nn.functional as F

from harness import bench_row, installed, peak_memory, run_in_subprocess
from unifex.heads import HEADS, create_head

N_CLASSES = 34_800  # M4D-35k
K = 3  # sub-centers
DIM = 64
RIVAL = 'pytorch-metric-learning'


def products(batch_size, n_classes):
    "The floor: the matrix products of our chunks, one forward and three backward"
    x = torch.randn(batch_size, DIM)
    centers = torch.randn(K*n_classes, DIM)
    d_centers = torch.empty_like(centers)
    d_x = torch.zeros(DIM, batch_size)
    buffer = torch.empty(2**20//batch_size, batch_size)
    def step():
        for chunk, d_chunk in zip(centers.split(len(buffer)), d_centers.split(len(buffer))):
            cos = buffer[:len(chunk)]
            torch.mm(chunk, x.T, out=cos)
            torch.mm(chunk, x.T, out=cos)  # once more backward, since nothing was kept
            torch.mm(cos, x, out=d_chunk)
            d_x.addmm_(chunk.T, cos)
    return step


def training_step(way, name, batch_size, n_classes):
    "Forward and backward by 'chunks' (ours), by the 'matrix' of all our logits, or by the 'rival'"
    x = torch.randn(batch_size, DIM, requires_grad=True)
    y = torch.randint(0, n_classes, (batch_size,))
    if way == 'rival':
        from pytorch_metric_learning.losses import SubCenterArcFaceLoss
        sizes = dict(num_classes=n_classes, embedding_size=DIM, sub_centers=K)
        head = loss = SubCenterArcFaceLoss(**sizes, margin=28.65, scale=30)  # in degrees: our default of 0.5
    else:
        class_counts = range(1, n_classes + 1)
        head = create_head(name, DIM, n_classes, class_counts, k=K)
        loss = head.loss if way == 'chunks' else lambda x, y: F.cross_entropy(head(x, y), y)
    inputs = [x, *head.parameters()]
    return lambda: torch.autograd.grad(loss(x, y), inputs)


def step_of(way, name, batch_size, n_classes):
    if way == 'products': return products(batch_size, n_classes)
    return training_step(way, name, batch_size, n_classes)


def step_costs(way, name, batch_size, n_classes=N_CLASSES, repeat=3) -> tuple[float | None, float]:
    "Core seconds of the fastest step, and megabytes that the first one needs"
    torch.manual_seed(0)
    step_of(way, name, 2, 10)()  # libraries load
    step = step_of(way, name, batch_size, n_classes)
    with peak_memory() as peak: step()
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        step()
        seconds.append(time.process_time() - start)
    return min(seconds, default=None), peak.mb


def costs_by_way(name, batch_size, ways, turns) -> tuple[dict, dict]:
    "(seconds, megabytes) of each way: the least seconds and the most memory of some turns"
    taken = {way: [] for way in ways}
    for _ in range(turns):
        for way in ways: taken[way].append(run_in_subprocess(step_costs, way, name, batch_size, threads=1))
    seconds = {way: min(s for s, _ in turns) for way, turns in taken.items()}
    memory = {way: max(mb for _, mb in turns) for way, turns in taken.items()}
    return seconds, memory


def head_rows(name, batch_size, ways, bars=(None, None), turns=1) -> list[dict]:
    "Chunks against the other `ways`; `bars` for seconds and memory against the rival"
    seconds, memory = costs_by_way(name, batch_size, ['chunks', *ways], turns)
    work = f'{name}, batch of {batch_size:,}'
    rows = []
    for way in ways:
        if way == 'products': continue
        against = RIVAL if way == 'rival' else 'a matrix of logits'
        seconds_bar, memory_bar = bars if way == 'rival' else (None, None)
        s, mb = seconds['chunks'], memory['chunks']
        rows.append(bench_row(work, s, seconds[way], against, floor=seconds.get('products'), bar=seconds_bar))
        rows.append(bench_row(f'{work}: memory', mb, memory[way], against, 'MB', bar=memory_bar))
    return rows


def run() -> list[dict]:
    "ArcFace with two batch sizes, the other heads with one, and ArcFace over 350,000 classes"
    arcface_ways = ['rival', 'matrix', 'products']
    if not installed('pytorch_metric_learning'):
        print(f'heads: no rows against {RIVAL}; pip install {RIVAL}')
        arcface_ways.remove('rival')
    rows = [
        *head_rows('ArcFace', 1024, arcface_ways, bars=(.45, .2), turns=2),
        *head_rows('ArcFace', 128, arcface_ways, bars=(1., None), turns=2),
    ]
    for name in HEADS:
        if name != 'ArcFace': rows += head_rows(name, 1024, ['matrix'])
    n_classes = 350_000
    _, mb = run_in_subprocess(step_costs, 'chunks', 'ArcFace', 4096, n_classes, 0, threads=1)
    gradients = n_classes*K*DIM*4/2**20
    work = f'ArcFace, batch of 4,096, {n_classes:,} classes: beyond gradients'
    return [*rows, bench_row(work, mb - gradients, unit='MB', bar=4096)]
