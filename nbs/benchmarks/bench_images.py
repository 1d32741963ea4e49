"""A JPEG file to 384 x 384 bytes on one core, against Pillow and torchvision."""
import math
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import simplejpeg
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize, ToTensor

from harness import bench_row, interleaved, photo_files, run_in_subprocess
from unifex.images import load_image, save_image
from unifex.transforms import Preproc, normalize, resize

SIZE = 384
PICTURES = [  # pixels of the longer side, and of the squares that a picture is put together from
    (640, 224),
    (1600, 224),
    (1600, 448),
]


def mosaic(photos, side, tile, rng) -> torch.Tensor:  # (3, 3/4 side, side) uint8
    "A large picture put together from small ones made squares of `tile` pixels"
    height = side*3//4
    strips = []
    for _ in range(math.ceil(height/tile)):
        squares = [resize(load_image(p), Preproc(tile)) for p in rng.sample(photos, math.ceil(side/tile))]
        strips.append(torch.cat(squares, dim=2))
    return torch.cat(strips, dim=1)[:, :height, :side]


def write_mosaics(folder, side, tile, n=6, seed=42) -> list[Path]:
    "JPEG files of `n` mosaics"
    photos = photo_files()
    rng = random.Random(seed)
    return [save_image(mosaic(photos, side, tile, rng), Path(folder)/f'{i}.jpg', quality=85) for i in range(n)]


def farthest(ours, theirs) -> float:
    "The largest difference between bytes and floats of 0..1, of 255"
    return (ours - theirs*255).abs().max().round().item()


def measure(side, tile, repeat=11) -> dict:
    "Pictures for a second of core time by each way, their mean size, and how far the pixels differ"
    preproc = Preproc(SIZE)
    prepare = Compose([Resize(SIZE, InterpolationMode.BICUBIC), CenterCrop(SIZE), ToTensor()])
    def ours(path): return resize(load_image(path, contiguous=False), preproc)
    def pillow(path): return prepare(Image.open(path).convert('RGB'))
    def decode(path): return simplejpeg.decode_jpeg(path.read_bytes())
    def normalized(path): return normalize(ours(path), preproc)
    def over_all(way): return lambda: [way(path) for path in files]
    with TemporaryDirectory() as d:
        files = write_mosaics(d, side, tile)
        ways = {way.__name__: over_all(way) for way in (ours, pillow, decode, normalized)}
        seconds = interleaved(ways, repeat, time.process_time)
        a = torch.stack([ours(path).float() for path in files])
        b = torch.stack([pillow(path) for path in files])
        kb = sum(path.stat().st_size for path in files)/len(files)/1024
    rates = {name: len(files)/taken for name, taken in seconds.items()}
    inside = farthest(a[..., 3:-3], b[..., 3:-3])  # without the columns at the two edges where sides are cut off
    return rates | dict(kb=kb, inside=inside, edges=farthest(a, b))


def run() -> list[dict]:
    "Rates against the rival with decoding as the floor, and the farthest pixel"
    rows = []
    for side, tile in PICTURES:
        found = run_in_subprocess(measure, side, tile, threads=1)
        name = f'{side} px, {found["kb"]:.0f} KB'
        rival = dict(rival=found['pillow'], against='Pillow + torchvision', unit='img/s', floor=found['decode'])
        rows += [
            bench_row(f'{name}, to {SIZE} px', found['ours'], bar=2.5, **rival),
            bench_row(f'{name}, normalized as well', found['normalized'], **rival),
            bench_row(f'{name}, farthest byte inside', found['inside'], unit='of 255', bar=3),
            bench_row(f'{name}, at the cut edges', found['edges'], unit='of 255'),
        ]
    return rows
