/* The store in a PostgreSQL server. All of it lives on the loop and nothing waits. */
#ifndef INGEST_POSTGRES_SINK_H
#define INGEST_POSTGRES_SINK_H

#include "../sink.h"

extern const struct sink_kind postgres_sink;

#endif
