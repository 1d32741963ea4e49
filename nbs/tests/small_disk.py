"""A disk that can be full: a small file system in memory, where one may be mounted.

    disk = SmallDisk(work/'small', mb=16)
    if disk.mounted: disk.fill(left=1000)
"""
import os
import subprocess


class SmallDisk:
    "A folder of so many MB; where it is not `mounted` it is a folder like others"
    def __init__(self, folder, mb):
        self.folder, self.ballast = folder, folder/'ballast'
        folder.mkdir()
        mount = ['mount', '-t', 'tmpfs', '-o', f'size={mb}m', 'tmpfs', folder]
        self.mounted = subprocess.run(mount, capture_output=True).returncode == 0
        if not self.mounted: print('left out: no file system can be mounted here')

    def fill(self, left=0):
        "Leave so many bytes"
        self.empty()
        room = os.statvfs(self.folder)
        self.ballast.write_bytes(bytes(max(0, room.f_bavail*room.f_frsize - left)))

    def empty(self): self.ballast.unlink(missing_ok=True)

    def unmount(self):
        if self.mounted: subprocess.run(['umount', '-l', self.folder], check=True)
