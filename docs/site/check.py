"""What must hold of the built pages: links lead somewhere, and nothing is loaded from another host."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {
    "script": "src", "iframe": "src", "img": "src", "source": "src", "video": "src", "audio": "src",
    "embed": "src", "object": "data", "link": "href",
}  # fmt: skip
"""Tag -> the attribute with the address of a file that the browser loads."""
NOT_LOADED = {"canonical", "alternate", "next", "prev", "author", "license"}
"""`rel` of a <link> that only names a page."""
OF_STYLE = re.compile(
    r"@import\s*(?:url\()?\s*[\"']?((?:https?:)?//[^\s\"')]+)|url\(\s*[\"']?((?:https?:)?//[^\s\"')]+)", re.I
)
"""An address that a style sheet loads."""


class _Page(HTMLParser):
    """The anchors and the addresses in one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser for every tag."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        address = given.get(LOADING.get(tag, ""), "")
        if address and not (tag == "link" and set(given.get("rel", "").split()) <= NOT_LOADED):
            self.loaded.append(address)
            self.links.append(address)


def is_elsewhere(address: str) -> bool:
    """Whether an address names another host."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def loaded_from_elsewhere(site: Path) -> list[str]:
    """Every file of another host that a page or a style sheet would load: `page: address`."""
    found = []
    for path in sorted(site.rglob("*")):
        if path.suffix not in (".html", ".css"):
            continue
        text = path.read_text(encoding="utf-8")
        addresses = ["".join(match.groups("")) for match in OF_STYLE.finditer(text)]
        if path.suffix == ".html":
            addresses += [address for address in _Page(text).loaded if is_elsewhere(address)]
        found += [f"{path.relative_to(site)}: {address}" for address in addresses]
    return found


def unread_formulas(site: Path) -> list[str]:
    """Every command of LaTeX that is left in a formula: `page: command`."""
    found = []
    for path in sorted(site.rglob("*.html")):
        for formula in re.findall(r"<math.*?</math>", path.read_text(encoding="utf-8"), re.DOTALL):
            found += [f"{path.relative_to(site)}: {name}" for name in re.findall(r"\\[A-Za-z]+", formula)]
    return found


def broken_links(site: Path) -> list[str]:
    """Every link and picture whose file or anchor the site does not have: `page: address`."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin at the root of a server
            continue
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            there = pages.get(target)
            anchor = unquote(parts.fragment)
            if not target.is_file() or (anchor and there is not None and anchor not in there.anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    return broken
