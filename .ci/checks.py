"""Every check of the project: `bash .ci/run [GROUP...]`. Standard library only.

Groups, in order: lint, readme, tests, old_torch, slow, export, wheel, install. The first environment gets what the README's test command
installs, the second one the built wheel with the offline weights, the newest fastai and fastcore, and no nbdev; one with torch 1.11 runs exports. Each line is a check with its time; a
failed one shows the end of its log; the last line counts. A new check is a function that returns a note or raises `Failed`, and one
`run.check(name, function)` in its group."""
import argparse, ast, json, os, re, shlex, shutil, signal, subprocess, sys, tempfile, time, traceback, zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = 'unifex_quickstart', '--epochs', '2', '--n_classes', '60', '--seeds', '1'    # the README's main command, shortened
NEWEST = 'fastai', 'fastcore'                                                             # upgraded in the second environment
MINUTES = 60

class Failed(Exception): "A check that did not pass; its text is shown below the check's line."

class Run:
    "The counts, the temporary folder and the environments of one run."
    def __init__(self, tmp, logs, env_dir=None):
        self.tmp, self.logs, self.dev, self.n_ok, self.n_bad, self.n_log = tmp, logs, env_dir, 0, 0, 0
        self.t0, self.wheel, self.log = time.time(), None, ''       # log: the last command's whole output
        self.old, self.strict = os.environ.get('UNIFEX_TORCH_1_11', ''), False    # a Python with torch 1.11; whether it has to be there
        self.ready = True if env_dir else None                       # None: not installed yet, False: the installation failed

    def report(self, ok, name, secs, text=''):
        "Count and print one check: `text` is a note on its line where it passed, the log below it where it failed."
        self.n_ok += ok; self.n_bad += not ok
        print(f"{'ok  ' if ok else 'FAIL'} {secs:7.1f} s  {name}" + (f'  ({text})' if ok and text else ''))
        if not ok: print('\n'.join('      | ' + l for l in text.splitlines()))
        sys.stdout.flush()

    def check(self, name, f, *args):
        "Run `f(*args)` as one check; True where it passed."
        t = time.time()
        try: ok, text = True, f(*args) or ''
        except Failed as e: ok, text = False, str(e)
        except Exception: ok, text = False, traceback.format_exc()
        self.report(ok, name, time.time() - t, text)
        return ok

    def sh(self, command, venv=None, cwd=ROOT, limit=20*MINUTES, **env):
        "Output of a bash command with `venv` active, without stdin; raises Failed with the end of the log."
        full = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV', 'IN_TEST', 'MPLBACKEND')}
        full |= {'CI': 'true', 'PYTHONUNBUFFERED': '1', 'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'PIP_NO_INPUT': '1', 'PIP_PROGRESS_BAR': 'off',
                 'HF_HUB_OFFLINE': '1', 'OMP_WAIT_POLICY': 'PASSIVE', **env}    # no test depends on a network; waiting threads do not take cores
        if venv: full |= {'VIRTUAL_ENV': str(venv), 'PATH': f"{Path(venv)/'bin'}{os.pathsep}{full['PATH']}"}
        self.n_log += 1
        log = self.logs/f'{self.n_log:02d}.log'
        with open(log, 'w') as f:
            f.write(f'$ {command}\n'); f.flush()
            p = subprocess.Popen(['bash', '-c', command], cwd=cwd, env=full, stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT,
                                 start_new_session=True)
            try: rc = p.wait(limit)
            except subprocess.TimeoutExpired: rc = None
            finally:
                try: os.killpg(p.pid, signal.SIGKILL)                # workers that outlived it, or the whole of it after the limit
                except ProcessLookupError: pass
        self.log = log.read_text(errors='replace')
        if rc == 0: return self.log
        raise Failed(tail(self.log) + f'\n{"stopped after %d s" % limit if rc is None else "exit status %d" % rc}')

    def make_venv(self):
        self.dev = self.dev or self.tmp/'dev'
        if not self.dev.exists(): self.sh(shlex.join([sys.executable, '-m', 'venv', str(self.dev)]))

    def dev_env(self):
        "The first environment; makes it and installs what the README's test command installs, where that has not happened yet."
        if self.ready is False: raise Failed('the installation failed above')
        if self.ready is None:
            self.ready = False
            self.make_venv()
            self.sh(test_command().rsplit('&&', 1)[0], self.dev, limit=40*MINUTES)
            self.ready = True
        return self.dev

