#include "condensed.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * A reading: which shape (and FRESH), then, if it is fresh, the number of values and the
 * texts: the sensor, each quantity and its unit; then the time, as what it is later than
 * the last one of this shape, and the values. A text: its length in one byte, and its
 * bytes. Numbers are of seven bits a byte, the low ones first, the sign in the lowest.
 * A value: decimal digits, three bits below them for the places; or RAW and the double.
 */
#define FRESH 0x80u
#define PLACES 4 /* 0 to 3 */
#define RAW 4u
#define DIGITS_LIMIT 1e12

static const double tens[PLACES] = {1, 10, 100, 1000};

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

static void put_number(struct condenser *condenser, uint64_t number)
{
	for (; number >= 0x80; number >>= 7)
		put_byte(condenser, (unsigned)(number & 0x7f) | 0x80u);
	put_byte(condenser, (unsigned)number);
}

static uint64_t with_sign_below(int64_t number)
{
	return number < 0 ? ~((uint64_t)number << 1) : (uint64_t)number << 1;
}

static void put_value(struct condenser *condenser, double value)
{
	for (unsigned places = 0; places < PLACES; places++) {
		double scaled = value * tens[places];
		if (!(scaled > -DIGITS_LIMIT && scaled < DIGITS_LIMIT))
			break;
		int64_t digits = (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
		double again = (double)digits / tens[places];
		/* -0.0 equals 0.0 but is another value. */
		if (again == value && signbit(again) == signbit(value)) {
			put_number(condenser, with_sign_below(digits) << 3 | places);
			return;
		}
	}
	put_number(condenser, RAW);
	put(condenser, &value, sizeof(value));
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
	int64_t before = fresh ? 0 : condenser->last_us[which];
	put_number(condenser, with_sign_below(reading->ts_us - before));
	condenser->last_us[which] = reading->ts_us;
	for (unsigned i = 0; i < reading->n; i++)
		put_value(condenser, reading->values[i].value);
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
	dp_inflater_finish(&condenser->inflater);
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

static uint64_t get_number(struct condensed *batch)
{
	uint64_t number = 0;
	unsigned byte, shift = 0;
	do {
		byte = get_byte(batch);
		number |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte >= 0x80);
	return number;
}

static int64_t with_sign(uint64_t number)
{
	return (number & 1) != 0 ? (int64_t)~(number >> 1) : (int64_t)(number >> 1);
}

static double get_value(struct condensed *batch)
{
	uint64_t number = get_number(batch);
	double value;
	if (number != RAW)
		return (double)with_sign(number >> 3) / tens[number & 3];
	get(batch, &value, sizeof(value));
	return value;
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
	reading->ts_us += with_sign(get_number(batch));
	for (unsigned i = 0; i < reading->n; i++)
		reading->values[i].value = get_value(batch);
	return reading;
}
