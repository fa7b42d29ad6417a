"""The page: one HTML document with its styles and script inside.

It asks nobody but the service; its content-security policy holds it to that.
"""

import base64
import functools
import hashlib

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_FILES = Environment(
    loader=ChoiceLoader(
        [
            PackageLoader("fdbpl_jax.serve"),
            PackageLoader("fdbpl_jax.reports"),  # the styles of reports
        ]
    ),
    autoescape=True,
    undefined=StrictUndefined,
)


async def page(request: Request) -> Response:
    """The page, which asks `/classes` for what is served."""
    text, headers = _page()
    return HTMLResponse(text, headers=headers)


@functools.cache
def _page() -> tuple[str, dict[str, str]]:
    style = _text("style.css") + _text("page.css")
    script = _text("page.js")
    text = _FILES.get_template("page.html.j2").render(style=style, script=script)
    policy = (
        "default-src 'none'; img-src blob:; connect-src 'self'; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'none'; script-src {_hash(script)}; "
        f"style-src {_hash(style)}"
    )
    return text, {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
    }


def _text(name: str) -> str:
    return _FILES.get_template(name).render()


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
