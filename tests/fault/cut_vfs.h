/*
 * A file system that loses power: an SQLite VFS above the system's own.
 *
 * Reads and writes go to real files at once. Beside each file it keeps what is durable
 * (the content at its last sync) and the writes since. At a cut each 512-byte sector of
 * each of those writes is kept or lost by chance, in any combination; a truncation
 * likewise; a file that was never synced may not exist. What was synced stays. The
 * sectors beside a write are not harmed: SQLite calls that powersafe overwrite and
 * counts on it by default, as journalling file systems and today's flash give it
 * (sqlite.org/psow.html, sqlite.org/atomiccommit.html). The shared memory of a
 * write-ahead log never survives.
 */
#ifndef CUT_VFS_H
#define CUT_VFS_H

#include <stdbool.h>
#include <stdint.h>

/** Make it SQLite's default. @param ignore_sync  nothing ever becomes durable */
void cut_vfs_install(uint64_t seed, bool ignore_sync);

/** Power goes at the n-th write, sync, truncation or deletion from now on. */
void cut_arm(unsigned n);

/** Whether it has gone: every call fails until cut_restore(). */
bool cut_happened(void);

/** With every connection closed: the files become what a restart would find. */
void cut_restore(void);

#endif
