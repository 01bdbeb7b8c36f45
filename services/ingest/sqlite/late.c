#include "late.h"

#define RANGES 8
#define REACH_US 600000000 /* of time in a range; the pruner looks through all of it */

/* Late readings of a sensor: those whose id and whose time lie within these limits. */
struct range {
	int64_t sensor, first, last, from_us, until_us;
};

static int write_range(struct statements *statements, const struct range *range)
{
	const int64_t row[] = {
		range->sensor, range->first, range->last, range->from_us, range->until_us};
	return statements_run(statements, ADD_LATE, 5, row);
}

static bool extend(struct range *range, const struct row *row)
{
	if (row->ts_us < range->until_us - REACH_US ||
		row->ts_us > range->from_us + REACH_US)
		return false;
	range->last = row->id;
	if (row->ts_us < range->from_us)
		range->from_us = row->ts_us;
	if (row->ts_us > range->until_us)
		range->until_us = row->ts_us;
	return true;
}

int late_write(
	struct statements *statements, const struct rows *rows, int64_t counted_until_us)
{
	struct range ranges[RANGES];
	size_t n = 0, next = 0;
	int err = 0;
	for (size_t i = 0; i < rows->n && err == 0; i++) {
		const struct row *row = &rows->at[i];
		if (row->ts_us >= counted_until_us)
			continue;
		size_t at = 0;
		while (at < n && ranges[at].sensor != row->sensor)
			at++;
		if (at < n && extend(&ranges[at], row))
			continue;
		/* One open range a sensor, so that its ranges never overlap. */
		if (at == n && n < RANGES) {
			n++;
		} else {
			at = at < n ? at : next++ % RANGES;
			err = write_range(statements, &ranges[at]);
		}
		ranges[at] = (struct range){
			row->sensor, row->id, row->id, row->ts_us, row->ts_us};
	}
	for (size_t i = 0; i < n && err == 0; i++)
		err = write_range(statements, &ranges[i]);
	return err;
}
