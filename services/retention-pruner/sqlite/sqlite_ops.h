/* The operations of a store in a file of SQLite. */
#ifndef PRUNER_SQLITE_OPS_H
#define PRUNER_SQLITE_OPS_H

#include "../store_ops.h"

extern const struct store_ops sqlite_ops;

#endif
