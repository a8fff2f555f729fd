"""minitorch_style batch: many photos in the manner of many paintings; what is finished is not made again."""

from __future__ import annotations

import argparse
import html
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from minitorch_style.cli.cluster import add_cluster, connected
from minitorch_style.cli.streams import say
from minitorch_style.cli.stylize import add_reporting, add_settings, settings_of
from minitorch_style.cli.threads import limited
from minitorch_style.errors import ImageError, SettingsError, StyleError, TooLittleMemoryError, in_bytes
from minitorch_style.files import require_apart, write_text
from minitorch_style.image.io import Room, load_picture, pixels_in
from minitorch_style.image.sheet import contact_sheet, thumbnail_side
from minitorch_style.image.writing import check_output, save_picture
from minitorch_style.transfer.batch import Stylizer, Task, encoded_as, finished, found, sidecar, tasks, texts_of, write
from minitorch_style.transfer.events import Iterated
from minitorch_style.transfer.job import painter_of
from minitorch_style.transfer.memory import available_memory
from minitorch_style.transfer.run import run as run_job
from minitorch_style.transfer.settings import Settings

HELP = "Paint many photos in the style of many paintings; finished ones are skipped when run again."
TEMPLATE = "{photo}-{painting}.png"
SHEET = "contact-sheet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", metavar="PHOTO", nargs="+", help="photos, or folders of them")
    parser.add_argument(
        "--paintings", metavar="PAINTING", nargs="+", required=True, help="paintings, or folders of them"
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the results; made if missing")
    parser.add_argument(
        "--pairs", action="store_true", help="the first photo with the first painting, and so on, not all with all"
    )
    parser.add_argument(
        "--name",
        default=TEMPLATE,
        metavar="TEMPLATE",
        help=f"file names of the results, of {{photo}}, {{painting}} and {{number}} (default: {TEMPLATE})",
    )
    parser.add_argument(
        "--contact-sheet", action="store_true", help=f"also write {SHEET}.html and {SHEET}.jpg, of all the results"
    )
    add_cluster(parser, "paint N pictures at a time")
    add_settings(parser)
    add_reporting(parser)


class _Progress:
    """One bar for all pictures on a terminal, else a line for each; JSON lines."""

    def __init__(self, count: int, options: argparse.Namespace) -> None:
        self.count, self.options = count, options
        self.done = self.left = 0.0  # pictures, the one under way in part; how many are still to be made
        self.begun = time.perf_counter()
        self.bar: Any = None
        if not options.quiet and sys.stderr.isatty():
            from tqdm import tqdm

            shape = "{l_bar}{bar}| {n:.1f}/{total_fmt} [{elapsed}{postfix}]"
            self.bar = tqdm(total=count, unit="picture", file=sys.stderr, dynamic_ncols=True, bar_format=shape)

    @property
    def seconds_left(self) -> float:
        spent = time.perf_counter() - self.begun
        return spent / self.done * (self.count - self.done) if self.done else 0.0

    def advance(self, task: Task, whole: int, part: float) -> None:
        self.done = whole + part
        if self.bar is not None:
            self.bar.set_postfix_str(f"{task.out.name}, {self.seconds_left:.0f} s left")
            self.bar.update(self.done - self.bar.n)

    def tell(self, task: Task, state: str, seconds: float, message: str = "") -> None:
        if self.options.json:
            print(json.dumps({"output": str(task.out), "photo": str(task.photo), "painting": str(task.painting),
                              "state": state, "seconds": round(seconds, 3), "message": message}), flush=True)  # fmt: skip
        if self.bar is None and not self.options.quiet and state == "made":
            say(f"{task.out}: {seconds:.1f} s; {self.done:.0f}/{self.count}, {self.seconds_left:.0f} s left")

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def run(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    folder = Path(options.output)
    photos, paintings = found(options.photos), found(options.paintings)
    all_tasks = tasks(photos, paintings, folder, options.name, options.pairs)
    sheet = [folder / f"{SHEET}{ending}" for ending in (".html", ".jpg")] if options.contact_sheet else []
    if settings.style_blend is not None:
        raise SettingsError("--style-blend mixes paintings in one picture; a batch gives each picture one")
    if {path.name for path in sheet} & {task.out.name.lower() for task in all_tasks}:
        raise SettingsError(f"a result would have the name of the contact sheet, {SHEET}")
    outputs = [path for task in all_tasks for path in (task.out, sidecar(task.out))]
    drafts = [options.resume_from] if options.resume_from else []
    require_apart([*outputs, *sheet], [*photos, *paintings, *drafts, *settings.files.values()], SettingsError)
    if any(Path(source).is_dir() and Path(source).resolve() == folder.resolve() for source in options.photos):
        raise SettingsError(f"{folder}: results among the photos would be painted again the next time")
    folder.mkdir(parents=True, exist_ok=True)
    for ending in {task.out.suffix for task in all_tasks}:
        check_output(folder / f"a{ending}")
    with limited(options.threads), connected(options) as client:
        failed = _Batch(all_tasks, settings, options, client).run()
    if sheet:
        with options.signals.deferred():
            _write_sheet(all_tasks, 1 if options.pairs else len(photos), folder)
    for task, reason in failed:
        say(f"minitorch_style: {task.out.name} failed: {reason}")
    return 1 if failed else 0


class _Batch:
    def __init__(self, all_tasks: list[Task], settings: Settings, options: argparse.Namespace, client: Any) -> None:
        self.tasks, self.settings, self.options, self.client = all_tasks, settings, options, client
        self.failed: list[tuple[Task, str]] = []
        self.made = 0

    def run(self) -> list[tuple[Task, str]]:
        """Makes what is not there yet; what failed, and why. KeyboardInterrupt after a signal."""
        todo = self._todo()
        progress = _Progress(len(todo), self.options)
        try:
            if todo:
                (self._here if self.client is None else self._there)(todo, progress)
        except KeyboardInterrupt:
            progress.close()
            if not self.options.quiet:
                say(f"interrupted after {self.made} of {len(todo)} pictures; the same command goes on with the rest")
            raise
        finally:
            progress.close()
        if not self.options.quiet:
            finished_before = len(self.tasks) - len(todo) - self.unread
            say(f"{self.made} made, {finished_before} finished before, {len(self.failed)} failed")
        return self.failed

    def _here(self, todo: list[tuple[Task, dict[str, str]]], progress: _Progress) -> None:
        """One after another, in this process."""
        network = painter_of(self.settings)
        stylizer: Stylizer | None = None
        for whole, (task, texts) in enumerate(todo):
            if stylizer is None or stylizer.paintings != [task.painting]:
                stylizer = Stylizer(task.painting, self.settings, network)
            self._paint(stylizer, task, texts, progress, whole)

    def _there(self, todo: list[tuple[Task, dict[str, str]]], progress: _Progress) -> None:
        """On the workers of the cluster."""
        from minitorch_style.transfer.cluster import painted

        texts_of_task = dict(todo)
        whole = 0
        for done in painted(todo, self.settings, self.client, self._share([task for task, _ in todo])):
            if done is None:
                continue
            problem = done.problem
            if not problem:
                try:
                    with self.options.signals.deferred():
                        write(done.task, texts_of_task[done.task], done.data)
                except ImageError as error:
                    problem = str(error)
            whole += 1
            self._note(done.task, problem, done.seconds, progress, whole)

    def _share(self, todo: list[Task]) -> int | None:
        """Bytes of memory for each of the workers of this machine; None for those of another. SettingsError if it is too
        little for the largest picture."""
        count: int | None = self.options.workers
        limits = [limit for limit in (self.settings.max_memory, available_memory()) if limit is not None]
        if count is None or not limits:
            return None
        share = min(limits) // count
        largest = max(todo, key=lambda task: pixels_in(task.photo, self.settings.size))
        try:
            Stylizer(largest.painting, replace(self.settings, max_memory=share)).prepare(largest.photo)
        except TooLittleMemoryError as error:
            raise SettingsError(
                f"{largest.photo}, with {in_bytes(share)} for each of {count} workers: {error}"
            ) from error
        except StyleError:
            pass  # is told of that picture when it is its turn
        if not self.options.quiet:
            say(f"{count} workers with {in_bytes(share)} of memory each")
        return share

    def _note(self, task: Task, problem: str, seconds: float, progress: _Progress, whole: int) -> None:
        """A task that is over: made, unless there is a problem."""
        progress.advance(task, whole, 0.0)
        if problem:
            self.failed.append((task, problem))
        else:
            self.made += 1
        progress.tell(task, "failed" if problem else "made", seconds, problem)

    def _todo(self) -> list[tuple[Task, dict[str, str]]]:
        todo = []
        for task in self.tasks:
            try:
                texts = texts_of(task, self.settings)
            except StyleError as error:
                self.failed.append((task, str(error)))
                continue
            if not finished(task, texts):
                todo.append((task, texts))
        self.unread = len(self.failed)
        return todo

    def _paint(self, stylizer: Stylizer, task: Task, texts: dict[str, str], progress: _Progress, whole: int) -> None:
        """Makes the task's picture. What is wrong with it alone ends nothing else."""
        begun, signals, problem = time.perf_counter(), self.options.signals, ""

        def listen(event: Iterated) -> bool:
            progress.advance(task, whole, event.iteration.number / job.iterations)
            return signals.received is not None

        try:
            job = stylizer.prepare(task.photo)
            check_output(task.out, job.content.size, job.content.alpha is not None)
            with signals.deferred():
                result = run_job(job).complete(listen, signals.interruptible())
                if not result.interrupted:
                    write(task, texts, encoded_as(task.out.suffix.lower(), result, texts))
            if result.interrupted:
                raise KeyboardInterrupt
        except (StyleError, MemoryError, OSError) as error:
            problem = str(error) or "out of memory"
        self._note(task, problem, time.perf_counter() - begun, progress, whole + 1)


def _write_sheet(all_tasks: list[Task], columns: int, folder: Path) -> None:
    """All results that are there: a page that links to them, and one picture."""
    there = [task if task.out.is_file() else None for task in all_tasks]
    side = thumbnail_side(len(there), columns)
    rows = []
    for first in range(0, len(there), columns):
        cells = "".join(map(_cell, there[first : first + columns]))
        rows.append(f"<tr>{cells}</tr>")
    write_text(folder / f"{SHEET}.html", PAGE.format(side=side, rows="\n".join(rows)), ImageError)
    small = [
        None if task is None else load_picture(task.out, side, Room(available_memory(), large=True)) for task in there
    ]
    save_picture(folder / f"{SHEET}.jpg", contact_sheet(small, columns, side))


def _cell(task: Task | None) -> str:
    if task is None:
        return "<td></td>"
    name, title = quote(task.out.name), html.escape(f"{task.photo.stem} by {task.painting.stem}")
    return f'<td><a href="{name}"><img src="{name}" alt="{title}" loading="lazy"></a><br>{title}</td>'


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Contact sheet</title>
<style>body {{ font-family: sans-serif; font-size: 80% }} td {{ padding: 8px; text-align: center; vertical-align: top }}
img {{ max-width: {side}px; max-height: {side}px }}</style></head>
<body><table>
{rows}
</table></body></html>
"""
