"""Programs in processes of their own: to their end, or killed on the way.

    output("import sys; print(sys.argv[1])", 'word')    # 'word'
    killed(program, .2, folder)                         # that long after the program has printed 'ready'
    killed_when(lambda: file.exists(), program, folder)
"""
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path


def command(program, *args):
    "The words that run a program, a text or the `Path` of a file, in this Python"
    what = [str(program)] if isinstance(program, Path) else ['-c', textwrap.dedent(program)]
    return [sys.executable, '-W', 'ignore', *what, *map(str, args)]


def ended(program, *args, seconds=600, **env):
    "A program that has come to its end, with its `returncode` and `stdout`; `env` is added to the environment"
    how = dict(env=os.environ | env, capture_output=True, text=True, timeout=seconds)
    return subprocess.run(command(program, *args), **how)


def output(program, *args, seconds=600, **env):
    "What a program prints, which must end well, and in time"
    done = ended(program, *args, seconds=seconds, **env)
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


def killed_when(condition, program, *args, **env):
    "Kill a program as soon as `condition()` holds"
    silent = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = subprocess.Popen(command(program, *args), env=os.environ | env, **silent)
    while process.poll() is None and not condition(): time.sleep(.01)
    process.kill()
    process.wait()


def peak_mb():
    "The most memory that this process has had, in MB"
    status = Path('/proc/self/status')  # what getrusage says begins with the parent's
    if not status.exists():
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024
    line, = [line for line in status.read_text().splitlines() if line.startswith('VmHWM')]
    return int(line.split()[1])//1024
