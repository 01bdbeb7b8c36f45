/* The operations of a store in PostgreSQL, which keep what ../prune_ops.h says. */
#ifndef PRUNER_POSTGRES_OPS_H
#define PRUNER_POSTGRES_OPS_H

#include "../prune_ops.h"

extern const struct prune_ops postgres_ops;

#endif
