"""What the site takes from outside of docs/, so that each text has one home.

README, the settings, the changelog and the like are pages of the site, too. A link to any other
file of the repository, such as a config or a module, leads to a page that shows it.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = "docs/"
# Pages of the site that lie elsewhere in the repository, by their name in the site.
PAGES = {
    "index.md": "README.md",
    "settings.md": "config/README.md",
    "your-review.md": "resources/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "golden.md": "tests/golden/README.md",
}
SHOWN = "files/"  # pages that show a file, below this
LANGUAGES = {".py": "python", ".yaml": "yaml", ".smk": "python"}
LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")
CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name headings as GitHub does, so that a link leads to the same place there and here."""
    config.mdx_configs["toc"]["slugify"] = slug
    return config


def slug(text: str, separator: str) -> str:
    """Return what a link calls a heading."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", separator)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere, and a page for each file that a page links to."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    shown = set()
    for file in files.documentation_pages():
        text = (ROOT / source_of(file.src_uri)).read_text(encoding="utf-8")
        for link in links_of(text):
            target = target_of(file.src_uri, link)
            if target.startswith(SHOWN):
                shown.add(target)
    for name in sorted(shown):
        files.append(File.generated(config, name, content=shown_file(name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page whose links lead to pages of the site."""
    here = page.file.src_uri
    return markdown if here.startswith(SHOWN) else with_links(markdown, here)


def source_of(name: str) -> str:
    """Return where a page of the site lies in the repository."""
    return PAGES.get(name, DOCS + name)


def links_of(text: str) -> Iterator[str]:
    """Yield where links lead that are no addresses and lead to another file."""
    for part in CODE.split(text)[::2]:
        yield from (link for link in LINK.findall(part) if _is_of_files(link))


def _is_of_files(link: str) -> bool:
    return not link.startswith("#") and "://" not in link and not link.startswith("mailto:")


def target_of(name: str, link: str) -> str:
    """Return the page that a link of a page leads to, by its name in the site.

    Args:
        name: of the page, such as index.md.
        link: as it stands in the repository: a path from the page's folder there.
    """
    path = link.partition("#")[0]
    found = posixpath.normpath(posixpath.join(posixpath.dirname(source_of(name)), path))
    by_source = {source: page for page, source in PAGES.items()}
    if found in by_source:
        return by_source[found]
    if found.startswith(DOCS):
        return found.removeprefix(DOCS)
    return f"{SHOWN}{found}.md" if (ROOT / found).is_file() else link


def with_links(text: str, name: str) -> str:
    """Return the text of a page with its links as they have to be in the site."""

    def moved(found: re.Match[str]) -> str:
        link = found.group()
        if not _is_of_files(link):
            return link
        _, mark, anchor = link.partition("#")
        return posixpath.relpath(target_of(name, link), posixpath.dirname(name)) + mark + anchor

    parts = CODE.split(text)
    parts[::2] = [LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def shown_file(name: str) -> str:
    """Return a page that shows a file of the repository, and that the search passes over."""
    source = name.removeprefix(SHOWN).removesuffix(".md")
    text = (ROOT / source).read_text(encoding="utf-8")
    language = LANGUAGES.get(posixpath.splitext(source)[1], "text")
    fence = "`" * 8
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {source}\n"
    return f"{head}\n{fence}{language}\n{text}\n{fence}\n"
