"""Two Ray nodes on this machine, pictures for them, and what kills their workers: for 39_ray_cluster.ipynb."""
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from unifex.datasets import load_dataset, sample_root

os.environ.update(RAY_USAGE_STATS_ENABLED='0', RAY_AUTH_MODE='token', RAY_AUTH_TOKEN=os.urandom(16).hex())

JOB = '''
import sys
from unifex.scale import extract_dataset
shards, model, path, address = sys.argv[1:]
print(extract_dataset(shards, model, path, address, progress=False))
'''


def _originals():
    images = load_dataset('sample', sample_root()).image
    return [Image.open(sample_root()/image).convert('RGB').resize((96, 96)) for image in images[::len(images)//100]]


def jpeg(originals, i):
    "The bytes of picture `i`, one of the sample's turned and shifted; no two are alike"
    moved = originals[i % len(originals)].rotate(i % 37 - 18, translate=(i % 11 - 5, i % 7 - 3))
    out = io.BytesIO()
    moved.save(out, 'JPEG', quality=60 + i % 30)
    return out.getvalue()


def write_shards(folder, n, size):
    "`n` tar shards of `size` pictures each; in every shard one is broken"
    originals = _originals()
    folder.mkdir()
    for shard in range(n):
        with tarfile.open(folder/f'{shard:03}.tar', 'w') as tar:
            for i in range(size):
                picture = b'no picture' if i == 7 else jpeg(originals, shard*size + i)
                for name, data in (f'{i:05}.jpg', picture), (f'{i:05}.cls', str(i % 10).encode()):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


@contextmanager
def two_nodes():
    "The address of a cluster of two nodes with a core each; they end with the block"
    import ray
    from ray.cluster_utils import Cluster
    node = dict(num_cpus=1, object_store_memory=200*2**20)
    cluster = Cluster(initialize_head=True, head_node_args=node | dict(include_dashboard=False))
    try:
        cluster.add_node(**node)
        yield cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()


def _processes():
    "pid -> (parent, title) of all processes"
    found = {}
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            parent = int((folder/'stat').read_text().rpartition(')')[2].split()[1])
            title = (folder/'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace')
        except OSError: continue
        found[int(folder.name)] = parent, title
    return found


def ray_processes(kind=''):
    "pid -> title of Ray's processes below this one"
    table = _processes()

    def is_ours(pid):
        while pid in table and pid != os.getpid(): pid = table[pid][0]
        return pid == os.getpid()

    return {pid: title for pid, (_, title) in table.items() if title.startswith('ray::') and kind in title and is_ours(pid)}


def kill_worker():
    "Kill one of the workers; its pid"
    pid = min(ray_processes('_Worker'))
    os.kill(pid, signal.SIGKILL)
    return pid


def finished(folder):
    "Names of the parts that are done"
    return sorted(p.name for p in folder.glob('[!_]*.parquet'))


def kill_when(folder, n):
    "Have a worker killed when so many parts are done; a list that then holds its pid"
    def wait():
        while len(finished(folder)) < n: time.sleep(.05)
        killed.append(kill_worker())

    killed = []
    threading.Thread(target=wait, daemon=True).start()
    return killed


def killed_job(shards, model, path, address, n):
    "Run a job in a process of its own, kill that when `n` parts are done, and give the names of these"
    job = subprocess.Popen([sys.executable, '-c', JOB, str(shards), str(model), str(path), address],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while len(finished(path)) < n and job.poll() is None: time.sleep(.05)
        assert job.poll() is None, 'it has ended before it could be killed'
    finally: job.kill()
    job.wait()
    return finished(path)
