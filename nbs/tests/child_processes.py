"""Programs in processes of their own: to their end, or killed on the way.

    output("import sys; print(sys.argv[1])", 'word')    # 'word\n'
    killed(program, .2, folder)                         # that long after the program has printed 'ready'
"""
import os
import subprocess
import sys
import textwrap
import time


def command(program, *args):
    "The words that run a program in this Python"
    return [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(program), *map(str, args)]


def output(program, *args, **env):
    "What a program prints, which must end well; `env` is added to the environment"
    done = subprocess.run(command(program, *args), env=os.environ | env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def killed(program, seconds, *args):
    "Kill a program so many seconds after it has printed that it is ready"
    process = subprocess.Popen(command(program, *args), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'ready\n'
    time.sleep(seconds)
    process.kill()
    process.communicate()
