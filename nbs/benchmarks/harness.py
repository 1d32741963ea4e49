"""What the benchmarks share: a row of a table, timing in turns, memory, fresh processes, and running them by name.

A benchmark NAME is a module `bench_NAME.py` beside this one, whose function `run()` returns rows, see `bench_row`:

    unifex_bench                              # all of them, which takes half an hour
    unifex_bench knn heads --save times.csv

80_benchmarks.ipynb tests what is here, says what is compared and why that is fair, and holds the tables.
"""
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import pandas as pd

from unifex.core import nearest, write_text

FOLDER = Path(__file__).resolve().parent


# ---- rows


def bench_row(
    work: str,  # what was done, with its sizes
    ours: float,  # our figure, in `unit`
    rival: float | None = None,  # the other's figure
    against: str = '',  # who that is
    unit: str = 's',  # s, MB, or something by the second, as img/s
    floor: float | None = None,  # what no way can beat
    bar: float | None = None,  # what the ratio has to reach, or our figure where there is no rival
) -> dict:  # a row of a benchmark's table
    "One comparison; the bar is the least for rates and the most for all else. `met` is None where there is no bar"
    ratio = ours/rival if rival else None
    row = dict(work=work, unit=unit, ours=ours, rival=rival, against=against, floor=floor, ratio=ratio)
    if bar is None: return row | dict(bar='', met=None)
    figure = ratio if rival else ours
    if unit.endswith('/s'): return row | dict(bar=f'>= {bar:g}', met=bool(figure >= bar))
    return row | dict(bar=f'<= {bar:g}', met=bool(figure <= bar))


def measure_once(
    save: str | Path,  # CSV
    measure: Callable[[], pd.DataFrame],  # takes minutes or hours
):
    "Write what `measure` returns into a file, unless it is there already; delete it to measure anew"
    if not Path(save).exists(): write_text(save, measure().to_csv(index=False, lineterminator='\n'))


# ---- time and memory


def interleaved(
    ways: dict[str, Callable],  # name -> what to time
    repeat: int = 5,  # turns, after one that does not count
    clock: Callable = time.perf_counter,  # time.process_time counts the seconds of this process's cores alone
    summary: Callable = median,  # of the seconds of each way; min where others are busy on the machine
) -> dict[str, float]:  # name -> median seconds
    "Time several ways of doing the same, turn by turn"
    seconds = {name: [] for name in ways}
    for _ in range(repeat + 1):
        for name, do in ways.items():
            start = clock()
            do()
            seconds[name].append(clock() - start)
    return {name: summary(taken[1:]) for name, taken in seconds.items()}


def memory_mb(
    field: str,  # VmRSS: now, RssAnon: now and without mapped files, VmHWM: the most so far
) -> float:
    "Megabytes that this process holds; where there is no /proc, the most so far"
    status = Path('/proc/self/status')
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1])/1024
    import resource  # not on Windows
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most/(2**20 if sys.platform == 'darwin' else 1024)


@contextmanager
def peak_memory():
    "Yields an object whose `mb`, after the block, is the most that the process held less what it held before"
    peak = SimpleNamespace(mb=None)
    try: Path('/proc/self/clear_refs').write_text('5')  # Linux: the high-water mark starts again
    except OSError: pass
    before = memory_mb('VmRSS')
    yield peak
    peak.mb = memory_mb('VmHWM') - before


# ---- fresh processes


_CHILD = '''
import importlib, json, sys
module, name, args = json.loads(sys.argv[1])
value = getattr(importlib.import_module(module), name)(*args)
print()
print(json.dumps(value))
'''


def run_in_subprocess(
    func: Callable,  # of a module that can be imported, or of one beside this
    *args,  # as JSON, as is what `func` returns
    threads: int | None = None,  # that numerical libraries may use; None: as they like
):
    "The value of `func(*args)` in a fresh process; `RuntimeError` with the end of its messages where it fails"
    paths = [str(FOLDER), os.environ.get('PYTHONPATH', '')]
    env = os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, paths))}
    if threads is not None:
        env |= dict.fromkeys(('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS'), str(threads))
    call = json.dumps([func.__module__, func.__name__, args])
    child = subprocess.run([sys.executable, '-c', _CHILD, call], env=env, capture_output=True, text=True)
    if child.returncode:
        name = f'{func.__module__}.{func.__name__}'
        raise RuntimeError(f'{name} failed with status {child.returncode}: {child.stderr[-2000:]}')
    return json.loads(child.stdout.splitlines()[-1])


# ---- what the machine has


def installed(module: str) -> bool: return importlib.util.find_spec(module) is not None


def photo_files() -> list[Path]:
    "Photographs below the folder that the variable UNIFEX_GROCERY names, else the pictures of the sample"
    photos = os.environ.get('UNIFEX_GROCERY')
    if photos: return sorted(Path(photos).resolve().rglob('*.jpg'))
    from unifex.datasets import sample_root
    return sorted(sample_root().rglob('*.webp'))


# ---- benchmarks by name


def bench_names(folder: str | Path = FOLDER) -> list[str]:
    "Names of the benchmarks in `folder`"
    return sorted(p.stem.removeprefix('bench_') for p in Path(folder).glob('bench_*.py'))


def run_benches(
    names: str | list[str] = (),  # of `bench_names()`; none: all
    folder: str | Path = FOLDER,  # where their modules lie
) -> pd.DataFrame:  # a row a comparison, by benchmark
    "Run benchmarks one after the other; `ValueError` names the nearest where one is unknown"
    known = bench_names(folder)
    names = [names] if isinstance(names, str) else list(names) or known
    for name in names:
        if name not in known: raise ValueError(f'no benchmark {name!r}{nearest(name, known)}')
    if str(folder) not in sys.path: sys.path.insert(0, str(folder))
    tables = {}
    for name in names:
        module = importlib.import_module(f'bench_{name}')
        tables[name] = pd.DataFrame(module.run())
    return pd.concat(tables, names=['bench', None]).droplevel(1)
