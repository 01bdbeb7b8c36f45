/*
 * Whether the tables, indexes and views of a file are those that its migrations made.
 * SQLite reads their texts at opening and believes them: one flipped bit, and a column has
 * another name or is no key any more.
 */
#ifndef DP_SCHEMA_CHECK_H
#define DP_SCHEMA_CHECK_H

#include "sqlite.h"

/**
 * Compare a file of the newest version with what the migrations make of an empty one. What
 * is somebody else's is not looked at. What somebody has changed of ours is logged and left
 * to them. A view that differs by a few bits is made anew, logged: it holds no data. Where
 * that cannot be done just now (no room, locked, read-only) it stays as it is, logged.
 * @return 0; -EUCLEAN the text of anything else differs by a few bits, logged; as
 * dp_sqlite_error(), logged but for -EBUSY
 */
int dp_schema_check(sqlite3 *db, const struct dp_schema *schema, const char *path);

/**
 * Make views anew in a file that SQLite does not open, as it does not understand the text
 * of one that differs by a few bits. Nobody else's work is undone.
 * @return how many, logged; or as dp_sqlite_error()
 */
int dp_schema_mend_file(const char *path, const struct dp_schema *schema);

#endif
