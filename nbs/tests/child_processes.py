"""Programs in processes of their own: to their end, or killed on the way.

    output("import sys; print(sys.argv[1])", 'word')    # 'word'
    killed(program, .2, folder)                         # that long after the program has printed 'ready'
"""
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path


def command(program, *args):
    "The words that run a program in this Python"
    return [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(program), *map(str, args)]


def output(program, *args, seconds=600, **env):
    "What a program prints, which must end well, and in time; `env` is added to the environment"
    how = dict(env=os.environ | env, capture_output=True, text=True, timeout=seconds)
    done = subprocess.run(command(program, *args), **how)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def started(program, *args):
    "A process that runs a program; its output can be read"
    return subprocess.Popen(command(program, *args), stdout=subprocess.PIPE, text=True)


def killed(program, seconds, *args):
    "Kill a program so many seconds after it has printed that it is ready"
    process = started(program, *args)
    assert process.stdout.readline() == 'ready\n'
    time.sleep(seconds)
    process.kill()
    process.communicate()


def peak_mb():
    "The most memory that this process has had, in MB"
    status = Path('/proc/self/status')  # what getrusage says begins with the parent's
    if not status.exists():
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024
    line, = [line for line in status.read_text().splitlines() if line.startswith('VmHWM')]
    return int(line.split()[1])//1024
