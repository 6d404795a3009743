"""An engine's refusal in our words: one line, whatever was answered."""

from __future__ import annotations

from bootstrap.errors import refusal

PAGE = """<html><body><h1>403 Forbidden</h1>
Request forbidden by administrative rules.
</body></html>
"""


def test_a_proxys_page_of_html_becomes_one_line_of_text() -> None:
    assert str(refusal("update service web", PAGE)) == (
        "the engine refused to update service web: 403 Forbidden Request forbidden by administrative rules."
    )


def test_an_error_of_several_lines_becomes_one_line() -> None:
    assert "\n" not in str(refusal("list nodes", "rpc error:\n\tdesc = no <leader>"))
    assert "no <leader>" in str(refusal("list nodes", "rpc error:\n\tdesc = no <leader>"))
