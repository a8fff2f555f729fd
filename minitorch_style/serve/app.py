"""The HTTP API and the page: what is asked, in terms of pictures, jobs and the queue. docs/page.md describes it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from minitorch_style import __version__
from minitorch_style.errors import ImageError
from minitorch_style.image.writing import encoded, save_picture
from minitorch_style.serve.asked import Ceiling, as_json, settings_of
from minitorch_style.serve.compose import COLORS, REGIONS, composed
from minitorch_style.serve.errors import Refused
from minitorch_style.serve.jobs import MAX_LISTENERS, Job
from minitorch_style.serve.live import BUSY, WRONG, Maker, Session
from minitorch_style.serve.pictures import Pictures
from minitorch_style.serve.queue import Queue
from minitorch_style.serve.survey import Surveyor
from minitorch_style.serve.wall import Painting, shown, small
from minitorch_style.serve.worker import Order, Painted

MAX_JSON = 64_000  # bytes
MAX_PAINTINGS = 8  # blended in one job
LOOK_SIZE = 1280  # of a photo that the browser cannot show
TIDY_SECONDS, HEARTBEAT_SECONDS = 5.0, 15.0
STATIC = Path(__file__).parent / "static"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json",
         ".svg": "image/svg+xml"}  # fmt: skip
FORMATS = {"png": ("PNG", "image/png"), "jpeg": ("JPEG", "image/jpeg"), "webp": ("WEBP", "image/webp")}
Handler = Callable[[Request], Awaitable[Response]]


class App:
    """One server's state and its handlers. `asgi` is the application, without the door."""

    def __init__(
        self,
        folder: Path,
        paintings: dict[str, Painting],
        ceiling: Ceiling | None = None,
        live_painter: Maker | None = None,
    ) -> None:
        self.folder, self.paintings, self.ceiling = folder, paintings, ceiling or Ceiling()
        self.pictures = Pictures(folder, self.ceiling.upload, self.ceiling.size)
        self.live_painter = live_painter
        self.queue = Queue()
        self.surveyor = Surveyor()
        self.static = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in KINDS}
        routes = [
            ("/", "GET", self.page),
            ("/static/{name}", "GET", self.page),
            ("/health", "GET", self.health),
            ("/settings", "GET", self.settings),
            ("/paintings", "GET", self.wall),
            ("/paintings/{id}", "GET", self.painting),
            ("/pictures", "PUT", self.upload),
            ("/pictures/{id}", "GET", self.uploaded),
            ("/jobs", "POST", self.submit),
            ("/jobs/{id}", "GET", self.job),
            ("/jobs/{id}", "DELETE", self.discard),
            ("/jobs/{id}/stop", "POST", self.stop),
            ("/jobs/{id}/events", "GET", self.events),
            ("/jobs/{id}/preview", "GET", self.preview),
            ("/jobs/{id}/picture", "GET", self.picture),
            ("/jobs/{id}/photo", "GET", self.photo),
            ("/jobs/{id}/people", "GET", self.people),
        ]
        self.asgi = Starlette(
            routes=[
                WebSocketRoute("/live", self.live),
                *(Route(path, _answering(handler), methods=[method]) for path, method, handler in routes),
            ],
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.queue.serve()), asyncio.create_task(self._tidy())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            self.pictures.decoder.end()
            self.surveyor.end()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            self.queue.tidy()
            self.pictures.tidy()
            self.surveyor.tidy()

    async def page(self, request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in self.static:
            raise Refused(404, "there is no such file")
        return Response(self.static[name], media_type=KINDS[Path(name).suffix], headers={"cache-control": "no-cache"})

    async def health(self, request: Request) -> Response:
        running = self.queue.running
        return JSONResponse(
            {
                "version": __version__,
                "painting": running is not None and not running.over,
                "waiting": self.queue.waiting,
                "worker": self.queue.worker_pid is not None,
                "pictures": len(self.pictures),
            }
        )

    async def settings(self, request: Request) -> Response:
        return JSONResponse({**as_json(self.ceiling), "live": self.live_painter is not None})

    async def wall(self, request: Request) -> Response:
        return JSONResponse([{"id": one.id, "title": one.title, "about": one.about} for one in self.paintings.values()])

    async def painting(self, request: Request) -> Response:
        found = self.paintings.get(request.path_params["id"])
        if found is None:
            raise Refused(404, "there is no such painting")
        try:
            data = await asyncio.to_thread(shown, found.path)
        except ImageError as error:
            raise Refused(404, f"{found.title}: this painting cannot be read") from error
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    async def upload(self, request: Request) -> Response:
        picture = await self.pictures.receive(request.stream(), request.headers.get("content-length"))
        await asyncio.to_thread(self.surveyor.wake)  # meanwhile people choose
        decoded = picture.decoded
        answer = {"id": picture.id, "width": decoded.width, "height": decoded.height, "notes": decoded.notes}
        return JSONResponse(answer, 201)

    async def uploaded(self, request: Request) -> Response:
        """What a browser is shown that cannot read the file itself."""
        found = self.pictures.get(request.path_params["id"])
        if found is None:
            raise Refused(404, "there is no such picture")
        return Response(await asyncio.to_thread(small, found.path, LOOK_SIZE), media_type="image/jpeg")

    async def live(self, socket: WebSocket) -> None:
        await socket.accept()
        if self.live_painter is None:
            await socket.close(WRONG, "this server does not paint live")
        elif self.queue.processor.locked() or self.queue.waiting:
            await socket.close(BUSY, "this machine is painting already; try again when it is done")
        else:
            async with self.queue.processor:
                await Session(socket, self._path, lambda: self.queue.waiting > 0).run(self.live_painter)

    async def submit(self, request: Request) -> Response:
        self.queue.require_place(request.scope["client_id"])
        asked = await _json(request)
        settings = settings_of(asked.get("settings", {}), asked.get("preset", "default"), self.ceiling)
        photo = self.pictures.get(asked.get("photo"))
        if photo is None:
            raise Refused(410, "the photo is not here any more; send it again")
        paintings = self._paintings(asked.get("paintings"))
        if settings.style_blend is not None and len(settings.style_blend) != len(paintings):
            raise Refused(422, f"{len(paintings)} styles need as many blend weights, got {len(settings.style_blend)}")
        order = Order(str(photo.path), paintings, settings)
        before = asked.get("from")
        job = Job(request.scope["client_id"], order, asked)
        if before is not None:
            path = self.folder / f"{job.id}.tif"
            painted = self._painted(before)
            try:
                await asyncio.to_thread(save_picture, path, painted.image)
            except ImageError as error:
                raise Refused(507, "the picture to go on from cannot be kept: the disk is full") from error
            job.order = replace(order, settings=replace(settings, init=str(path)))
        try:
            await asyncio.to_thread(self.surveyor.require_possible, job.order, self.queue.painter_pid)
            self.queue.submit(job)
        except Refused:
            job.drop_start()
            raise
        return JSONResponse({"id": job.id}, 201, {"location": f"/jobs/{job.id}"})

    def _paintings(self, ids: Any) -> tuple[str, ...]:
        if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_PAINTINGS:
            raise Refused(422, f"paintings must be a list of 1 to {MAX_PAINTINGS} ids")
        paths = [self._path(id) for id in ids]
        if None in paths:
            raise Refused(410, "a painting is not here any more; choose it again")
        return tuple(map(str, paths))

    def _path(self, id: object) -> Path | None:
        """Where a painting lies, one of the wall or one that was sent."""
        if not isinstance(id, str):
            return None
        held = self.pictures.get(id) or self.paintings.get(id)
        return None if held is None else held.path

    def _job(self, id: Any) -> Job:
        job = self.queue.jobs.get(id) if isinstance(id, str) else None
        if job is None:
            raise Refused(404, "there is no such job, or it was too long ago")
        return job

    def _painted(self, id: Any) -> Painted:
        painted = self._job(id).painted
        if painted is None:
            raise Refused(409, "this job has no picture yet")
        return painted

    async def job(self, request: Request) -> Response:
        return JSONResponse(self._job(request.path_params["id"]).as_json())

    async def discard(self, request: Request) -> Response:
        self.queue.stop(self._job(request.path_params["id"]), discard=True)
        return Response(status_code=204)

    async def stop(self, request: Request) -> Response:
        self.queue.stop(self._job(request.path_params["id"]))
        return Response(status_code=204)

    async def events(self, request: Request) -> Response:
        job = self._job(request.path_params["id"])
        if job.listeners >= MAX_LISTENERS:
            raise Refused(429, "too many pages follow this job")
        last = request.headers.get("last-event-id", "")
        begin = int(last) + 1 if last.isdecimal() and len(last) < 10 else 0

        async def stream() -> AsyncIterator[str]:
            async with aclosing(job.follow(begin, HEARTBEAT_SECONDS)) as events:
                async for number, event in events:
                    yield ": still here\n\n" if event is None else f"id: {number}\ndata: {json.dumps(event)}\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def preview(self, request: Request) -> Response:
        data = self._job(request.path_params["id"]).preview
        if data is None:
            raise Refused(404, "there is no preview yet")
        return Response(data, media_type="image/jpeg")

    async def picture(self, request: Request) -> Response:
        painted = self._painted(request.path_params["id"])
        asked = request.query_params
        name, kind = FORMATS.get(asked.get("format", "png"), (None, None))
        colors, region = asked.get("colors", "painting"), asked.get("region", "all")
        if name is None:
            raise Refused(422, f"format must be one of {', '.join(FORMATS)}")
        if colors not in COLORS or region not in REGIONS:
            raise Refused(422, f"colors must be one of {', '.join(COLORS)}, region one of {', '.join(REGIONS)}")
        try:
            strength = float(asked.get("strength", "1"))
        except ValueError:
            strength = -1
        if not 0 <= strength <= 1:
            raise Refused(422, "strength must be from 0 to 1")
        metadata = {}
        if asked.get("settings", "1") == "1":
            hung = [id for id in self._job(request.path_params["id"]).asked["paintings"] if id in self.paintings]
            metadata = {**painted.metadata, "minitorch_style.paintings": ",".join(hung)}

        def made() -> bytes:
            return encoded(name, composed(painted, strength, colors, region), painted.alpha, metadata)

        return Response(await asyncio.to_thread(made), media_type=kind)

    async def photo(self, request: Request) -> Response:
        painted = self._painted(request.path_params["id"])
        return Response(await asyncio.to_thread(encoded, "PNG", painted.photo), media_type="image/png")

    async def people(self, request: Request) -> Response:
        painted = self._painted(request.path_params["id"])
        return Response(await asyncio.to_thread(encoded, "PNG", painted.people), media_type="image/png")


async def _json(request: Request) -> dict[str, Any]:
    """The body as an object. Refused: 413, 408, 400."""
    body = bytearray()
    try:
        async with asyncio.timeout(10):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_JSON:
                    raise Refused(413, f"a job may have {MAX_JSON} bytes")
        asked = json.loads(body)
    except TimeoutError:
        raise Refused(408, "the job did not arrive in time") from None
    except (ValueError, RecursionError):
        raise Refused(400, "this is not JSON") from None
    if not isinstance(asked, dict):
        raise Refused(400, "a job is a JSON object")
    return asked


def _answering(handler: Handler) -> Handler:
    """What a handler refuses, as JSON."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Refused as refused:
            return JSONResponse({"error": refused.sentence}, refused.status, refused.headers)
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody reads

    return answer
