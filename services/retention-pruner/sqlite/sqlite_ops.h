/* The operations of a store in a file of SQLite, which keep what ../prune_ops.h says. */
#ifndef PRUNER_SQLITE_OPS_H
#define PRUNER_SQLITE_OPS_H

#include "../prune_ops.h"

extern const struct prune_ops sqlite_ops;

#endif
