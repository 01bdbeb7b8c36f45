/* That two readings are one and the same. */
#ifndef TEST_SAME_READING_H
#define TEST_SAME_READING_H

#include "reading.h"
#include "support.h"

static inline void assert_same(const struct dp_reading *a, const struct dp_reading *b)
{
	assert_true(dp_slice_equal(a->sensor, b->sensor));
	assert_int_equal(a->has_time, b->has_time);
	assert_int_equal(a->ts_us, b->ts_us);
	assert_int_equal(a->n, b->n);
	for (unsigned i = 0; i < a->n; i++) {
		assert_true(dp_slice_equal(a->values[i].quantity, b->values[i].quantity));
		assert_true(dp_slice_equal(a->values[i].unit, b->values[i].unit));
		assert_memory_equal(
			&a->values[i].value, &b->values[i].value, sizeof(double));
	}
}

#endif
