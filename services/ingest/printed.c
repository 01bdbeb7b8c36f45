#include "printed.h"

#include <stdio.h>
#include <stdlib.h>

#include "log.h"

void printed_add(
	struct printed *printed, const char *topic, const struct dp_reading *reading)
{
	if (printed->size - printed->len < DP_READING_JSON) {
		size_t size = 2 * (printed->size + DP_READING_JSON);
		char *larger = realloc(printed->at, size);
		if (larger == NULL)
			dp_log_out_of_memory("what is printed");
		printed->at = larger;
		printed->size = size;
	}
	char *at = printed->at + printed->len;
	size_t left = printed->size - printed->len;
	size_t len = (size_t)snprintf(at, left, "Topic=%.400s", topic);
	for (unsigned i = 0; i < reading->n; i++) {
		const struct dp_value *v = &reading->values[i];
		if (dp_slice_equal(v->quantity, dp_slice("temperature")))
			len += (size_t)snprintf(
				at + len, left - len, ", Temp=%.1f°C", v->value);
		else if (dp_slice_equal(v->quantity, dp_slice("humidity")))
			len += (size_t)snprintf(
				at + len, left - len, ", Humidity=%.1f%%", v->value);
		else
			len += (size_t)snprintf(at + len, left - len, ", %.*s=%g%.*s",
				(int)v->quantity.len, v->quantity.at, v->value,
				(int)v->unit.len, v->unit.at);
	}
	at[len++] = '\n';
	printed->len += len;
}

void printed_flush(struct printed *printed)
{
	if (printed->len > 0) {
		fwrite(printed->at, 1, printed->len, stdout);
		fflush(stdout);
	}
	printed->len = 0;
}
