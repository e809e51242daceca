"""Lay the documentation site out as the repository, so that the same links hold in both.

MkDocs publishes the Markdown of one folder. Here the site also gets the README, the figures and the executed notebook,
all under their own paths. The page of the command is completed by the command itself, and formulas become MathML, which
browsers show without a script.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path, PurePosixPath

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

ROOT = Path(__file__).parents[1]
PUBLISHED = (
    "*.md",
    "LICENSE",
    "benchmarks/results/*.json",
    "docs/**/*.css",
    "docs/**/*.md",
    "docs/samples/*.jpg",
    "figures/*.png",
)
NOTEBOOK = "notebooks/mnist_classification.ipynb"
COMMANDS = "<!-- every command, from the command itself -->"


class Notebook(File):
    """A notebook that is shown as a page."""

    def is_documentation_page(self) -> bool:
        """Return true, whatever the name ends in."""
        return True


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of docs/ by those of the repository that the site shows."""
    own = [_published(path, config) for pattern in PUBLISHED for path in sorted(ROOT.glob(pattern))]
    return Files([*(file for file in files if file.src_dir != config.docs_dir), *own, *_notebook(config)])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Complete the page of the command."""
    if COMMANDS not in markdown:
        return markdown
    command = [sys.executable, "-m", "typer", "digitreader.cli", "utils", "docs", "--name", "digits"]
    documented = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return markdown.replace(COMMANDS, documented.partition("\n")[2])  # without its title: the page has one


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show formulas."""
    formula = r'<span class="arithmatex">\\\((.+?)\\\)</span>'
    return re.sub(formula, lambda match: convert(unescape(match[1])), html)


def _published(path: Path, config: MkDocsConfig) -> File:
    """Return a file of the repository under its own path."""
    name = path.relative_to(ROOT).as_posix()
    shown = "LICENSE.txt" if name == "LICENSE" else None  # browsers save what has no type
    return File(name, str(ROOT), config.site_dir, config.use_directory_urls, dest_uri=shown)


def _notebook(config: MkDocsConfig) -> Iterator[File]:
    """Yield the notebook as it was executed, and the figures in it."""
    exporter = MarkdownExporter(preprocessors=[CoalesceStreamsPreprocessor])
    text, resources = exporter.from_filename(str(ROOT / NOTEBOOK))
    page = Notebook(NOTEBOOK, str(ROOT), config.site_dir, config.use_directory_urls)
    # Without a class and a border of their own, tables look and scroll as all others do.
    page.content_string = text.replace('<table border="1" class="dataframe">', "<table>")
    yield page
    for name, content in resources["outputs"].items():
        yield File.generated(config, str(PurePosixPath(NOTEBOOK).parent / name), content=content)
