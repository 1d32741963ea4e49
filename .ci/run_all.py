#!/usr/bin/env python3
"""Run All, as Jupyter does it: every cell of a notebook, flagged ones too, in a kernel of its own.

    python .ci/run_all.py [NOTEBOOK...]    # all of nbs/*.ipynb; needs `pip install nbclient ipykernel`

Nothing is written but a line a notebook in nbs/benchmarks/measured/run_all.csv: seconds, the longest cell, the first error."""
import csv
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

ROOT = Path(__file__).resolve().parent.parent
SAVED = ROOT/'nbs/benchmarks/measured/run_all.csv'
COLUMNS = 'notebook', 'seconds', 'longest cell', 'warnings', 'error'
MOST = 4*3600  # seconds of a cell


def run(path: Path) -> dict:
    "A row for one notebook"
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(book, timeout=MOST, kernel_name='python3', resources={'metadata': {'path': str(path.parent)}})
    seconds, begun, error = [], [0.], ''
    client.on_cell_execute = lambda **_: begun.append(time.time())
    client.on_cell_executed = lambda **_: seconds.append(time.time() - begun[-1])
    start = time.time()
    try: client.execute()
    except CellExecutionError as e: error = f'{e.ename}: {e.evalue}'.splitlines()[0][:150]
    except CellTimeoutError: error = f'a cell took more than {MOST} seconds'
    outputs = [o for cell in book.cells for o in cell.get('outputs', [])]
    told = ''.join(o.text for o in outputs if o.output_type == 'stream' and o.name == 'stderr')
    return dict(zip(COLUMNS, (path.stem, round(time.time() - start), round(max(seconds, default=0)),
                              len(re.findall(r'Warning\b', told)), error)))


def main():
    named = [Path(name).stem for name in sys.argv[1:]]
    rows = {}
    if SAVED.exists():
        with open(SAVED, newline='', encoding='utf-8') as f: rows = {row['notebook']: row for row in csv.DictReader(f)}
    paths = [path for path in sorted((ROOT/'nbs').glob('*.ipynb')) if not named or path.stem in named]
    for path in paths:
        row = rows[path.stem] = run(path)
        print(*row.values(), sep='\t', flush=True)
        with open(SAVED, 'w', newline='', encoding='utf-8') as f:
            writer = csv.DictWriter(f, COLUMNS, lineterminator='\n')
            writer.writeheader()
            writer.writerows(rows[name] for name in sorted(rows) if (ROOT/f'nbs/{name}.ipynb').exists())
    sys.exit(any(rows[path.stem]['error'] for path in paths))


if __name__ == '__main__': main()
