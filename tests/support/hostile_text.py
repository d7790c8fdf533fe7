"""Names that another person could choose to harm who reads them: for every output that shows names."""

from __future__ import annotations

NAMES = {
    "a title of the terminal": "\x1b]0;owned\x07",
    "a colour": "\x1b[31mred\x1b[0m",
    "a clearing of the screen": "\x1b[2J\x1b[H",
    "a C1 control character": "\x9b31m",
    "a line that is written over": "good\rerror: evil",
    "a second line": "one\nerror: two",
    "a tab": "a\tb",
    "backspaces": "good\x08\x08\x08\x08evil",
    "a zero byte": "a\x00b",
    "writing from the right": "a\u202egnp.exe",
    "isolated direction": "a\u2067b\u2069",
    "an invisible character": "a\u200bb",
    "a separator of lines": "a\u2028b",
    "a byte that is not UTF-8": "a\udcffb",
    "a closing tag of rich": "[/b]",
    "a style of rich": "[red]x",
    "a setting in brackets": "a[lr=3]",
    "a link of rich": "[link=file:///etc/passwd]x[/link]",
    "an emoji by name": ":dog:",
    "a formula": "=cmd|' /C calc'!A0",
    "a sum": "+1+1",
    "a difference": "-2+3",
    "an address of a cell": "@SUM(A1)",
    "a formula after a tab": "\t=1+1",
    "a formula after a return": "\r=1+1",
    "a script": "<script>alert(1)</script>",
    "an attribute": '"><img src=x onerror=alert(1)>',
    "an end of data": "</script><script>alert(1)</script>",
    "the end of a table": "<!-- results:end -->",
    "an entity": "&lt;b&gt;&#x202e;",
    "a cell": "a|b||c",
    "code": "`a` ``b``",
    "a picture": "![x](http://x.example/y.png)",
    "an address": "http://x.example",
    "a heading": "# big",
    "a template": "{{ 7 * 7 }}{% raw %}",
    "a format": "{0.__class__} %s %n",
    "mathematics": "$\\frac{1}{$",
    "a single dollar": "a$b",
    "an underscore first": "_hidden",
    "a backslash last": "a\\",
    "other scripts": "机器人 робот 🐶",
    "a long name": "x" * 20_000,
    "an empty name": "",
}
"""What it is -> the text."""


def control_characters(text: str, kept: str = "\n") -> set[str]:
    """What in a text could control a terminal, or turn words round."""
    return {sign for sign in text if not sign.isprintable() and sign not in kept}
