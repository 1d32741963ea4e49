"""What the notebooks about odd files and names share: files written in a line, and what is said of them.

    touch(tmp/'shelf', 'cat/1.jpg', 'dog/2.png')
    write_tar(tmp/'0000.tar', {'1.png': picture, '1.cls': b'cat'})
    error_of(load_pictures, tmp/'shelf')       # the text of the error, without the temporary folder
    table, lines = said(load_pictures, tmp/'shelf')
"""
import io
import re
import struct
import tarfile
import tempfile
import warnings
import zipfile
import zlib

import pyarrow as pa

from unifex.core import write_text
from unifex.images import ImageError
from unifex.tables import TableError

# ---- files


def touch(folder, *names):
    "Files that nobody opens"
    for name in names: write_text(folder/name, 'not opened here')


def write_zip(path, members):
    "A zip of name -> bytes"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as z:
        for name, data in members.items(): z.writestr(name, data)
    return path


def zip_files(path, folder, above=None):
    "A zip of the files below `folder`, under their paths from `above`, which is `folder` itself where it is not given"
    files = sorted(file for file in folder.rglob('*') if file.is_file())
    return write_zip(path, {file.relative_to(above or folder).as_posix(): file.read_bytes() for file in files})


def write_tar(path, members):
    "A tar of name -> bytes"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, 'w') as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_stream(path, table, rows_at_a_time=None):
    "An Arrow stream, as `datasets` saves them"
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.ipc.new_stream(path, table.schema) as f: f.write_table(table, rows_at_a_time)
    return path


def cut(path, whole, size):
    "The first bytes of a file, as a download that breaks off leaves them"
    path.write_bytes(whole.read_bytes()[:size])
    return path


# ---- PNG, byte by byte


def chunk(kind, data):
    "A part of a PNG file"
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png_of_rows(rows, width, height, depth=8, color=2, **chunks):
    "A PNG of these bytes, each row with its filter before it; `color`: 0 gray, 2 RGB, 4 gray and alpha, 6 RGBA"
    header = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, 0))
    more = b''.join(chunk(kind.encode(), data) for kind, data in chunks.items())
    return b'\x89PNG\r\n\x1a\n' + header + more + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


# ---- what is said


def shorten(text):
    "`text` without the names of temporary folders"
    return re.sub(re.escape(tempfile.gettempdir()) + r'/tmp\w+', '...', str(text))


def error_of(f, *args, **kwargs):
    "The text of the `TableError` or `ImageError` that `f` raises"
    try: f(*args, **kwargs)
    except (TableError, ImageError) as e: return shorten(e)
    raise AssertionError(f'no error: {args} {kwargs}')


def said(f, *args, **kwargs):
    "What `f` returns, and the texts of its warnings"
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        return f(*args, **kwargs), [shorten(o.message) for o in seen]


def quietly(f, *args, **kwargs):
    "What `f` returns, whatever it warns of"
    return said(f, *args, **kwargs)[0]