def tail(out, n=60):
    lines = [l[:300] for l in out.rstrip().splitlines()]
    return '\n'.join((['...'] if len(lines) > n else []) + lines[-n:])

def note(out): return (re.findall(r'^NOTE (.*)$', out, flags=re.M) or [''])[-1]

def git(*args, env=None):
    command = ['git', '-c', 'safe.directory=*', '-c', 'core.autocrlf=false', *args]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, encoding='utf-8', errors='replace', env=env).stdout

def tree_files(*under):
    "Paths of tracked files, and of new ones that git does not ignore."
    return [f for f in dict.fromkeys(git('ls-files', '-z', '-co', '--exclude-standard', '--', *under).split('\0')) if f and (ROOT/f).is_file()]

def snapshot(run):
    "The hash of a git tree of all files that git does not ignore; the index and the history stay as they are."
    index = {**os.environ, 'GIT_INDEX_FILE': str(run.tmp/'index')}
    git('add', '-A', env=index)
    return git('write-tree', env=index).strip()

def unchanged(run, before):
    "Raise Failed with a diff where files are not as they were."
    diff = git('diff', '--no-ext-diff', '-U1', before, snapshot(run)).splitlines()
    if diff: raise Failed('\n'.join(l[:200] for l in diff[:60]))

def notebooks(): return sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if not any(o[0] in '_.' for o in p.relative_to(ROOT/'nbs').parts))

def shown(nb): return nb.relative_to(ROOT).as_posix()                                # nbs/12_heads.ipynb, nbs/tests/71_stand_ins.ipynb

def code_cells(nb):
    "Per code cell: the names of its directives, and the lines below them."
    for cell in json.loads(nb.read_text(encoding='utf-8'))['cells']:
        if cell['cell_type'] != 'code': continue
        lines, names = ''.join(cell['source']).splitlines(), []
        while lines and (lines[0].startswith('#|') or not lines[0].strip()): names += lines.pop(0)[2:].replace(':', ' ').split()[:1]
        yield names, lines

def shell_blocks():
    "(heading, text) of each sh or bash block of README.md."
    heading, found = '', []
    for m in re.finditer(r'^#+ +([^\n]*)$|^```(\w*)\n(.*?)^```', (ROOT/'README.md').read_text(encoding='utf-8'), flags=re.M | re.S):
        if m[1]: heading = m[1].strip()
        elif m[2] in ('sh', 'bash'): found.append((heading, m[3].strip()))
    return found

def test_command():
    "The README's command for the tests: the first sh or bash block below its heading `Tests`."
    found = [text for heading, text in shell_blocks() if heading.lower() == 'tests']
    if not found: raise Failed('README.md has no sh block below a heading `Tests`')
    return found[0]

# ---- lint, readme

def lint(run):
    def directives():
        bad = []
        for nb in notebooks():
            for names, lines in code_cells(nb):
                bad += [f'{shown(nb)}: {l!r} counts only on the first lines of a cell' for l in lines if re.match(r'#\| ?\w', l)]
                said = [ast.unparse(o) for o in ast.parse('\n'.join(lines)).body] if any('warnings.' in l for l in lines) else []
                bad += [f'{shown(nb)}: {o} also silences what nbdev_test runs after it in the same process; use catch_warnings'
                        for o in said if o.startswith(('warnings.simplefilter(', "warnings.filterwarnings('ignore')"))]
            if re.search(r'"skip_exec: *true', nb.read_text(encoding='utf-8')): bad.append(f'{shown(nb)}: skip_exec skips every cell; flag the cells')
        if bad: raise Failed('\n'.join(bad))
    def names():
        paths = {}
        for nb in notebooks(): paths.setdefault(nb.name, []).append(shown(nb))
        bad = [' and '.join(p) + ' share a name, and nbdev_test tells notebooks apart by it' for p in paths.values() if len(p) > 1]
        bad += [f'{shown(nb)} has `#| default_exp`; notebooks in folders export nothing' for nb in notebooks()
                if nb.parent != ROOT/'nbs' and any('default_exp' in names for names, _ in code_cells(nb))]
        if bad: raise Failed('\n'.join(bad))
    run.check('notebooks: directives stand where they count', directives)
    run.check('notebooks: every name is there once, and only those in nbs/ itself are exported', names)

