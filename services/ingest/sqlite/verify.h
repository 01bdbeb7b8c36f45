/* What SQLite does not notice by itself, looked for when a file is opened. */
#ifndef INGEST_SQLITE_VERIFY_H
#define INGEST_SQLITE_VERIFY_H

#include <stdatomic.h>

#include "sqlite.h"

/**
 * Look through the tables by which readings are told apart: sensors, columns, streams and
 * their numbers. Readings themselves are not looked through.
 * @return 0; -EUCLEAN they are damaged, logged; as dp_sqlite_error()
 */
int verify_tables(sqlite3 *db, const char *path);

/**
 * Look through all of the file, readings too: a pass over it, some seconds a gigabyte on a
 * disk and a minute on a card.
 * @param stop  another thread may set it: then it ends, with -EIO
 * @return as verify_tables()
 */
int verify_all(sqlite3 *db, const char *path, atomic_bool *stop);

#endif
