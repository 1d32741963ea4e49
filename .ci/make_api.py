#!/usr/bin/env python3
"""API.md, the public names of every room with a line each, from unifex/*.py: run it to write it; with --check it fails where it differs.

Rooms stand in the order of their notebooks. Standard library only: nothing is imported."""
import ast
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT/'API.md'
HEAD = """# Names

<!-- Made from unifex/*.py by .ci/make_api.py: edit the notebooks, not this file. -->

Every public name, notebook by notebook in the order in which a picture travels, with the first line of its docstring. `unifex.doc(name)` prints what each argument is;
the notebook shows it at work. Names in **bold** are at the front door: `from unifex import ...`.
"""


def first_line(node: ast.AST) -> str:
    return (ast.get_docstring(node) or '').partition('\n')[0]


def arguments(function: ast.FunctionDef, skip: int = 0) -> str:
    "Names of the arguments; `=...` where there is a default"
    a = function.args
    names = [arg.arg for arg in a.posonlyargs + a.args]
    n_free = len(names) - len(a.defaults)
    shown = [name if i < n_free else f'{name}=' for i, name in enumerate(names)][skip:]
    if a.vararg: shown.append(f'*{a.vararg.arg}')
    elif a.kwonlyargs: shown.append('*')
    shown += [arg.arg if default is None else f'{arg.arg}=' for arg, default in zip(a.kwonlyargs, a.kw_defaults)]
    if a.kwarg: shown.append(f'**{a.kwarg.arg}')
    return f"({', '.join(shown)})"


def comment(node: ast.stmt, lines: list[str]) -> str:
    "The comment that stands behind the first line of a constant, or on the line above it"
    first = lines[node.lineno - 1]
    beside = re.search(r'  # (.+)$', first[node.end_col_offset:] if node.end_lineno == node.lineno else first)
    above = re.match(r'# (?!%%)(.+)$', lines[node.lineno - 2])
    told = beside or above
    return told[1] if told else ''


def is_property(node) -> bool:
    marks = ' '.join(map(ast.unparse, node.decorator_list))
    return 'property' in marks or 'as_prop=True' in marks


def owner(node: ast.AST) -> str:
    "The class that a `@patch` gives a function to; '' where it gives it to none"
    if not isinstance(node, ast.FunctionDef) or not any(ast.unparse(d).startswith('patch') for d in node.decorator_list): return ''
    first = node.args.args[0].annotation
    return ast.unparse(first) if first is not None else ''


def constant(name: str, node: ast.stmt | None, lines: list[str]) -> str:
    told = comment(node, lines) if node else ''
    return f'`{name}`' + (f': {told[0].upper()}{told[1:]}' if told else '')


def line(node, shown: str, skip: int = 0) -> str:
    call = '' if isinstance(node, ast.ClassDef) or is_property(node) else arguments(node, skip)
    told = first_line(node)
    return f'`{shown}{call}`' + (f': {told}' if told else '')


def methods(node: ast.ClassDef) -> list[str]:
    found = [f for f in node.body if isinstance(f, ast.FunctionDef) and not f.name.startswith('_')]
    return [f'  - {line(f, "." + f.name, 1)}' for f in found if first_line(f)]


def room(path: Path, door: set[str]) -> tuple[str, str]:
    "(notebook, section) of a module; '' where it has no public names"
    text = path.read_text(encoding='utf-8')
    notebook = re.search(r'File to edit: \.\./(nbs/\S+\.ipynb)', text)
    if not notebook: return '', ''
    tree = ast.parse(text)
    assigned = {t.id: n for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    public = ast.literal_eval(assigned['__all__'].value) if '__all__' in assigned else []
    defined = {n.name: n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not owner(n)}
    source, lines = text.splitlines(), []
    for name in public:
        mark = '**' if name in door else ''
        shown = line(defined[name], name) if name in defined else constant(name, assigned.get(name), source)
        lines.append(f'- {mark}{shown}{mark}')
        if isinstance(defined.get(name), ast.ClassDef): lines += methods(defined[name])
    patched = [n for n in tree.body if isinstance(n, ast.FunctionDef) and owner(n) and not n.name.startswith('_')]
    lines += [f'- {line(n, f"{owner(n)}.{n.name}", 1)}' for n in patched if first_line(n)]
    if not lines: return '', ''
    about = (ast.get_docstring(tree) or '').partition('\n')[0]
    return notebook[1], f'### [unifex.{path.stem}]({notebook[1]})\n\n{about}\n\n' + '\n'.join(lines) + '\n'


def sections() -> list[tuple[str, str]]:
    "(title, globs) of the sidebar"
    text = (ROOT/'nbs/sidebar.yml').read_text(encoding='utf-8')
    return re.findall(r'section: (.+)\n\s+contents: "/(\d)\*', text)


def make() -> str:
    door = set(ast.literal_eval(re.search(r'_DOOR = (\{.*?\n?[^\n]*\})\n', (ROOT/'unifex/__init__.py').read_text(), re.S)[1]))
    rooms = sorted(filter(all, (room(p, door) for p in (ROOT/'unifex').glob('*.py'))))
    parts = [HEAD]
    for title, ten in sections():
        found = [text for notebook, text in rooms if notebook.startswith(f'nbs/{ten}')]
        if found: parts += [f'## {title}\n', *found]
    return '\n'.join(parts)


def main():
    page = make()
    silent = re.findall(r'^ *- \**`([^`]+)`\**$', page, re.M)
    if silent: sys.exit(f"nothing is said of {', '.join(silent)}: a docstring, or of a constant a comment, is its line in API.md")
    if '--check' not in sys.argv:
        PAGE.write_text(page, encoding='utf-8')
        return print(f'API.md: {len(page.splitlines())} lines')
    if not PAGE.exists() or PAGE.read_text(encoding='utf-8') != page:
        sys.exit('API.md is not what the modules give. Run `python .ci/make_api.py` and commit what it writes.')
    print('API.md is as the modules give it')


if __name__ == '__main__': main()
