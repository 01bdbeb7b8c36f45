"""The few fields of an ELF file that say what it needs to run."""

import struct

MACHINES = {"linux/amd64": 62, "linux/arm64": 183, "linux/arm/v7": 40}
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB = 1, 5


class Elf:
    """Little-endian ELF, 32 or 64 bits."""

    def __init__(self, data):
        assert data[:4] == b"\x7fELF" and data[5] == 1
        self._data = data
        self._wide = data[4] == 2
        self.machine = struct.unpack_from("<H", data, 18)[0]

    def _segments(self):
        """(type, offset, address, size) of each."""
        if self._wide:
            start, size, count = (
                struct.unpack_from("<Q", self._data, 32)[0],
                *struct.unpack_from("<HH", self._data, 54),
            )
        else:
            start, size, count = (
                struct.unpack_from("<I", self._data, 28)[0],
                *struct.unpack_from("<HH", self._data, 42),
            )
        for at in range(start, start + size * count, size):
            if self._wide:
                kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", self._data, at)
            else:
                kind, offset, address, _, length = struct.unpack_from("<IIIII", self._data, at)
            yield kind, offset, address, length

    def _string(self, offset):
        return self._data[offset : self._data.index(b"\0", offset)].decode()

    def interpreter(self):
        """The loader's path; None of a library."""
        return next((self._string(o) for kind, o, _, _ in self._segments() if kind == PT_INTERP), None)

    def needed(self):
        """Names of the libraries that the loader has to find."""
        segments = list(self._segments())
        dynamic = next(((o, n) for kind, o, _, n in segments if kind == PT_DYNAMIC), None)
        if dynamic is None:
            return []
        form, step = ("<qQ", 16) if self._wide else ("<iI", 8)
        offset, length = dynamic
        entries = [struct.unpack_from(form, self._data, at) for at in range(offset, offset + length, step)]
        table = next(value for tag, value in entries if tag == DT_STRTAB)
        base = next(o + table - a for kind, o, a, n in segments if kind == PT_LOAD and a <= table < a + n)
        return [self._string(base + value) for tag, value in entries if tag == DT_NEEDED]
