"""From pictures to stored features: the engine that `auto` chooses against torch, the whole pass from files, and the reading alone."""
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from harness import bench_row, interleaved, photo_files, run_in_subprocess
from unifex.backbones import create_backbone
from unifex.datasets import load_dataset, sample_root
from unifex.engines import create_engine
from unifex.features import extract_features
from unifex.loaders import ImageRows, iter_batches
from unifex.tables import make_table

LITE = dict(model_name='tf_efficientnet_lite0', weights='efficientnet_lite0')
RANDOM = dict(pretrained=False)
MODELS = {  # name -> (arguments of `create_backbone`, photographs, precision, least ratio)
    'EfficientNet-Lite0, 224 px': (LITE | dict(img_size=224), 400, 'f32', 3.5),
    'ViT-S/16, 224 px': (RANDOM | dict(model_name='vit_small_patch16_224'), 100, 'f32', 1.9),
    'ConvNeXt-T, 224 px': (RANDOM | dict(model_name='convnext_tiny', img_size=224), 100, 'f32', 2),
    'SigLIP ViT-B/16, 224 px': (RANDOM | dict(model_name='vit_base_patch16_siglip_224'), 48, 'f32', 2),
    'SigLIP ViT-B/16, 224 px, bf16': (RANDOM | dict(model_name='vit_base_patch16_siglip_224'), 48, 'bf16', 3.5),
}


def write_photographs(folder, n: int):  # -> table
    "JPEG files of 640 px, from photographs or, where there are none, from the sample"
    files = photo_files()
    names = []
    for i in range(n):
        picture = Image.open(files[i*7 % len(files)]).convert('RGB')
        scale = 640/max(picture.size)
        size = [max(1, round(side*scale)) for side in picture.size]
        names.append(f'{i}.jpg')
        picture.resize(size).save(Path(folder)/names[-1], quality=90)
    return make_table(names)


def readers(table, root, preproc, batch_size: int, engine) -> dict:  # name -> a pass over the pictures
    "Reading by threads, or by worker processes of a torch `DataLoader`, alone or while `engine` computes"
    rows = ImageRows(table, root, preproc)
    loader = dict(batch_size=batch_size, num_workers=2, collate_fn=lambda batch: torch.stack([x for _, x in batch]))
    def threads(use):
        for _, x, _ in iter_batches(table, root, preproc, batch_size): use(x)
    def processes(use):
        for x in DataLoader(rows, **loader): use(x)
    ways = {}
    for name, read in ('threads', threads), ('processes', processes):
        ways[name] = lambda read=read: read(len)
        ways[f'{name}, computing'] = lambda read=read: read(engine)
    return ways


def reading_pass(size: int, share: float = 1.) -> dict:
    "Seconds of each of `readers` for 1,600 photographs of 640 px"
    backbone = create_backbone('timm', **LITE, img_size=size)
    made = create_engine(backbone, device='cpu')
    n = max(64, round(1600*share))
    with _photographs(n) as (table, folder), made.running():
        return interleaved(readers(table, folder, backbone.preproc, made.batch_size, made), repeat=3) | dict(n=n)


@contextmanager
def _photographs(n):
    with TemporaryDirectory() as folder: yield write_photographs(folder, n), folder


def matrix_rate(precision: str, n: int = 2048) -> float:
    "FLOPs by the second of a matrix product on this machine: no engine goes faster"
    dtype = {'f32': torch.float32, 'bf16': torch.bfloat16}[precision]
    a, b = torch.randn(2, n, n).to(dtype)
    seconds = interleaved({'product': lambda: torch.mm(a, b)}, repeat=9, summary=min)
    return 2*n**3/seconds['product']


def flops(backbone) -> int:
    "FLOPs of one picture"
    size = backbone.preproc.size
    with FlopCounterMode(display=False) as counter: backbone(torch.zeros(1, 3, size, size))
    return counter.get_total_flops()


def seconds_of_pass(backbone, table, root, made, repeat: int = 1, **how) -> dict[str, float]:
    "Seconds from files to features in a new store: by the engine `made`, by torch; and of reading alone"
    def extract(engine):
        with TemporaryDirectory() as store:
            extract_features(backbone, table, root, store, device='cpu', engine=engine, progress=False)
    def read():
        for _ in iter_batches(table, root, backbone.preproc, made.batch_size): pass
    ways = {'ours': lambda: extract(made), 'torch': lambda: extract('torch'), 'reading': read}
    return interleaved(ways, repeat, **how)


def photographs_pass(name: str, share: float = 1.) -> dict:
    "The costs for one of `MODELS`, in seconds, and how far its features are from torch's"
    args, n, precision, _ = MODELS[name]
    torch.manual_seed(0)
    backbone = create_backbone('timm', **args)
    n = max(4, round(n*share))
    made = create_engine(backbone, 'auto', precision, 'cpu')
    opening = interleaved({'open': lambda: create_engine(backbone, 'auto', precision, 'cpu')}, repeat=1)
    with _photographs(n) as (table, folder): found = seconds_of_pass(backbone, table, folder, made)
    floor = found['reading'] + n*flops(backbone)/matrix_rate(precision)
    return found | opening | dict(n=n, engine=repr(made), distance=1 - (made.cosine or 1.), floor=floor)


def sample_pass(size: int, share: float = 1.) -> dict:
    "The costs of the sample's pictures with the quickstart's backbone"
    backbone = create_backbone('timm', **LITE, img_size=size)
    table = load_dataset('sample', sample_root())
    table = table.head(max(64, round(len(table)*share)))
    made = create_engine(backbone, device='cpu')
    return seconds_of_pass(backbone, table, sample_root(), made) | dict(n=len(table))


def run(share: float = 1.) -> list[dict]:
    "Five models on photographs, then the sample at two sizes; `share` of the pictures, for a quick look"
    rows = []
    for name, (_, _, precision, bar) in MODELS.items():
        found = run_in_subprocess(photographs_pass, name, share, threads=2)
        rates = {way: found['n']/found[way] for way in ('ours', 'torch', 'floor')}
        rows.append(bench_row(f'files to stored features, {name}', rates['ours'], rates['torch'], 'torch in f32',
                              'img/s', rates['floor'], bar))
        rows.append(bench_row(f'open the kept engine, {name}', found['open'], bar=1))
        allowed = 1e-6 if precision == 'f32' else 1e-3
        rows.append(bench_row(f'distance to torch, {name}', found['distance'], unit='1 - cosine', bar=allowed))
    for size in 128, 224:
        found = run_in_subprocess(reading_pass, size, share, threads=2)
        for end, work in ('', 'read'), (', computing', 'read and computed'):
            rates = {way: found['n']/found[way + end] for way in ('threads', 'processes')}
            rows.append(bench_row(f'photographs {work}, {size} px', rates['threads'], rates['processes'],
                                  'worker processes of a DataLoader', 'img/s'))
    for size, bar in (128, 10), (224, 30):
        found = run_in_subprocess(sample_pass, size, share, threads=2)
        work = f"{found['n']:,} pictures of the sample, {size} px"
        rows.append(bench_row(work, found['ours'], bar=bar, floor=found['reading']))
        rows.append(bench_row(f'{work}, ratio', found['ours'], found['torch'], 'torch'))
    return rows
