"Everything comes from settings.ini: `requirements`, one extra per `<name>_requirements`, `console_scripts`."
import re, sys
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup, find_packages

parser = ConfigParser(delimiters=['='])
parser.read('settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']
extras = {k.removesuffix('_requirements'): v.split() for k, v in cfg.items() if k.endswith('_requirements')}

def absolute(readme):
    "Relative links and pictures, outside code blocks, as addresses in the repository: a package index shows the README far from its files."
    link = lambda m: f"{m[1]}{m[2]}({cfg['git_url']}/{'raw' if m[1] else 'blob'}/{cfg['branch']}/{m[3]})"
    parts = readme.split('```')
    parts[::2] = [re.sub(r'(!?)(\[[^\]]*\])\((?![a-z]+:|[#/])([^)\s]+)\)', link, p) for p in parts[::2]]
    return '```'.join(parts)
readme = Path('README.md')
# an editable installation becomes a path entry, not an import hook: a script that runs beside the clone must not find its folder as a package
package_dir = {'': '.'} if 'editable_wheel' in sys.argv else {}

setup(name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'].split(),
      author=cfg['author'], author_email=cfg['author_email'], license='Apache-2.0', url=cfg['git_url'],
      long_description=absolute(readme.read_text(encoding='utf-8')) if readme.exists() else '',
      long_description_content_type='text/markdown', python_requires=f">={cfg['min_python']}",
      packages=find_packages(include=['unifex', 'unifex.*']), include_package_data=True, package_dir=package_dir,
      install_requires=cfg['requirements'].split(), extras_require=extras,
      entry_points={'console_scripts': cfg['console_scripts'].split()},
      classifiers=['Development Status :: 3 - Alpha', 'Intended Audience :: Developers', 'Programming Language :: Python :: 3',
                   'Topic :: Scientific/Engineering :: Image Recognition'], zip_safe=False)
