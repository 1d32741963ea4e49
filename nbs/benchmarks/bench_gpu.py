"""On a GPU: SigLIP so400m against the card's matrix rate and an fp32 loop, reading beside it, ten epochs of a head.

Without a GPU there are no rows. Not measured: no card was at hand when this was written.
"""
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.nn import functional as F

from bench_engines import write_photographs
from bench_side_by_side import EPOCHS, LARGE, set_up, train_alone
from harness import bench_row, interleaved, run_in_subprocess
from unifex.backbones import count_flops, create_backbone
from unifex.engines import CompiledEngine, TorchEngine
from unifex.features import extract_features
from unifex.loaders import iter_batches
from unifex.tables import make_table
from unifex.transforms import normalize

DEVICE = torch.device('cuda')
MODEL = 'vit_so400m_patch14_siglip_384'
BATCH_SIZES = 32, 64, 128, 256
ENGINES = {'eager': TorchEngine, 'compiled': CompiledEngine}
N_PHOTOS = 1024
SHARE = .4  # of the matrix rate, to be reached
DTYPES = {'fp16': torch.float16, 'bf16': torch.bfloat16}


def on_gpu(do):
    "`do`, over when the GPU is done"
    def wait():
        do()
        torch.cuda.synchronize()
    return wait


def gpu_rate(precision: str, n: int = 8192) -> float:
    "FLOPs by the second of a matrix product on the card: no network goes faster"
    a, b = torch.randn(2, n, n, device=DEVICE, dtype=DTYPES[precision])
    seconds = interleaved({'product': on_gpu(lambda: torch.mm(a, b))}, repeat=9, summary=min)
    return 2*n**3/seconds['product']


def so400m():
    torch.manual_seed(0)
    return create_backbone('timm', MODEL, pretrained=False).eval()


def squares(n: int, size: int) -> torch.Tensor:
    "uint8 (n, 3, size, size), on the CPU as a loader hands them over"
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8)


def engine_rates(kind: str, precision: str) -> dict:
    "Pictures a second by batch size, the copy to the GPU and back included; what the card could; the distance to fp32"
    backbone = so400m()
    floor = gpu_rate(precision)/count_flops(backbone.model, backbone.preproc.size)
    few = squares(4, backbone.preproc.size)
    exact = TorchEngine(backbone, torch.device('cpu'))(few)
    engine = ENGINES[kind](backbone, DEVICE, precision)
    distance = 1 - F.cosine_similarity(engine(few).cpu(), exact).min().item()
    rates = {}
    for n in BATCH_SIZES:
        engine.piece = n if kind == 'compiled' else None
        x = squares(n, backbone.preproc.size)
        rates[n] = n/interleaved({'run': lambda: engine(x).cpu()}, repeat=5, summary=min)['run']
    return dict(rates=rates, floor=floor, distance=distance)


def plain_rate(batch_size: int = 64) -> float:
    "Pictures a second of the plain loop, in fp32 as torch has it"
    backbone = so400m().to(DEVICE)
    x = squares(batch_size, backbone.preproc.size)
    @torch.no_grad()
    def run(): return backbone(normalize(x.to(DEVICE), backbone.preproc)).cpu()
    return batch_size/interleaved({'run': run}, repeat=2, summary=min)['run']


def files_pass() -> dict[str, float]:
    "Seconds from JPEG files to features in a new store, of the reading alone, and of the backbone alone"
    backbone = so400m()
    workers = os.cpu_count() or 2
    engine = TorchEngine(backbone, DEVICE, 'fp16')
    x = squares(engine.batch_size, backbone.preproc.size)
    with TemporaryDirectory() as folder:
        table = write_photographs(folder, N_PHOTOS)
        def extract():
            with TemporaryDirectory() as store:
                extract_features(backbone, table, folder, store, num_workers=workers, device=DEVICE, engine=engine,
                                 progress=False)
        def read():
            for _ in iter_batches(table, folder, backbone.preproc, engine.batch_size, workers): pass
        def compute():
            for _ in range(0, N_PHOTOS, len(x)): engine(x).cpu()
        return interleaved({'ours': extract, 'reading': read, 'backbone': compute}, repeat=2, summary=min)


def fill(folder: str, store: str) -> int:
    "Put features of the pictures of `folder` into `store`, as one of several processes; how many are there then"
    table = make_table(sorted(path.name for path in Path(folder).glob('*.jpg')))
    features = extract_features(so400m(), table, folder, store, num_workers=os.cpu_count() or 2, device=DEVICE,
                                precision='fp16', progress=False)
    return len(features)


def fill_by(n: int) -> float:
    "Seconds that `n` processes, started together, take to fill one store; each then has all pictures"
    with TemporaryDirectory() as folder, TemporaryDirectory() as store:
        write_photographs(folder, N_PHOTOS)
        start = time.perf_counter()
        with ThreadPoolExecutor(n) as pool:
            found = list(pool.map(lambda _: run_in_subprocess(fill, folder, store), range(n)))
        assert found == [N_PHOTOS]*n, found
        return time.perf_counter() - start


def head_seconds(epochs: int = EPOCHS) -> float:
    "Seconds of ten epochs of the size of M4D-35k, the features on the GPU"
    dls = set_up(LARGE, DEVICE)
    assert dls.train.x.device.type == DEVICE.type, 'the features do not fit into half of the free memory of the card'
    train_alone(dls, LARGE, 20)  # the first steps load what all need
    torch.cuda.synchronize()
    start = time.perf_counter()
    train_alone(dls, LARGE, epochs*len(dls.train))
    torch.cuda.synchronize()
    return time.perf_counter() - start


def run() -> list[dict]:
    "The rows of the card that is here; none without one"
    if not torch.cuda.is_available(): return []
    card = torch.cuda.get_device_name()
    print(f'{card}, torch {torch.__version__}, {os.cpu_count()} cores')
    rows, plain = [], run_in_subprocess(plain_rate)
    for kind in ENGINES:
        for precision in DTYPES:
            found = run_in_subprocess(engine_rates, kind, precision)
            best = max(found['rates'].values())
            name = f'so400m, 384 px, {precision}, {kind}'
            for n, rate in found['rates'].items():
                rows.append(bench_row(f'{name}, batches of {n}', rate, plain, 'fp32, eager', 'img/s', found['floor']))
            reached = best/found['floor']
            rows.append(bench_row(f"{name}, of the card's matrix rate", reached, unit='1/s', bar=SHARE))
            rows.append(bench_row(f'{name}, distance to fp32', found['distance'], unit='1 - cosine', bar=1e-3))
    found = run_in_subprocess(files_pass)
    rows.append(bench_row(f'files to stored features, {N_PHOTOS:,} photographs, fp16', found['ours'], found['backbone'],
                          'the backbone alone', floor=max(found['reading'], found['backbone']), bar=1.1))
    rows.append(bench_row('reading alone', found['reading'], found['backbone'], 'the backbone alone', bar=1))
    rows.append(bench_row('one store, two processes, their start included', fill_by(2), fill_by(1), 'one process'))
    seconds = run_in_subprocess(head_seconds)
    rows.append(bench_row(f"ten epochs, {LARGE['n_rows']:,} features", seconds, bar=20))
    return [row | dict(card=card) for row in rows]
