#include "condensed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * A reading: which shape (and FRESH), then, if it is fresh, the number of values and the
 * texts: the sensor, each quantity and its unit; then the time and the values as they are
 * in memory. A text: its length in one byte, and its bytes.
 */
#define FRESH 0x80u

static void put(struct condenser *condenser, const void *from, size_t len)
{
	if (len > 0)
		memcpy(condenser->at + condenser->len, from, len);
	condenser->len += len;
}

static void put_byte(struct condenser *condenser, unsigned byte)
{
	condenser->at[condenser->len++] = (char)byte;
}

static void put_text(struct condenser *condenser, struct dp_slice text)
{
	put_byte(condenser, (unsigned)text.len);
	put(condenser, text.at, text.len);
}

static void put_reading(struct condenser *condenser, unsigned which, bool fresh,
	const struct dp_reading *reading)
{
	put_byte(condenser, fresh ? which | FRESH : which);
	if (fresh) {
		put_byte(condenser, reading->n);
		put_text(condenser, reading->sensor);
		for (unsigned i = 0; i < reading->n; i++) {
			put_text(condenser, reading->values[i].quantity);
			put_text(condenser, reading->values[i].unit);
		}
	}
	put(condenser, &reading->ts_us, sizeof(reading->ts_us));
	for (unsigned i = 0; i < reading->n; i++)
		put(condenser, &reading->values[i].value, sizeof(double));
}

static int make_room(struct condenser *condenser, size_t size)
{
	condenser->len = 0;
	if (size <= condenser->size)
		return 0;
	char *at = realloc(condenser->at, size);
	if (at == NULL)
		return -ENOMEM;
	condenser->at = at;
	condenser->size = size;
	return 0;
}

int condense(struct condenser *condenser, const char *json, size_t len, size_t n)
{
	struct scan *scan = &condenser->scan;
	/* What stands around names and numbers in the text takes more than a reading here.
	 */
	int err = len > condenser->most ? -EBADMSG : make_room(condenser, len);
	int found;
	bool fresh;
	if (err != 0)
		return err;
	scan_open(scan, json, len);
	for (; (found = scan_next(scan, &fresh)) == 1; n--) {
		if (n == 0)
			return -EBADMSG;
		put_reading(
			condenser, scan->last, fresh, &scan->shapes[scan->last].reading);
	}
	return found == 0 && n == 0 ? 0 : -EBADMSG;
}

void condenser_finish(struct condenser *condenser)
{
	free(condenser->at);
}

void condensed_open(struct condensed *batch, const char *at)
{
	batch->at = at;
}

static unsigned get_byte(struct condensed *batch)
{
	return (unsigned char)*batch->at++;
}

static void get(struct condensed *batch, void *to, size_t len)
{
	memcpy(to, batch->at, len);
	batch->at += len;
}

static struct dp_slice get_text(struct condensed *batch)
{
	size_t len = get_byte(batch);
	struct dp_slice text = {batch->at, len};
	batch->at += len;
	return text;
}

static void get_names(struct condensed *batch, struct dp_reading *reading)
{
	*reading = (struct dp_reading){.has_time = true, .n = get_byte(batch)};
	reading->sensor = get_text(batch);
	for (unsigned i = 0; i < reading->n; i++) {
		reading->values[i].quantity = get_text(batch);
		reading->values[i].unit = get_text(batch);
	}
}

const struct dp_reading *condensed_next(struct condensed *batch, bool *fresh)
{
	unsigned byte = get_byte(batch);
	batch->last = byte & ~FRESH;
	struct dp_reading *reading = &batch->shapes[batch->last];
	*fresh = (byte & FRESH) != 0;
	if (*fresh)
		get_names(batch, reading);
	get(batch, &reading->ts_us, sizeof(reading->ts_us));
	for (unsigned i = 0; i < reading->n; i++)
		get(batch, &reading->values[i].value, sizeof(double));
	return reading;
}
