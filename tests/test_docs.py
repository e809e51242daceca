"""The documentation site: it builds without a warning and without network, and shows what it is meant to show."""

from __future__ import annotations

import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from playwright.sync_api import Browser
from typer.core import TyperGroup
from typer.main import get_command

import digitreader
from digitreader.cli import app
from experiments.screenshot import PHONE
from experiments.tutorial import TUTORIAL, rerun

LOADED = {"img": "src", "link": "href", "script": "src", "iframe": "src", "source": "src", "video": "src"}


class Page(HTMLParser):
    """A page of the site: what it loads, the names of its places, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[tuple[str, str]] = []
        self.ids: set[str] = set()
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is loaded, and the place."""
        given = dict(attrs)
        if address := given.get(LOADED.get(tag, "")):
            self.loaded.append((tag, address))
        if name := given.get("id"):
            self.ids.add(name)

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text += data


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built where every download is refused."""
    folder = tmp_path_factory.mktemp("site")
    refused = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # the discard port
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=root, env=os.environ | refused, capture_output=True, text=True)
    assert not built.returncode, built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    """Return the pages by their path in the site."""
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html")}


def test_every_page_is_in_the_navigation(root: Path, pages: dict[str, Page]) -> None:
    settings = yaml.safe_load((root / "mkdocs.yml").read_text(encoding="utf-8"))
    named = re.findall(r'"([^"]+)\.(?:md|ipynb)"', json.dumps(settings["nav"]))
    assert pages.keys() == {f"{name}.html".replace("README", "index") for name in named} | {"404.html"}


def test_nothing_is_loaded_from_elsewhere_or_missing(site: Path, pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        for tag, address in page.loaded:
            parts = urlsplit(address)
            assert not parts.scheme, f"{name} loads {address}"
            assert not parts.netloc, f"{name} loads {address}"
            folder = site if parts.path.startswith("/") else (site / name).parent
            assert (folder / unquote(parts.path).lstrip("/")).is_file(), f"{name}: no {tag} {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_every_figure_is_shown(root: Path, pages: dict[str, Page]) -> None:
    shown = {address.removeprefix("../") for page in pages.values() for tag, address in page.loaded if tag == "img"}
    assert shown >= {f"figures/{path.name}" for path in (root / "figures").glob("*.png")}


def test_the_notebook_is_shown_as_executed(root: Path, pages: dict[str, Page]) -> None:
    notebook = json.loads((root / "notebooks" / "mnist_classification.ipynb").read_text(encoding="utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    page = pages["notebooks/mnist_classification.html"]
    figures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert sum(tag == "img" for tag, _ in page.loaded) == figures > 0
    for output in outputs:
        for line in "".join(output.get("text", "")).splitlines():
            assert line in page.text
    assert "$" not in re.sub(r"\$ |\$\{", "", page.text), "a formula is shown as it is written"


def test_the_reference_has_every_public_name(pages: dict[str, Page]) -> None:
    ids = pages["docs/api.html"].ids
    modules = {name for _, name, package in pkgutil.iter_modules(digitreader.__path__, "digitreader.") if not package}
    for name in modules - {"digitreader.cli", "digitreader.__main__"}:
        assert name in ids, f"add `::: {name}` to docs/api.md"
        for member, value in vars(import_module(name)).items():
            own = getattr(value, "__module__", None) == name and (inspect.isclass(value) or inspect.isfunction(value))
            assert member.startswith("_") or not own or f"{name}.{member}" in ids


def test_the_reference_has_every_command(pages: dict[str, Page]) -> None:
    page, group = pages["docs/cli.html"], get_command(app)
    assert isinstance(group, TyperGroup)
    for name, command in group.commands.items():
        assert f"digits-{name}" in page.ids
        for parameter in command.params:
            argument = parameter.param_type_name == "argument" and parameter.metavar
            shown = [argument] if argument else parameter.opts
            assert all(name_or_option in page.text for name_or_option in shown), f"{name} {shown}"


def test_the_tutorial_shows_what_its_commands_print() -> None:
    def rounded(text: str) -> str:
        return re.sub(r"\d\.\d{3,}", lambda number: f"{float(number[0]):.2f}", text)  # processors differ a little

    text = TUTORIAL.read_text(encoding="utf-8")
    assert rounded(rerun(text)) == rounded(text), "run `python -m experiments.tutorial`"


def test_pages_fit_a_phone(site: Path, pages: dict[str, Page], browser: Browser) -> None:
    asked: list[str] = []
    with browser.new_context(viewport=PHONE, is_mobile=True) as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for name in pages:
            page.goto((site / name).as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
            assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)"), name
    assert all(urlsplit(address).scheme in ("file", "data", "blob") for address in asked)
