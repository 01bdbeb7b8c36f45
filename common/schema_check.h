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
 * to them.
 * @return 0; -EUCLEAN a text differs by a few bits, logged; as dp_sqlite_error(), logged
 * but for -EBUSY
 */
int dp_schema_check(sqlite3 *db, const struct dp_schema *schema, const char *path);

#endif
