"""The tiles of one picture with the workers of a Dask cluster: an actor at each, which holds some of them.

The client tells all of them what to do next and adds up their numbers; strips of pixels go from worker to worker. Sums are
made in the order of tiles, so the picture has the same bytes as with all tiles in one process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from distributed import Client, get_worker, wait
from distributed.actor import ProxyRPC
from distributed.protocol import to_serialize
from distributed.utils import sync

from minitorch_style.engine.network import Network
from minitorch_style.engine.parts import Wanted
from minitorch_style.engine.tiles import Tiles
from minitorch_style.errors import ClusterError, WorkerLostError
from minitorch_style.kernels import set_threads, vector_ops
from minitorch_style.style.tiled import TileHolder
from minitorch_style.transfer.workers import answering

PATIENCE = 60.0  # seconds until the actors are there


@dataclass(frozen=True)
class Seat:
    """Where an actor is: the worker's address, and its key there."""

    address: str
    key: str


async def answer(rpc: Any, seat: Seat, method: str, arguments: Sequence[Any]) -> Any:
    """What a method of the actor gives, or raises. OSError where its worker cannot be reached."""
    packed = [to_serialize(argument) for argument in arguments]
    found = await rpc.actor_execute(function=method, actor=seat.key, args=packed, kwargs={})
    if found["status"] != "OK":
        raise found["exception"]
    return found["result"]


async def _together(asked: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    return await asyncio.gather(*asked)


class TileActor(TileHolder):
    """Holds some tiles at a worker. It is a holder from `begin` on: a network is not to go through the scheduler's graph."""

    def __init__(self) -> None:
        pass

    def begin(self, network: Network, tiles: Tiles, numbers: Sequence[int], seats: Mapping[int, Seat]) -> None:
        """`seats` are those of all tiles."""
        super().__init__(network, tiles, numbers)
        self._seats = seats
        set_threads(get_worker().state.nthreads)

    def fetch(self, wanted: Sequence[Wanted]) -> list[Any]:
        elsewhere: dict[Seat, list[int]] = {}
        for place, one in enumerate(wanted):
            elsewhere.setdefault(self._seats[one.owner], []).append(place)
        worker = get_worker()
        asked = [
            answer(worker.rpc(seat.address), seat, "give", [[wanted[place] for place in places]])
            for seat, places in elsewhere.items()
        ]
        found: dict[int, Any] = {}
        for places, strips in zip(elsewhere.values(), sync(worker.loop, _together, asked), strict=True):
            found.update(zip(places, strips, strict=True))
        return [found[place] for place in range(len(wanted))]

    async def give(self, wanted: Sequence[Wanted]) -> list[Any]:
        """What another actor fetches. It runs beside what is computed here, so two may wait for each other's."""
        return [np.ascontiguousarray(getattr(self, one.method)(*one.arguments)) for one in wanted]


class Crew:
    """A team (`engine.parts.Team`) of actors, one at each of the client's workers, or fewer where there are fewer tiles.
    ClusterError if there are no workers; after a WorkerLostError it is of no use any more."""

    def __init__(self, client: Client, network: Network, tiles: Tiles) -> None:
        self.client, self.tiles, self.ops = client, tiles, vector_ops(network.kernels.name)
        count = len(tiles.tiles)
        addresses = answering(client)[:count]
        if not addresses:
            raise ClusterError("the cluster has no workers any more")
        ends = [count * number // len(addresses) for number in range(len(addresses) + 1)]
        self.shares = [range(first, last) for first, last in pairwise(ends)]
        self._futures = [
            client.submit(TileActor, actor=True, workers=[address], allow_other_workers=True, pure=False)
            for address in addresses
        ]
        self.seats = self._seated()
        of_tiles = {number: seat for seat, share in zip(self.seats, self.shares, strict=True) for number in share}
        shares = zip(self.seats, self.shares, strict=True)
        self._all([(seat, "begin", (network, tiles, tuple(share), of_tiles)) for seat, share in shares])

    def _seated(self) -> list[Seat]:
        try:
            with self.client.as_current():
                wait(self._futures, timeout=PATIENCE)
            places = self.client.who_has(self._futures)
            return [Seat(places[future.key][0], future.key) for future in self._futures]
        except (TimeoutError, OSError, IndexError) as error:
            raise self._lost(error) from error

    def ask(self, method: str, *arguments: Any) -> list[Any]:
        return self._all([(seat, method, arguments) for seat in self.seats])

    def ask_one(self, which: int, method: str, *arguments: Any) -> Any:
        return self._all([(self.seats[which], method, arguments)])[0]

    def _all(self, calls: Sequence[tuple[Seat, str, Sequence[Any]]]) -> list[Any]:
        if not self._futures:
            raise WorkerLostError("a worker has been lost")
        try:
            return list(self.client.sync(_together, [answer(self._rpc(call[0]), *call) for call in calls]))
        except OSError as error:
            raise self._lost(error) from error

    def _rpc(self, seat: Seat) -> Any:
        client = self.client
        return client.rpc(seat.address) if client.direct_to_workers else ProxyRPC(client.scheduler, seat.address)

    def _lost(self, error: Exception) -> WorkerLostError:
        """Lets go of all actors."""
        self.client.cancel(self._futures, force=True)
        self._futures = []
        return WorkerLostError(f"a worker has been lost ({error})")
