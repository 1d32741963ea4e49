"""Annotation tables of the size of Google Landmarks and of M4D-35k, from CSV to class counts."""
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from harness import bench_row, interleaved, memory_mb, run_in_subprocess
from unifex.datasets import load_dataset
from unifex.tables import add_class_ids, class_counts, summarize

SIZES = [  # rows, classes, seconds that reading may take
    (1_580_470, 81_313, 15),  # Google Landmarks
    (328_400, 34_800, 3),  # M4D-35k
]


def write_landmarks(folder, n_rows, n_classes, seed=0) -> Path:
    "A CSV of made-up landmark pictures, in the layout of the data set `gldv2`"
    rng = np.random.default_rng(seed)
    sizes = np.arange(1, n_classes + 1)**-.7
    drawn = rng.choice(n_classes, n_rows - n_classes, p=sizes/sizes.sum())
    labels = np.concatenate([np.arange(n_classes), drawn])
    rng.shuffle(labels)
    ids = [f'{i:016x}' for i in rng.integers(0, 2**63, n_rows)]
    path = Path(folder)/'google_landmark_recognition_2021/train.csv'
    path.parent.mkdir(parents=True)
    pd.DataFrame({'id': ids, 'landmark_id': labels}).to_csv(path, index=False)
    return path


def read_and_count(folder) -> tuple[float, int, float]:
    "Seconds from the CSV to class counts, rows that are kept, and the most megabytes of this process"
    start = time.perf_counter()
    table = add_class_ids(load_dataset('gldv2', folder))
    class_counts(table)
    summarize(table)
    seconds = time.perf_counter() - start
    return seconds, len(table), memory_mb('VmHWM')


def limit_class_by_class(path, min_images=3, max_images=100) -> pd.DataFrame:
    "The rival: classes taken one after the other, as in UniFEx"
    df = pd.read_csv(path)
    df = df.groupby('landmark_id').filter(lambda rows: len(rows) >= min_images)
    for _, rows in df.groupby('landmark_id'):
        if len(rows) > max_images: df = df.drop(rows.sample(len(rows) - max_images).index)
    return df


def run() -> list[dict]:
    "Seconds and memory from CSV to class counts; the limits alone against the rival"
    rows = []
    for n_rows, n_classes, most_seconds in SIZES:
        with TemporaryDirectory() as d:
            write_landmarks(d, n_rows, n_classes)
            seconds, kept, mb = run_in_subprocess(read_and_count, d, threads=2)
        rows.append(bench_row(f'{n_rows:,} rows to {kept:,}', seconds, bar=most_seconds))
        rows.append(bench_row(f'{n_rows:,} rows: memory', mb, unit='MB', bar=2000))
    with TemporaryDirectory() as d:
        csv = write_landmarks(d, 200_000, 10_000)
        ways = {'ours': lambda: load_dataset('gldv2', d), 'rival': lambda: limit_class_by_class(csv)}
        seconds = interleaved(ways, repeat=2)
    rows.append(bench_row('200,000 rows: limits', seconds['ours'], seconds['rival'], 'class by class'))
    return rows
