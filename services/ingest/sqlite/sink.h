/* The store in an SQLite file. It waits for the disk: on the work queue, a job at a time.
 */
#ifndef INGEST_SQLITE_SINK_H
#define INGEST_SQLITE_SINK_H

#include "../sink.h"

extern const struct sink_kind sqlite_sink;

#endif
