/* Sensors, columns and partitions that a pass wanted, made in a transaction of their own.
 */
#ifndef INGEST_POSTGRES_PROVISION_H
#define INGEST_POSTGRES_PROVISION_H

#include "catalog.h"
#include "pg.h"

struct provision {
	struct pg *pg;
	struct catalog *catalog;
	pg_on_done *done;
	void *data;
	int days_error;
	struct series **series; /* of what is wanted, each once */
	size_t n, size;
	struct wire_array topics, names;  /* of `series` */
	struct wire_array part_of, parts; /* new ones: of which series, their numbers */
	struct wire_array channel_of, channel_parts; /* new ones: where they stand */
	struct wire_array columns, quantities, units, days;
};

/**
 * Make what catalog->wanted and catalog->wanted_days say, and note it as known. A partition
 * that cannot be made is no error: it is tried again in a while.
 * @param done  with an error as in pg.h; a transaction may then be open, and nothing of
 *              the series is known any more
 */
void provision_run(struct provision *provision, struct pg *pg, struct catalog *catalog,
	pg_on_done *done, void *data);

void provision_finish(struct provision *provision);

#endif
