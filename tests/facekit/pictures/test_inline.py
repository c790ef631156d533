"""What pages are made of: text of ours and of users as HTML."""

import pytest

from facekit.pictures import inline


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Leave it out; `--export` does.", "Leave it out; <code>--export</code> does."),
        ("`a`, then `b`", "<code>a</code>, then <code>b</code>"),
        ("a < b & `<c>`", "a &lt; b &amp; <code>&lt;c&gt;</code>"),
        ("none", "none"),
    ],
)
def test_what_stands_between_backticks_is_code(text, html):
    assert inline.code(text) == html


def test_a_backtick_alone_is_a_mistake_of_ours():
    with pytest.raises(AssertionError, match="a backtick alone"):
        inline.code("`a")
