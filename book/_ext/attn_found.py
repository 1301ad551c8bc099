"""Sphinx extension: what search engines, shared links and browsers' tabs want to know of a page.

* The site's address is `html: baseurl` in `_config.yml`; where none is given, it is the address
  that GitHub Pages has for the repository named there. Sphinx makes each page's canonical link
  from it; here it goes into what describes a shared link, into `sitemap.xml` and `robots.txt`.
* A shared link shows the card of its chapter (`make cards`), any other page that of the book.
* `index.html` leads to the book, and `404.html` helps who came to an address that is none.
"""

import html
import json
import re
from pathlib import Path
from urllib.parse import urlparse

from sphinx.errors import ExtensionError

NAME = "Learning to Attend"
LANDING = "Learning to Attend: attention explained with running code"
CARDS = Path(__file__).parents[1] / "_static" / "cards"
SIZE = {"width": 1200, "height": 630}
NO_DOCUMENTS = ("search", "genindex", "py-modindex")
ICONS = {
    "icon": ("favicon-48.png", "48x48"),
    "apple-touch-icon": ("apple-touch-icon.png", "180x180"),
}


def pages_url(repository: str) -> str:
    """Return the address that GitHub Pages has for a repository.

    >>> pages_url("https://github.com/You/book.git")
    'https://you.github.io/book/'
    >>> pages_url("https://github.com/you/you.github.io")
    'https://you.github.io/'
    """
    match = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?", repository)
    if match is None:
        raise ExtensionError(
            f"_config.yml: {repository or 'no repository'} has no pages on GitHub: "
            "give the site's address as html: baseurl"
        )
    home = f"{match[1].lower()}.github.io"
    return f"https://{home}/" + ("" if match[2].lower() == home else f"{match[2]}/")


def set_address(app, config):
    """Derive the site's address where none is configured."""
    given = config.html_baseurl or pages_url(config.html_theme_options.get("repository_url", ""))
    config.html_baseurl = given.rstrip("/") + "/"


def plain(title: str) -> str:
    """A title without its markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", title)).split())


def card_of(pagename: str, cards: Path = CARDS) -> str:
    """The name of the picture that a link to a page shows."""
    name = pagename.removeprefix("book/")
    return f"{name if (cards / f'{name}.png').exists() else 'intro'}.png"


def about(pagename: str, title: str, text: str, address: str, landing: bool) -> dict[str, str]:
    """What describes a link to a page, by the names of Open Graph and of Twitter."""
    card = card_of(pagename)
    chapter = card != "intro.png"
    return {
        "og:site_name": NAME,
        "og:type": "website" if landing else "article",
        "og:url": f"{address}{pagename}.html",
        "og:title": NAME if landing else title,
        "og:description": text,
        "og:image": f"{address}_static/cards/{card}",
        "og:image:width": str(SIZE["width"]),
        "og:image:height": str(SIZE["height"]),
        "og:image:alt": f"{title}, with a figure of the chapter"
        if chapter
        else f"{NAME}: the book",
        "twitter:card": "summary_large_image",
    }


def tags(properties: dict[str, str]) -> str:
    """The properties as tags of a page's head; empty ones are left out."""
    lines = [
        f'<meta {"name" if key.startswith("twitter") else "property"}="{key}" '
        f'content="{html.escape(value)}" />'
        for key, value in properties.items()
        if value
    ]
    return "".join(f"\n    {line}" for line in lines)


def describe(app, pagename, templatename, context, doctree):
    """Add to a page's head what describes it; runs when its description is there."""
    landing = pagename == app.config.root_doc
    found = re.search(r'<meta name="description" content="([^"]*)"', context.get("metatags", ""))
    text = html.unescape(found[1]) if found else ""
    title = plain(context.get("title") or NAME)
    if landing:
        context["title"], context["docstitle"] = LANDING, ""
    lines = ""
    if doctree is not None:
        lines = tags(about(pagename, title, text, app.config.html_baseurl, landing))
    else:
        lines = '\n    <meta name="robots" content="noindex" />'
    for relation, (file, size) in ICONS.items():
        address = context["pathto"](f"_static/{file}", resource=True)
        kind = ' type="image/png"' if relation == "icon" else ""
        lines += f'\n    <link rel="{relation}"{kind} sizes="{size}" href="{address}" />'
    context["metatags"] = context.get("metatags", "") + lines


