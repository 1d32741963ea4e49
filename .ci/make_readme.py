#!/usr/bin/env python3
"""README.md and its pictures from nbs/index.ipynb: run it to write them; with --check it prints what differs and fails.

Markdown cells go over as they are (relative links are made to hold from the top folder), code cells as python blocks without their `#|`
lines, text as text blocks, tables as markdown, pictures as nbs/images/readme-1.png and so on. `hide`, `include: false`, `echo: false`,
`hide_input`, `output: false`, `hide_output` and `output: asis` do what they do in nbdev; stderr is left out. Standard library only."""
import argparse, base64, difflib, json, re, sys
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INDEX, README, PICTURES = ROOT/'nbs/index.ipynb', ROOT/'README.md', 'nbs/images/readme-'
NOTE = '<!-- Made from nbs/index.ipynb by .ci/make_readme.py: edit the notebook, not this file. -->'

def text(x):
    "The notebook format stores text as one string or as a list of lines."
    return x if isinstance(x, str) else ''.join(x or [])

def directives(source):
    "`#|` lines at the top of a cell as a dict (`echo: false` -> {'echo': 'false'}, `hide` -> {'hide': ''}), and the source below them."
    lines, found = source.splitlines(), {}
    while lines and (lines[0].startswith('#|') or not lines[0].strip()):
        key, _, value = lines.pop(0)[2:].strip().partition(':')
        if key: found[key.strip()] = value.strip()
    return found, '\n'.join(lines).rstrip()

def fence(body, lang=''):
    "A fenced block, its fence longer than any inside."
    ticks = '`'*max(3, 1 + max(map(len, re.findall('`+', body)), default=0))
    return f'{ticks}{lang}\n{body}\n{ticks}'

class Table(HTMLParser):
    "Rows of the plain tables in a piece of HTML; `plain` is False where it holds spans, nested tables or a progress bar."
    def __init__(self, html):
        super().__init__(); self.rows, self.cell, self.depth, self.plain, self.quiet = [], None, 0, True, False
        self.feed(html); self.plain = self.plain and self.depth == 0 and bool(self.rows)
    def handle_starttag(self, tag, attrs):
        if tag == 'table': self.depth += 1; self.plain = self.plain and self.depth == 1 and not self.rows
        if tag in ('progress', 'img', 'svg') or any(k in ('rowspan', 'colspan') and v != '1' for k, v in attrs): self.plain = False
        if tag == 'tr': self.rows.append([])
        if tag in ('td', 'th'): self.cell = ''
        if tag == 'style': self.quiet = True
    def handle_endtag(self, tag):
        if tag == 'table': self.depth -= 1
        if tag in ('td', 'th') and self.rows: self.rows[-1].append(' '.join((self.cell or '').split()).replace('|', r'\|')); self.cell = None
        if tag == 'style': self.quiet = False
    def handle_data(self, data):
        if self.cell is not None and not self.quiet: self.cell += data
    def markdown(self):
        n = max(map(len, self.rows)); rows = [r + ['']*(n - len(r)) for r in self.rows if any(r)]
        number = lambda s: re.fullmatch(r'[-+−±\d.,%\s]*', s)
        line = ['--:' if all(number(r[i]) for r in rows[1:]) else '---' for i in range(n)]
        return '\n'.join('| ' + ' | '.join(r) + ' |' for r in [rows[0], line, *rows[1:]])

def relink(md, source):
    "Relative links of a markdown text, which hold from nbs/, made to hold from the top folder; one that leads nowhere is an error."
    def fix(m):
        before, target, after = m.groups()
        path = target.split('#')[0]
        if not path or re.match(r'[a-z][a-z0-9+.-]*:|/', target, re.I): return m[0]
        if path == 'index.ipynb': path = target = '../README.md'
        full = (INDEX.parent/path).resolve()
        if not full.exists() or not full.is_relative_to(ROOT): raise SystemExit(f'nbs/index.ipynb: {source} links to {target!r}, which is not there')
        return before + full.relative_to(ROOT).as_posix() + target[len(path):] + after
    parts = re.split(r'(^(?:```|~~~).*?^(?:```|~~~)[ \t]*$)', md, flags=re.M | re.S)     # odd parts are code blocks
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r'(\]\()([^)\s]+)((?:\s+"[^"]*")?\))', fix, parts[i])
        parts[i] = re.sub(r'(\b(?:src|href)=")([^"]+)(")', fix, parts[i])
    return ''.join(parts)

