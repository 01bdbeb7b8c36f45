"""The lock that a lease's holder moves in the lock file (common/byte_lock.h), as others see it."""

import fcntl
import os
import struct

FLOCK = "hhqqi4x"  # struct flock: type, whence, start, length, pid
AREAS = {"plain": 1, "prune": 2}


def held_byte(database_path, lease, number):
    """The offset of the byte that is locked for one holding of a lease, or None."""
    start = (AREAS[lease] << 24) + ((number & 0xFFF) << 12)
    question = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, 4096, 0)
    with open(f"{database_path}-lock", "rb+", buffering=0) as file:
        answer = fcntl.fcntl(file.fileno(), fcntl.F_OFD_GETLK, question)
    kind, _, at, _, _ = struct.unpack(FLOCK, answer)
    return None if kind == fcntl.F_UNLCK else at
