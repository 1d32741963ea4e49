"""From tar shards to vectors by a worker of Ray on this machine, against the plain path over the same pictures as files."""
import shutil
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_engines import LITE, write_photographs
from harness import bench_row, installed, interleaved, run_in_subprocess
from unifex.embedder import Embedder
from unifex.scale import extract_dataset

SHARD = 1000  # pictures, as in the shards that are tested
FEW, MANY = 1, 3  # shards; the rate is that of what MANY have more than FEW, without any start


def write_shards(folder: Path, n: int):
    "`n` folders of photographs, and the same as tar shards"
    for i in range(n):
        files = folder/f'files/{i}'
        files.mkdir(parents=True)
        table = write_photographs(files, SHARD)
        (folder/'shards').mkdir(exist_ok=True)
        with tarfile.open(folder/f'shards/{i}.tar', 'w') as tar:
            for name in table.image: tar.add(files/name, name)


def extraction_seconds(repeat: int = 2) -> dict[str, float]:
    "Seconds of both ways for few and for many shards"
    embedder = Embedder.zero_shot(LITE['model_name'], weights=LITE['weights'], img_size=224)
    with TemporaryDirectory() as folder:
        folder = Path(folder)
        write_shards(folder, MANY)
        def plain(n):
            embedder.embed([path for i in range(n) for path in sorted((folder/f'files/{i}').iterdir())], progress=False)
        def by_ray(n):
            shards = [folder/f'shards/{i}.tar' for i in range(n)]
            extract_dataset(shards, embedder, folder/'out.parquet', 'local', progress=False)
            shutil.rmtree(folder/'out.parquet')
        ways = {f'{way.__name__} {n}': lambda way=way, n=n: way(n) for way in (plain, by_ray) for n in (FEW, MANY)}
        return interleaved(ways, repeat, summary=min)


def run() -> list[dict]:
    "The rate, and what the whole takes; none where Ray is not installed"
    if not installed('ray'):
        print('scale: left out; pip install ray')
        return []
    seconds = run_in_subprocess(extraction_seconds)
    more = (MANY - FEW)*SHARD
    rates = {way: more/(seconds[f'{way} {MANY}'] - seconds[f'{way} {FEW}']) for way in ('by_ray', 'plain')}
    work = f'Lite0 at 224 px, {SHARD} photographs a shard'
    return [bench_row(f'{work}, rate', rates['by_ray'], rates['plain'], 'Embedder.embed', 'img/s', bar=.85),
            bench_row(f'{work}, {MANY} shards with the start of Ray', seconds[f'by_ray {MANY}'],
                      seconds[f'plain {MANY}'], 'Embedder.embed')]