def readme(run):
    for page, source in ('README.md', 'nbs/index.ipynb'), ('API.md', 'unifex/*.py'):
        command = f'{shlex.quote(sys.executable)} -B .ci/make_{page[:-3].lower()}.py --check'
        run.check(f'{page} is what {source} gives', lambda: run.sh(command) and '')

# ---- tests, slow

def tracebacks(out):
    "Of nbdev_test's log: {notebook's path: its traceback}."
    found, cur = {}, None
    for l in out.splitlines():
        m = re.match(r'\S+ in (/.*\.ipynb):$', l)
        if m: cur = found.setdefault(Path(m[1]).resolve(), [])
        elif re.search(r'(^Starting|- Completed) /|^nbdev Tests Failed', l): cur = None
        if cur is not None: cur.append(l)
    return {k: tail('\n'.join(v), 40) for k, v in found.items()}

def tests(run):
    before = snapshot(run)
    def started(): return '\nStarting /' in run.log
    def readme_command():
        run.ready = False                                            # until a notebook was started: the installation worked then
        run.make_venv()
        # word for word, only that nbdev_test says more
        try: run.sh('nbdev_test() { command nbdev_test --do_print --timing "$@"; }\n' + test_command(), run.dev, limit=60*MINUTES)
        except Failed as e: raise Failed(tail(run.log, 8) if started() else str(e))             # each notebook's own error stands below
        finally: run.ready = started()
    run.check("the README's test command in a fresh environment", readme_command)
    errors, secs = tracebacks(run.log), dict(re.findall(r'^(\S+\.ipynb): (\d+) secs$', run.log, flags=re.M))
    for nb in notebooks() if run.ready else []:
        done = re.search(rf'- Completed \S*/{re.escape(shown(nb))}$', run.log, flags=re.M)  # a killed process may have left half a line before it
        run.report(bool(done) and nb not in errors, shown(nb), float(secs.get(nb.name, 0)),
                   errors.get(nb, '' if done else 'did not run to its end'))
    run.check('the tests leave the checkout as it was', unchanged, run, before)

OLD_PYTHON = """
from unifex.torch111 import torch_1_11_python
try: print('NOTE', torch_1_11_python())
except RuntimeError as e: print('NOTE NOT VERIFIED:', e)
"""

def old_torch(run):
    "Exports for torch 1.11, run in it; a note says NOT VERIFIED where there is no Python 3.8 to 3.10 to install it in."
    def verify():
        found = note(run.sh(f'python -W ignore -c {shlex.quote(OLD_PYTHON)}', run.dev_env(), UNIFEX_CACHE=str(run.tmp/'old')))
        if found.startswith('NOT VERIFIED'):
            if run.strict: raise Failed(found)
            return found
        run.old = found
        return note(run.sh(f"python .ci/old_torch_check.py {run.tmp/'old'}", run.dev_env(), UNIFEX_TORCH_1_11=run.old))
    run.check('exports for torch 1.11, run in torch 1.11', verify)

def slow(run):
    def one(nb): run.sh(f'nbdev_test --path {shown(nb)} --flags slow', run.dev_env(), limit=30*MINUTES, UNIFEX_TORCH_1_11=run.old)
    for nb in notebooks():
        if any('slow' in names for names, _ in code_cells(nb)): run.check(f'{shown(nb)} with its slow cells', one, nb)

# ---- export, wheel

def export(run):
    def no_difference(command):
        run.dev_env()
        before = snapshot(run)
        run.sh(command, run.dev)
        unchanged(run, before)
    def modules():
        made = {f: re.search(r'File to edit: (\S+\.ipynb)', (ROOT/f).read_text(encoding='utf-8')) for f in tree_files('unifex') if f.endswith('.py')}
        bad = [f'{f} was not exported from a notebook' for f, m in made.items() if not m and Path(f).name not in ('__init__.py', '_modidx.py')]
        bad += [f'{f} comes from {m[1]}, which is gone' for f, m in made.items() if m and not (ROOT/f).parent.joinpath(m[1]).is_file()]
        if bad: raise Failed('\n'.join(bad))
        return f'{sum(map(bool, made.values()))} modules'
    run.check('nbdev_export leaves no difference', no_difference, 'nbdev_export')
    run.check('nbdev_clean leaves no difference', no_difference, 'nbdev_clean')
    run.check('every module has its notebook', modules)

