"""Stored features of the size of M4D-35k: opening, looking up, checking, and feeding an epoch."""
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from fastai.data.core import TfmdDL

from harness import bench_row, interleaved, memory_mb, run_in_subprocess
from unifex.features import FeatureSet, feature_dls
from unifex.store import FeatureStore

N_ROWS = 328_400
N_CLASSES = 34_800
BATCH_SIZE = 256
CARD = {'model': 'made up'}


def fill_store(folder, dim=1152, shard_size=2048) -> np.ndarray:  # (N, 2) uint64
    "A store of made-up features in half precision; their keys"
    store = FeatureStore(CARD, folder)
    keys = np.random.default_rng(0).integers(1, 2**63, (N_ROWS, 2)).astype(np.uint64)
    x = torch.randn(shard_size, dim).half()
    for first in range(0, N_ROWS, shard_size):
        part = keys[first:first + shard_size]
        store.add(part, x[:len(part)])
    return keys


def feed(dl):
    for x, y in dl: x.float()


def gather(x, y):
    "The floor: batch after batch from one tensor"
    for rows in torch.randperm(len(x)).split(BATCH_SIZE):
        x.index_select(0, rows).float()
        y[rows]


def loader(source, **kwargs):
    "Training batches of features"
    table = pd.DataFrame({'class_id': np.arange(N_ROWS) % N_CLASSES})
    return feature_dls(FeatureSet(source, table), batch_size=BATCH_SIZE, device='cpu', **kwargs).train


def store_costs(folder) -> dict[str, float]:
    "Seconds of each way, and megabytes of private memory (`MB`) while features stay on disk"
    keys = fill_store(folder)
    opening = interleaved({'open': lambda: FeatureStore(CARD, folder)}, repeat=2)
    store = FeatureStore(CARD, folder)
    looking = interleaved({
        'find': lambda: store.find(keys),
        'check': lambda: store.damaged(np.arange(N_ROWS)),
    }, repeat=2)

    before = memory_mb('RssAnon')
    mapped = loader(store.rows(store.find(keys)), max_memory=0)
    feed(mapped)
    mb = memory_mb('RssAnon') - before

    x = mapped.x.tensor()
    in_memory = loader(x)
    items = list(zip(x, in_memory.y))
    with_workers = TfmdDL(items, bs=BATCH_SIZE, shuffle=True)
    without_workers = TfmdDL(items, bs=BATCH_SIZE, shuffle=True, num_workers=0)
    feeding = interleaved({
        'from memory': lambda: feed(in_memory),
        'mapped': lambda: feed(mapped),
        'TfmdDL': lambda: feed(with_workers),
        'TfmdDL without workers': lambda: feed(without_workers),
        'floor': lambda: gather(x, in_memory.y),
    }, repeat=3)
    return opening | looking | feeding | {'MB': max(mb, 0), 'all MB': x.nbytes/1e6}


def run() -> list[dict]:
    "Opening against checking every row, an epoch against fastai's, memory against the size of the features"
    with TemporaryDirectory() as d: found = run_in_subprocess(store_costs, d, threads=2)
    epoch = f'an epoch of {N_ROWS:,} features'
    def feeding(way, rival, bar=None):
        return bench_row(f'{epoch}, {way}', found[way], found[rival], rival, floor=found['floor'], bar=bar)
    return [
        bench_row('open a store of 161 shards', found['open'], found['check'], 'checking every row', bar=1),
        bench_row(f'find {N_ROWS:,} keys', found['find'], bar=1),
        feeding('from memory', 'TfmdDL', bar=1/8),
        feeding('from memory', 'TfmdDL without workers'),
        feeding('mapped', 'TfmdDL'),
        bench_row('memory of a mapped epoch', found['MB'], found['all MB'], 'all features', 'MB', bar=.2),
    ]
