"""What MkDocs calls while it builds the documentation: it adds the generated pages and checks that the site needs no network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from docs_pages import pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_RULES: Final = "reference/rules/index.md"
_FETCHED: Final = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//"""
    r"""|<link\b[^>]*\brel=["']?(?:stylesheet|preconnect|preload)[^>]*href=["']?(?:https?:)?//"""
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put a page for each group of rules where the navigation has the page of all groups."""
    groups = [path for path in pages() if path.startswith("reference/rules/") and path != _RULES]
    config.nav = _with_groups(config.nav, groups)
    return config


def _with_groups(nav: Any, groups: list[str]) -> Any:
    if isinstance(nav, list):
        return [_with_groups(entry, groups) for entry in nav]
    if isinstance(nav, dict):
        return {title: [_RULES, *groups] if below == _RULES else _with_groups(below, groups) for title, below in nav.items()}
    return nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Give the tour, which shows long lines and has no headings to list, the whole width."""
    if page.file.src_uri.startswith("tour/"):
        page.meta["hide"] = ["toc"]
    return markdown


def on_post_build(config: MkDocsConfig) -> None:
    """Fail where a page would fetch anything from elsewhere."""
    for page in Path(config.site_dir).rglob("*.html"):
        if found := _FETCHED.search(page.read_text(encoding="utf-8")):
            raise PluginError(f"{page} fetches from elsewhere: {found[0]}")