def build(run):
    "The wheel, built by way of the source distribution; a path."
    if run.wheel is None:
        run.sh(f"python -m build --outdir {run.tmp/'dist'} .", run.dev_env())
        run.wheel, = (run.tmp/'dist').glob('*.whl')
    return run.wheel

def wheel(run):
    def files():
        names = set(zipfile.ZipFile(build(run)).namelist())
        want, have = set(tree_files('unifex')), {n for n in names if '.dist-info/' not in n}
        bad = [f'missing: {n}' for n in sorted(want - have)] + [f'not in the repository: {n}' for n in sorted(have - want)]
        if not any(n.endswith('/LICENSE') for n in names): bad.append('missing: LICENSE')
        if bad: raise Failed('\n'.join(bad))
        return f'{len(have)} files, {run.wheel.stat().st_size/1e6:.1f} MB'
    run.check('the built wheel holds every module and data file', files)

# ---- install: the second environment

VERSIONS = "from importlib.metadata import version as v; import sys; print('NOTE', ', '.join(f'{n} {v(n)}' for n in sys.argv[1:]))"

def install(run):
    venv, away = run.tmp/'user', run.tmp/'away'                     # `away`: outside the checkout, so that only the wheel is found
    away.mkdir(exist_ok=True)
    def sh(*words, **kw): return note(run.sh(shlex.join(map(str, words)), venv, away, MPLBACKEND='Agg', **kw))
    def make():
        path = build(run)
        if run.dev.is_relative_to(run.tmp): shutil.rmtree(run.dev); run.dev, run.ready = None, None    # gigabytes; the second one needs the room
        run.sh(shlex.join([sys.executable, '-m', 'venv', str(venv)]))
        sh('pip', 'install', '--upgrade', f'{path}[demo]', *NEWEST, limit=40*MINUTES)
        return sh('python', '-c', VERSIONS, 'torch', 'timm', *NEWEST)
    if not run.check('the wheel installs with [demo] and the newest ' + ' and '.join(NEWEST), make): return
    run.check('pip check', sh, 'pip', 'check')
    named = sorted({c for _, text in shell_blocks() for c in re.findall(r'\bunifex_\w+', text)})
    run.check('modules, commands and a training from the wheel', sh, 'python', ROOT/'.ci/installed_check.py', away/'learner', *named)
    run.check(' '.join(QUICKSTART), sh, *QUICKSTART, '--output-dir', away/'results')

GROUPS = {f.__name__: f for f in (lint, readme, tests, old_torch, slow, export, wheel, install)}

def main():
    p = argparse.ArgumentParser(prog='.ci/run', description='Every check of the project; with names, only those groups.')
    p.add_argument('groups', nargs='*', metavar='GROUP', help=f"of {', '.join(GROUPS)}; all where none is named")
    p.add_argument('--env', type=Path, help='a virtual environment with the dev and demo extras, to use in place of a fresh one')
    p.add_argument('--strict', action='store_true', help='exports that cannot be verified in torch 1.11 are a failure')
    p.add_argument('--logs', type=Path, help='keep the logs in this folder')
    a = p.parse_args()
    unknown = set(a.groups) - set(GROUPS)
    if unknown: p.error(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix='unifex-ci-') as tmp:
        logs = a.logs.resolve() if a.logs else Path(tmp)/'logs'
        logs.mkdir(parents=True, exist_ok=True)
        run = Run(Path(tmp).resolve(), logs, a.env and a.env.resolve())
        run.strict = a.strict
        for name, group in GROUPS.items():
            if not a.groups or name in a.groups: group(run)
    print(f'{(time.time() - run.t0)/60:.1f} minutes')
    print(f'{run.n_ok} passed, {run.n_bad} failed')
    sys.exit(run.n_bad > 0)

if __name__ == '__main__': main()
