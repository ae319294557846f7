"""Pages that say one thing, for who is not let in: no template, no script, no data of the lake, only public styles."""

from __future__ import annotations

from html import escape

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{head}<title>{title} · Lakehead</title>
<link rel="icon" href="/static/any/icon.svg">
<link rel="stylesheet" href="/static/any/base.css">
<link rel="stylesheet" href="/static/any/parts.css">
</head>
<body>
<main>
<section class="panel notice">
<h1>{title}</h1>
{body}
</section>
</main>
</body>
</html>
"""


def notice(title: str, text: str, *, command: str = "") -> str:
    """A page with a title, a paragraph, and a command to type."""
    body = f"<p>{escape(text)}</p>" + (f'\n<p><code class="command">{escape(command)}</code></p>' if command else "")
    return _PAGE.format(title=escape(title), head="", body=body)


def leading_to(target: str) -> str:
    """A page that leads on at once, so that the next request is one of this site and brings its cookie."""
    to = escape(target, quote=True)
    head = f'<meta http-equiv="refresh" content="0; url={to}">\n'
    return _PAGE.format(title="One moment", head=head, body=f'<p><a href="{to}">Open the console</a></p>')


CLOSED = notice(
    "Open the console by its link",
    "This browser does not know the console's token yet. Print a link that opens it once:",
    command="lakehead console link",
)
USED = notice(
    "This link does not open the console",
    "A link opens it once, and for ten minutes after it was printed. Print another one:",
    command="lakehead console link",
)
