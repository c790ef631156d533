"""The site of the documentation: whole, strict, and asking nothing of others."""

import html
import importlib.util
import re
from pathlib import Path

import pytest

from evenface import reference

ROOT = Path(__file__).parents[2]
pytest.importorskip("mkdocs", reason="needs the extra docs")

spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs/hooks.py")
hooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hooks)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does: a warning, such as of a dead link, is an error."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    return folder


def test_every_guide_is_a_page(site):
    pages = {path.name for path in site.glob("*.html")} - {"404.html"}
    guides = {path.with_suffix(".html").name for path in (ROOT / "docs").glob("*.md")}
    elsewhere = {Path(name).with_suffix(".html").name for name in hooks.PAGES}
    assert pages == guides | elsewhere
    assert "Do synthetic faces of the rare classes make" in (site / "index.html").read_text()


def test_no_page_asks_for_anything_elsewhere(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r"""<(?:script|img|iframe)[^>]*\bsrc=["']?([^"'\s>]+)""", text)
        loaded += re.findall(r"""<link[^>]*\brel=["']?(?:stylesheet|preconnect)[^>]*""", text)
        assert not [one for one in loaded if "//" in one], path


def test_links_to_files_lead_to_pages_that_show_them(site):
    text = (site / "api.html").read_text(encoding="utf-8")
    assert 'href="files/classifiers/predict/of_files.py.html"' in text
    shown = (site / "files/classifiers/predict/of_files.py.html").read_text(encoding="utf-8")
    assert "predict_files" in shown


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("index.md", "docs/verdict.md#a-b", "verdict.md#a-b"),
        ("index.md", "config/README.md", "settings.md"),
        ("index.md", "NOTICE", "files/NOTICE.md"),
        ("verdict.md", "../README.md", "index.md"),
        ("verdict.md", "statistics.md", "statistics.md"),
        ("settings.md", "aaf.yaml", "files/config/aaf.yaml.md"),
        ("settings.md", "../docs/pipeline.md#columns", "pipeline.md#columns"),
        ("verdict.md", "#a-b", "#a-b"),
        ("verdict.md", "https://a.org/b.md", "https://a.org/b.md"),
        ("verdict.md", "no-such.md", "no-such.md"),
    ],
)
def test_links_are_moved(page, link, expected):
    assert hooks.with_links(f"a [b]({link}) `[c]({link})`", page) == (
        f"a [b]({expected}) `[c]({link})`"
    )


def test_headings_are_called_as_on_github():
    heading = "external – `facedata match`, `round<n>/splits.parquet`".replace("`", "")
    assert hooks.slug(heading, "-") == "external--facedata-match-roundnsplitsparquet"


@pytest.mark.parametrize(
    "text", ["'{age}_{gender}_{}.jpg'", "[a-z]* or **/{}", "3 < 4 <b>", "a_b", "a|b", "`a_*` b"]
)
def test_cells_of_generated_tables_show_their_text_as_it_is(text):
    from markdown import markdown

    table = f"| a |\n| --- |\n| {reference._cell(text)} |"
    shown = markdown(table, extensions=["tables"]).partition("<td>")[2]
    expected = html.escape(text, quote=False)
    assert shown.partition("</td>")[0] == re.sub("`(.*)`", r"<code>\1</code>", expected)