# --- files of the site's root ---


def sitemap(address: str, documents: list[str]) -> str:
    """All documents of the site, as search engines read them."""
    urls = "\n".join(
        f"  <url><loc>{html.escape(address + name)}.html</loc></url>" for name in documents
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}\n</urlset>\n'
    )


INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta http-equiv="refresh" content="0; url={page}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="canonical" href="{address}{page}">
<link rel="icon" href="_static/favicon.svg">{tags}
</head>
<body><p><a href="{page}">{name}</a></p></body>
</html>
"""

# A page may be missing at any depth: every link here is meant from the site's root, which is where
# the site's address says, or the server's root for a preview, or the folder of this file.
MISSING = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Page not found: {name}</title>
<base href="{root}">
<script>
  const base = document.querySelector("base");
  if (location.protocol === "file:") base.href = location.href.replace(/[^/]*$/, "");
  else if (!location.pathname.startsWith({root_json})) base.href = "/";
</script>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<link rel="icon" href="_static/favicon.svg">
<style>
  :root {{ color-scheme: light dark; }}
  body {{ max-width: 40rem; margin: 8vh auto; padding: 0 1.25rem; line-height: 1.6;
    font-family: system-ui, sans-serif; }}
  h1 {{ line-height: 1.2; }}
  a {{ color: light-dark(#0f5bc4, #7fb5ff); }}
  input, button {{ font: inherit; padding: 0.4rem 0.7rem; }}
  li {{ margin: 0.3rem 0; }}
  svg {{ width: 6rem; }}
</style>
</head>
<body>
<main>
<a href="{home}" aria-label="{name}">{logo}</a>
<h1>This page got no attention</h1>
<p>There is nothing at this address. It may have moved, or never been here. Search the book, or
choose a page:</p>
<form action="search.html" role="search">
<input type="search" name="q" aria-label="Search this book">
<button>Search</button></form>
<ul>
{links}
</ul>
</main>
</body>
</html>
"""


def write_files(app, exception):
    """Write what stands at the site's root."""
    if exception or app.builder.format != "html":
        return
    folder, address = Path(app.outdir), app.config.html_baseurl
    landing = app.config.root_doc
    documents = [landing, *sorted(app.env.found_docs - {landing})]
    (folder / "sitemap.xml").write_text(sitemap(address, documents), "utf-8")
    robots = f"User-agent: *\nAllow: /\n\nSitemap: {address}sitemap.xml\n"
    (folder / "robots.txt").write_text(robots, "utf-8")
    described = tags(about(landing, NAME, "", address, True))
    index = INDEX.format(
        title=LANDING, name=NAME, page=f"{landing}.html", address=address, tags=described
    )
    (folder / "index.html").write_text(index, "utf-8")
    titles = {name: app.env.titles[name].astext() for name in app.env.found_docs}
    pages = [landing, *(name for name in sorted(titles) if re.match(r"book/\d", name))]
    links = "\n".join(
        f'<li><a href="{name}.html">{html.escape(titles[name])}</a></li>' for name in pages
    )
    root = urlparse(address).path
    missing = MISSING.format(
        name=NAME,
        root=root,
        root_json=json.dumps(root),
        home=f"{landing}.html",
        links=links,
        logo=(CARDS.parent / "logo.svg").read_text("utf-8"),
    )
    (folder / "404.html").write_text(missing, "utf-8")


def setup(app):
    app.connect("config-inited", set_address, priority=900)
    app.connect("html-page-context", describe, priority=900)  # after attn_pages
    app.connect("build-finished", write_files, priority=950)  # after the theme's own index.html
    return {"parallel_read_safe": True, "parallel_write_safe": True}
