"""Look for links to what is not there in the built documentation: ``python docs/links.py docs/_build/html``."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The places of a page, and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.places |= {place for place in (known.get("id"), known.get("name")) if place}
        self.links |= {link for link in (known.get("href"), known.get("src")) if link}


def dead(folder: Path) -> list[str]:
    """Page and link, for each link within the folder that leads nowhere."""
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8"))
        for path in folder.rglob("*.html")
        if "_static" not in path.parts
    }
    if not pages:
        raise SystemExit(f"there is no page in {folder}")
    found = []
    for path, page in pages.items():
        for link in sorted(page.links):
            to = urlsplit(link)
            if to.scheme or to.netloc:
                continue
            target = (path.parent / unquote(to.path)).resolve() if to.path else path
            known = pages.get(target)
            if not target.exists() or (to.fragment and known and unquote(to.fragment) not in known.places):
                found.append(f"{path.relative_to(folder.resolve())}: {link}")
    return found


if __name__ == "__main__":
    found = dead(Path(sys.argv[1]))
    print("\n".join(found) or "all links within the documentation lead somewhere")
    sys.exit(bool(found))
