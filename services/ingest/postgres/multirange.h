/* A stream's consumed numbers as a value of PostgreSQL's int8multirange. Pure. */
#ifndef INGEST_POSTGRES_MULTIRANGE_H
#define INGEST_POSTGRES_MULTIRANGE_H

#include "intervals.h"

/**
 * Read `{[1,101),[200,301)}`, as int8multirange prints itself.
 * @param set  emptied first
 * @return 0; -EBADMSG it is none of positive numbers; -ENOMEM
 */
int multirange_read(const char *text, struct dp_intervals *set);

/**
 * Write it in the same form.
 * @return text for the caller to free(), or NULL when out of memory
 */
char *multirange_write(const struct dp_intervals *set);

#endif
