"""One HTML file without outside parts: templates, how figures are written, style and scripts."""

import base64
import functools
import hashlib
import math
from collections.abc import Iterable
from importlib import resources
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from facekit.pictures import inline

SNIPPET = "window.vegaEmbed = vegaEmbed;"  # what page.js takes of the bundle

Contents = Iterable[tuple[str, str]]  # id and name of each part


def render(template: str, contents: Contents, **values: Any) -> str:
    """Return a page as HTML text; the same values give the same bytes.

    Args:
        template: its name in the folder `templates`, made from `page.html.j2`.
        contents: the page's parts.
        values: of the template.
    """
    return (
        _environment()
        .get_template(template)
        .render(
            contents=list(contents), style=Markup(_own("style.css")), scripts=scripts(), **values
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    """Return the templates, compiled once."""
    environment = inline.environment("evenface.page")
    environment.filters.update(
        count=count,
        figure=figure,
        signed=signed,
        percent=percent,
        words=words,
        duration=duration,
        sentence=sentence,
    )
    return environment


@functools.cache
def scripts() -> list[dict[str, Markup]]:
    """Return Vega and the page's own script, each with the digest by which the page allows it."""
    return [
        {
            "text": Markup(text),
            "digest": Markup("sha256-")
            + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode(),
        }
        for text in (
            vl_convert.javascript_bundle(SNIPPET).replace("</script", "<\\/script"),
            _own("page.js"),
        )
    ]


def _own(name: str) -> str:
    return resources.files("evenface.page").joinpath("templates", name).read_text("utf-8")


def count(value: float | None) -> str:
    """Return a number of things."""
    return "–" if value is None else f"{round(value):,}"


def figure(value: float | None) -> str:
    """Return a number with the digits that a reader can use."""
    if value is None or math.isnan(value):
        return "–"
    if abs(value) < 10:
        return str(value) if isinstance(value, int) else f"{value:.3f}"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def signed(value: float | None) -> str:
    """Return a difference."""
    return "–" if value is None or math.isnan(value) else f"{value:+.3f}"


def percent(share: float) -> str:
    """Return a share of 1 in percent."""
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def words(name: str) -> str:
    """Return a name of files and tables as words."""
    return name.replace("_", " ")


def sentence(text: str) -> str:
    """Return words with a capital at their start and a full stop at their end."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) or not text else f"{text}."


def duration(seconds: float | None) -> str:
    """Return seconds as people say them."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
