"""A TCP proxy between a node and the centre that does what networks do."""

import asyncio
import threading

from harness.broker import HOST

CHUNK = 65536
HELD_BYTES = 1 << 20  # a direction keeps no more; beyond it the sender waits


class Proxy:
    """Listens on a loopback port and forwards to another; its own thread, its own loop.

    In place of the broker where a service takes one; `target` is the listener behind it, and TLS
    is between the two ends.
    """

    def __init__(self, target):
        self._target = target
        self.host, self.certificates = HOST, target.certificates
        self.latency_s = 0.0
        self.cut_after = None  # bytes of a client, then the connection breaks
        self.connections = 0
        self._writers = set()
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._deaf = False
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    def url(self):
        return f"{'mqtts' if self.certificates else 'mqtt'}://{HOST}:{self.port}"

    # ---- what happens to the network ----

    def drop(self):
        """Packets disappear both ways, nobody is told; restore() brings them all back."""
        self._call(self._flowing.clear)

    def restore(self):
        self._call(self._flowing.set)
        self._deaf = False

    def half_open(self):
        """The other end is gone and the node does not know: what it sends leads nowhere."""
        self._deaf = True
        self._call(self._close_servers)

    def break_all(self):
        """Every connection breaks."""
        self._call(self._close_all)

    def close(self):
        self._call(self._close_all)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    # ---- its own thread ----

    def _call(self, function):
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (function(), done.set()))
        assert done.wait(10), "the proxy does not answer"

    def _serve(self, started):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, HOST, 0))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _close_all(self):
        for _, writer in list(self._writers):
            writer.transport.abort()

    def _close_servers(self):
        for side, writer in list(self._writers):
            if side == "server":
                writer.transport.abort()

    async def _accept(self, reader, writer):
        self.connections += 1
        await self._flowing.wait()
        if self._deaf:
            await self._swallow(reader, writer)
            return
        try:
            there = await asyncio.open_connection(HOST, self._target.port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {("client", writer), ("server", there[1])}
        await asyncio.gather(
            self._pump(reader, there[1], writer, self.cut_after),
            self._pump(there[0], writer, writer, None),
        )
        self._writers -= {("client", writer), ("server", there[1])}

    async def _swallow(self, reader, writer):
        """Take everything, answer nothing, until the client gives up or the network is back."""
        self._writers.add(("client", writer))
        try:
            while self._deaf and await reader.read(CHUNK):
                pass
        except OSError:
            pass  # the client has given up
        writer.transport.abort()
        self._writers.discard(("client", writer))

    async def _pump(self, reader, writer, client, cut_after):
        queue, room = asyncio.Queue(), asyncio.Semaphore(HELD_BYTES // CHUNK)
        sender = asyncio.ensure_future(self._send(queue, room, writer))
        try:
            while data := await reader.read(CHUNK):
                if cut_after is not None and len(data) >= cut_after:
                    writer.write(data[:cut_after])
                    await writer.drain()
                    break
                if cut_after is not None:
                    cut_after -= len(data)
                await room.acquire()
                queue.put_nowait((self._loop.time() + self.latency_s, data))
        except OSError:
            pass  # this end is gone: so is the other, below
        sender.cancel()
        # The server's end is gone; the client's stays open and silent.
        while self._deaf and not client.transport.is_closing():
            await asyncio.sleep(0.05)
        writer.transport.abort()
        client.transport.abort()

    async def _send(self, queue, room, writer):
        try:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
                room.release()
        except OSError:
            writer.transport.abort()
