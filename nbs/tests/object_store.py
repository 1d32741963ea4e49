"""An S3 server on this machine and something to put there, for 39_object_storage.ipynb."""
import io
import os
import socket
import subprocess
import tarfile
import time
import urllib.request
from contextlib import contextmanager
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from unifex.datasets import load_dataset, sample_root

KEYS = dict(AWS_ACCESS_KEY_ID='testing', AWS_SECRET_ACCESS_KEY='testing', AWS_REGION='us-east-1',
            AWS_EC2_METADATA_DISABLED='true', AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)


# moto's, from an environment of its own: pip install 'moto[server]>=5.2.5'
SERVER = os.environ.get('UNIFEX_MOTO_SERVER')
HERE = bool(SERVER)  # whether there is one


def _wait_for(address):
    for _ in range(600):
        try: return urllib.request.urlopen(address, timeout=5).close()
        except OSError: time.sleep(.1)
    raise ConnectionError(f'nothing answers at {address}')


@contextmanager
def s3_server(cache):
    "The address of a server with a bucket `bucket`, found by the environment, as `cache` is; it ends with the block"
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    address = f'http://127.0.0.1:{port}'
    silent = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = subprocess.Popen([SERVER, '-H', '127.0.0.1', '-p', str(port)], **silent)
    try:
        with mock.patch.dict(os.environ, KEYS, AWS_ENDPOINT_URL=address, UNIFEX_CACHE=str(cache)):
            _wait_for(address)
            fs.FileSystem.from_uri('s3://bucket?allow_bucket_creation=true')[0].create_dir('bucket')
            yield address
    finally:
        process.terminate()
        process.wait()


@contextmanager
def without_keys():
    "Nobody who asks, for a while"
    with mock.patch.dict(os.environ):
        for name in 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY': os.environ.pop(name, None)
        yield


def refuse_keys(address):
    "Have the server check who asks, from now on: it knows nobody"
    asked = urllib.request.Request(f'{address}/moto-api/reset-auth', b'0', {'Content-Type': 'text/plain'})
    urllib.request.urlopen(asked).close()


def upload(path, address):
    "A file into the bucket"
    store, name = fs.FileSystem.from_uri(address)
    with store.open_output_stream(name) as f: f.write(path.read_bytes())


def exists(address):
    "Whether there is such a file"
    store, name = fs.FileSystem.from_uri(address)
    return store.get_file_info(name).is_file


def pictures(n, first=0):
    "Names and bytes of pictures of the sample"
    rows = load_dataset('sample').iloc[first:first + n]
    return [(f'{row.label}/{i}.webp', (sample_root()/row.image).read_bytes()) for i, row in enumerate(rows.itertuples())]


def write_files(folder, files):
    "A folder of (name, bytes)"
    folder.mkdir()
    for name, data in files: (folder/name).write_bytes(data)


def write_shards(folder, files, size):
    "A folder of tars, each of so many files"
    folder.mkdir()
    for i in range(0, len(files), size): write_packed(folder/f'{i//size}.tar', files[i:i + size])


def write_packed(path, files):
    "A packed folder: a tar of (name, bytes)"
    with tarfile.open(path, 'w') as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def write_parquet(path, files):
    "The same as Parquet with a column of pictures, as data sets keep them"
    rows = [dict(image=dict(bytes=data, path=name), label=name.split('/')[0]) for name, data in files]
    pq.write_table(pa.Table.from_pylist(rows), path)
