/* The partitions of reading, a day each. */
#ifndef PRUNER_DAYS_H
#define PRUNER_DAYS_H

#include "postgres_store.h"

/* Name, part, begins (in microseconds). OFFSET has the names looked at before the rest. */
#define DAYS                                                                               \
	"(SELECT quote_ident(relname) AS name, pg_class.oid AS part,"                      \
	" (to_date(right(relname, 8), 'YYYYMMDD') - date '1970-01-01')"                    \
	"  * 86400000000 AS begins"                                                        \
	" FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"                       \
	" WHERE inhparent = 'reading'::regclass"                                           \
	"  AND relname ~ '^reading_[0-9]{8}$' OFFSET 0) AS day"

#define DAY_NAME_MAX 64

/**
 * The first partition that begins at a time or later.
 * @param name  DAY_NAME_MAX bytes: its name, quoted for SQL
 * @return 1; 0 there is none; or an error; both are written with 1 only
 */
int days_next(
	struct postgres_store *store, int64_t from_us, int64_t *begins_us, char *name);

/**
 * The first reading from a time on, or a time before it with nothing in between.
 * @return as above
 */
int days_first(struct postgres_store *store, int64_t from_us, int64_t *first_us);

/**
 * A step: drop the first day, if it goes. How many readings that were is then in the job.
 * @return an enum step; -EBUSY somebody reads the table for longer; or another error
 */
int days_drop(void *store);

#endif