def plain(s):
    "Terminal text without colours, and of a line overwritten by carriage returns only what stayed."
    s = re.sub(r'\x1b\[[0-9;]*[A-Za-z]', '', s).replace('\r\n', '\n')
    return '\n'.join(l.split('\r')[-1].rstrip() for l in s.split('\n')).strip('\n')

def render_output(out, opts, pictures, where):
    "One output as markdown ('' for nothing); a picture is added to `pictures`, a dict path -> bytes."
    kind, asis = out['output_type'], opts.get('output') == 'asis'
    if kind == 'error': raise SystemExit(f"nbs/index.ipynb: {where} stopped with {out['ename']}: {out['evalue']}")
    if kind == 'stream':
        body = plain(text(out['text'])) if out['name'] == 'stdout' else ''
        return '' if not body.strip() else relink(body, where) if asis else fence(body, 'text')
    data = out['data']
    if 'text/markdown' in data: return relink(text(data['text/markdown']).strip('\n'), where)
    for mime, ext in ('image/png', 'png'), ('image/jpeg', 'jpg'), ('image/svg+xml', 'svg'):
        if mime not in data: continue
        path = f'{PICTURES}{len(pictures) + 1}.{ext}'
        pictures[path] = text(data[mime]).encode() if ext == 'svg' else base64.b64decode(text(data[mime]))
        alt = (opts.get('fig-alt') or opts.get('fig-cap') or f'Figure {len(pictures)}').strip('"\'')
        return f'![{alt}]({path})'
    if 'text/html' in data:
        table = Table(text(data['text/html']))
        if table.plain: return table.markdown()
    body = plain(text(data.get('text/plain', '')))
    return '' if not body.strip() or re.match(r'<(Figure size|IPython\.|Axes|AxesSubplot)', body) else fence(body, 'text')

def make():
    "(README text, pictures as path -> bytes) of nbs/index.ipynb."
    if not INDEX.exists(): raise SystemExit('nbs/index.ipynb is not there')
    cells, blocks, pictures = json.loads(INDEX.read_text(encoding='utf-8'))['cells'], [], {}
    for i, cell in enumerate(cells):
        where, source = f'cell {i}', text(cell['source'])
        if cell['cell_type'] == 'markdown':
            if cell.get('attachments'): raise SystemExit(f'nbs/index.ipynb: {where} has an attached picture: save it in nbs/images and link it')
            if source.strip(): blocks.append(relink(source.strip('\n'), where))
        if cell['cell_type'] != 'code': continue
        opts, code = directives(source)
        off = lambda *keys: any(opts.get(k) == 'false' for k in keys)
        if 'hide' in opts or off('include') or 'default_exp' in opts or any(k.startswith('default_exp ') for k in opts): continue
        if code and not off('echo') and 'hide_input' not in opts: blocks.append(fence(code, 'python'))
        if off('output') or 'hide_output' in opts: continue
        blocks += filter(None, (render_output(o, opts, pictures, where) for o in cell['outputs']))
    return '\n\n'.join([blocks[0], NOTE, *blocks[1:]]) + '\n', pictures

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--check', action='store_true', help='write nothing; print what differs and fail')
    check = p.parse_args().check
    readme, pictures = make()
    folder, stem = (ROOT/PICTURES).parent, Path(PICTURES).name
    stale = [f for f in sorted(folder.glob(stem + '*')) if f.relative_to(ROOT).as_posix() not in pictures]
    if not check:
        for f in stale: f.unlink()
        for path, data in pictures.items(): (ROOT/path).parent.mkdir(parents=True, exist_ok=True); (ROOT/path).write_bytes(data)
        README.write_bytes(readme.encode('utf-8'))
        return print(f'README.md: {len(readme.splitlines())} lines, {len(pictures)} pictures')
    old = README.read_bytes().decode('utf-8') if README.exists() else ''
    bad = list(difflib.unified_diff(old.splitlines(), readme.splitlines(), 'README.md', 'from nbs/index.ipynb', lineterm=''))
    if not bad and old != readme: bad = ['README.md differs in its line ends']
    bad += [f'{p} differs or is missing' for p, d in pictures.items() if not (ROOT/p).is_file() or (ROOT/p).read_bytes() != d]
    bad += [f'{f.relative_to(ROOT)} is not used any more' for f in stale]
    if bad: sys.exit('\n'.join(bad + ['Run `python .ci/make_readme.py` and commit what it writes.']))
    print(f'README.md and {len(pictures)} pictures are as nbs/index.ipynb gives them')

if __name__ == '__main__': main()
