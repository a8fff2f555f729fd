"""Fills the reference pages from the program itself, so that they cannot be out of date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def on_startup(**_: Any) -> None:
    """The checkout's own package is described, installed or not."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def _options(parser: argparse.ArgumentParser) -> str:
    rows = ["| option | meaning |", "|---|---|"]
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`"
        if action.option_strings and action.nargs != 0:
            values = "\\|".join(map(str, action.choices)) if action.choices and not action.metavar else action.metavar
            names += f" `{(values or action.dest.upper())}`".replace("\\|", "`, `")
        meaning = (action.help or "").replace("|", "\\|").replace("%%", "%")
        rows.append(f"| {names} | {meaning} |")
    return "\n".join(rows)


def _commands(parser: argparse.ArgumentParser, level: int = 2) -> list[str]:
    parts: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                usage = " ".join(child.format_usage().split()).removeprefix("usage: ")
                parts += [f"{'#' * level} {name}", child.description or "", f"```\n{usage}\n```"]
                nested = _commands(child, level + 1)
                parts += nested or [_options(child)]
    return parts


def on_page_markdown(markdown: str, **_: Any) -> str:
    if "<!-- commands -->" in markdown:
        from minitorch_style.cli import parser

        markdown = markdown.replace("<!-- commands -->", "\n\n".join(_commands(parser())))
    if "<!-- settings -->" in markdown:
        from minitorch_style.transfer.settings import described

        rows = ["| field | default | meaning |", "|---|---|---|"]
        rows += [f"| `{row.name}` | `{row.default}` | {row.help} |" for row in described()]
        markdown = markdown.replace("<!-- settings -->", "\n".join(rows))
    return markdown
