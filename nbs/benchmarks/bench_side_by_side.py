"""Eight necks and heads side by side, against one by a Learner; and a training of the size of M4D-35k."""
import time
from types import SimpleNamespace

import pandas as pd
import torch

from harness import bench_row, run_in_subprocess
from unifex.callbacks import lr_schedule
from unifex.features import FeatureSet, feature_dls
from unifex.heads import create_head
from unifex.margin_model import fit_schedule, unifex_learner
from unifex.necks import create_neck
from unifex.side_by_side import Variant, fit_side_by_side

DIM = 64
N_VARIANTS = 8
THREADS = 2
EPOCHS = 10
SMALL = dict(n_rows=6000, width=1280, n_classes=1500, k=1, batch_size=256)
LARGE = dict(n_rows=328_400, width=1152, n_classes=34_800, k=3, batch_size=128)  # M4D-35k


def made_up_features(n_rows, width, n_classes) -> FeatureSet:
    block = torch.rand(min(n_rows, 2048), width).half()
    x = block.repeat(-(-n_rows//len(block)), 1)[:n_rows]
    return FeatureSet(x, pd.DataFrame({'class_id': torch.arange(n_rows).numpy() % n_classes}))


def new_pair(size, seed=0):
    torch.manual_seed(seed)
    neck = create_neck('proj_layer', size['width'], DIM, dropout=.3, power=.5)
    return neck, create_head('ArcFace', DIM, size['n_classes'], k=size['k'])


def schedule(lr=1e-2): return lr_schedule('one_cycle', lr, 1, 1)


def train_alone(dls, size, steps):
    neck, head = new_pair(size)
    learn = unifex_learner(dls, SimpleNamespace(neck=neck), head, wd=.1)
    fit_schedule(learn, schedule(), steps, progress=False)


def train_lanes(dls, size, steps, seeds, rates=(1e-2,)):
    variants = [Variant(*new_pair(size, seed), schedule(lr), .1) for seed in seeds for lr in rates]
    fit_side_by_side(variants, dls.train, steps)


def products(size, steps, n_variants):
    "The floor: projection and cosines, forward and backward, without what is around them"
    batch, width, n_centers = size['batch_size'], size['width'], size['k']*size['n_classes']
    x, grad = torch.randn(batch, width), torch.randn(batch, DIM)
    projection = torch.randn(DIM, width)
    centers, d_centers = torch.randn(n_centers, DIM), torch.empty(n_centers, DIM)
    cos, d_unit = torch.empty(n_centers, batch), torch.empty(DIM, batch)
    for _ in range(steps*n_variants):
        unit = x @ projection.T
        torch.mm(centers, unit.T, out=cos)
        torch.mm(cos, unit, out=d_centers)
        torch.mm(centers.T, cos, out=d_unit)
        grad.T @ x


def set_up(size, device='cpu'):
    "Loaders, which both ways share"
    torch.manual_seed(0)
    features = made_up_features(size['n_rows'], size['width'], size['n_classes'])
    return feature_dls(features, batch_size=size['batch_size'], device=device)


def _half_process(): return time.process_time()/THREADS


def step_seconds(ways, steps, turns) -> dict[str, tuple[float, float]]:
    "Least seconds a step of each way, in turns, as the clock has them and on the busiest core"
    taken = {way: [] for way in ways}
    for _ in range(turns + 1):  # the first does not count
        for way, do in ways.items():
            core_clock = _half_process
            if way == 'alone': core_clock = time.thread_time  # this thread is in all that a Learner does
            clocks = time.perf_counter, core_clock
            start = [clock() for clock in clocks]
            do()
            taken[way].append([(clock() - t)/steps for clock, t in zip(clocks, start)])
    return {way: tuple(map(min, zip(*seconds[1:]))) for way, seconds in taken.items()}


def eight_seconds(steps=24) -> dict[str, tuple[float, float]]:
    "Seconds a step: of one alone, of eight, and of their products"
    dls = set_up(SMALL)
    rates = [2e-3*(i + 1) for i in range(N_VARIANTS)]
    return step_seconds({
        'alone': lambda: train_alone(dls, SMALL, steps),
        'seeds': lambda: train_lanes(dls, SMALL, steps, range(N_VARIANTS)),
        'rates': lambda: train_lanes(dls, SMALL, steps, [0], rates),
        'products': lambda: products(SMALL, steps, N_VARIANTS),
    }, steps, turns=5)


def large_seconds(steps=12) -> dict[str, tuple[float, float]]:
    "Seconds a step of the size of M4D-35k"
    dls = set_up(LARGE)
    return step_seconds({
        'alone': lambda: train_alone(dls, LARGE, steps),
        'lane': lambda: train_lanes(dls, LARGE, steps, [0]),
        'products': lambda: products(LARGE, steps, 1),
    }, steps, turns=2)


def run() -> list[dict]:
    "A step of eight against a step of one; ten epochs over M4D-35k, projected from some steps"
    small = run_in_subprocess(eight_seconds, threads=THREADS)
    large = run_in_subprocess(large_seconds, threads=THREADS)
    steps = EPOCHS*-(-LARGE['n_rows']//LARGE['batch_size'])
    rows = []
    for i, clock in enumerate(['', ': the busiest core']):
        ms = {way: 1000*seconds[i] for way, seconds in small.items()}
        one = dict(rival=ms['alone'], against='one, by a Learner', unit='ms', floor=ms['products'], bar=3)
        rows.append(bench_row(f'a step of 8 seeds{clock}', ms['seeds'], **one))
        rows.append(bench_row(f'a step of 8 rates of one seed{clock}', ms['rates'], **one))
        s = {way: steps*seconds[i] for way, seconds in large.items()}
        work = f'{EPOCHS} epochs of M4D-35k, projected{clock}'
        rows.append(bench_row(work, s['lane'], s['alone'], 'a Learner', floor=s['products']))
    return rows
