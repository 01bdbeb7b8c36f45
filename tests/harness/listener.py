"""A server that is no broker; what it says is the test's."""

import socket
import threading

from harness.broker import HOST


class Listener:
    """Gives each connection to serve(connection), one after the other, and closes it."""

    def __init__(self, port, serve):
        self.port = port
        self._serve = serve
        self._socket = socket.create_server((HOST, port))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    self._serve(connection)
                except OSError:
                    pass  # it has hung up; the next one is served all the same

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)
