#include "scan.h"

#include <errno.h>
#include <string.h>

#include "topic.h"

#define DIGITS_MAX 15	      /* a double holds them */
#define POWER_MAX 22	      /* and powers of ten so far */
#define SECONDS_MIN 268435456 /* below, a time is relative: RFC 8428, section 4.5.3 */
#define SECONDS_LIMIT                                                                      \
	4294967296 /* above, a double does not hold them with microseconds                 \
		    */

void scan_open(struct scan *scan, const char *json, size_t len)
{
	scan->at = json;
	scan->end = json + len;
	scan->n = 0;
	scan->last = 0;
	scan->begun = false;
}

static bool match(const char **at, const char *end, const char *text, size_t len)
{
	if ((size_t)(end - *at) < len || memcmp(*at, text, len) != 0)
		return false;
	*at += len;
	return true;
}

#define MATCH(at, end, literal) match(at, end, literal, sizeof(literal) - 1)

/* The text up to the next quotation mark, and the mark. */
static bool read_text(const char **at, const char *end, struct dp_slice *text)
{
	const char *quote = memchr(*at, '"', (size_t)(end - *at));
	if (quote == NULL)
		return false;
	*text = (struct dp_slice){*at, (size_t)(quote - *at)};
	*at = quote + 1;
	return true;
}

/* @return how many digits there were */
static size_t read_digits(const char **at, const char *end, uint64_t *number)
{
	const char *begin = *at;
	for (; *at < end && (size_t)(*at - begin) <= DIGITS_MAX; (*at)++) {
		unsigned digit = (unsigned)(**at - '0');
		if (digit > 9)
			break;
		*number = *number * 10 + digit;
	}
	return (size_t)(*at - begin);
}

/* Seconds with six places. */
static bool read_time(const char **at, const char *end, int64_t *ts_us)
{
	const char *begin = *at;
	uint64_t seconds = 0, us = 0;
	size_t digits = read_digits(at, end, &seconds);
	if (digits == 0 || digits > 10 || *begin == '0' || seconds < SECONDS_MIN ||
		seconds >= SECONDS_LIMIT || !MATCH(at, end, ".") ||
		read_digits(at, end, &us) != 6)
		return false;
	*ts_us = (int64_t)(seconds * 1000000 + us);
	return true;
}

/* An exponent, if there is one, is added to `power`. */
static bool read_exponent(const char **at, const char *end, int *power)
{
	uint64_t exponent = 0;
	if (!MATCH(at, end, "e") && !MATCH(at, end, "E"))
		return true;
	bool negative = MATCH(at, end, "-");
	if (!negative)
		(void)MATCH(at, end, "+");
	size_t digits = read_digits(at, end, &exponent);
	if (digits == 0 || digits > 3)
		return false;
	*power += negative ? -(int)exponent : (int)exponent;
	return true;
}

/* A number whose digits and power of ten are exact, so that their product or quotient is
 * rounded once, as every right decimal conversion is. */
static bool read_value(const char **at, const char *end, double *value)
{
	static const double tens[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
		1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	bool negative = MATCH(at, end, "-");
	const char *begin = *at;
	uint64_t number = 0;
	size_t places = 0, digits = read_digits(at, end, &number);
	if (digits == 0 || (digits > 1 && *begin == '0'))
		return false;
	if (MATCH(at, end, ".")) {
		places = read_digits(at, end, &number);
		if (places == 0)
			return false;
	}
	if (digits + places > DIGITS_MAX || (negative && number == 0))
		return false;
	int power = -(int)places;
	if (!read_exponent(at, end, &power) || power > POWER_MAX || power < -POWER_MAX)
		return false;
	*value = power < 0 ? (double)number / tens[-power] : (double)number * tens[power];
	if (negative)
		*value = -*value;
	return true;
}

static bool unit_valid(struct dp_slice unit)
{
	if (unit.len > DP_UNIT_MAX)
		return false;
	for (size_t i = 0; i < unit.len; i++) {
		if (unit.at[i] <= 0x20 || unit.at[i] >= 0x7f || unit.at[i] == '\\')
			return false;
	}
	return true;
}

/* The name and unit of one more value of the reading. */
static bool read_name(const char **at, const char *end, struct dp_reading *reading)
{
	struct dp_value *value = &reading->values[reading->n];
	*value = (struct dp_value){.value = 0};
	if (!MATCH(at, end, "\"n\":\"") || !read_text(at, end, &value->quantity) ||
		!dp_name_valid(value->quantity.at, value->quantity.len))
		return false;
	if (MATCH(at, end, ",\"u\":\"") &&
		(!read_text(at, end, &value->unit) || value->unit.len == 0 ||
			!unit_valid(value->unit)))
		return false;
	for (unsigned i = 0; i < reading->n; i++) {
		if (dp_slice_equal(reading->values[i].quantity, value->quantity))
			return false;
	}
	return MATCH(at, end, ",\"v\":");
}

/* The base name: the sensor's name and a slash. */
static bool read_sensor(const char **at, const char *end, struct dp_slice *sensor)
{
	if (!MATCH(at, end, "{\"bn\":\"") || !read_text(at, end, sensor) ||
		sensor->len == 0)
		return false;
	sensor->len--;
	return sensor->at[sensor->len] == '/' && dp_name_valid(sensor->at, sensor->len) &&
	       MATCH(at, end, ",\"bt\":");
}

/* A reading of a shape that is not known. */
static bool read_new(const char **at, const char *end, struct shape *shape)
{
	struct dp_reading *reading = &shape->reading;
	const char *piece = *at;
	*reading = (struct dp_reading){.has_time = true};
	if (!read_sensor(at, end, &reading->sensor))
		return false;
	shape->pieces[0] = (struct dp_slice){piece, (size_t)(*at - piece)};
	if (!read_time(at, end, &reading->ts_us))
		return false;
	piece = *at;
	if (!MATCH(at, end, ","))
		return false;
	do {
		if (reading->n == DP_READING_VALUES || !read_name(at, end, reading))
			return false;
		shape->pieces[reading->n + 1] =
			(struct dp_slice){piece, (size_t)(*at - piece)};
		if (!read_value(at, end, &reading->values[reading->n].value))
			return false;
		reading->n++;
		piece = *at;
		if (!MATCH(at, end, "}"))
			return false;
		/* A record without a base name goes on with this reading. */
	} while (end - *at > 3 && memcmp(*at, ",{\"n", 4) == 0 && MATCH(at, end, ",{"));
	shape->pieces[reading->n + 1] = (struct dp_slice){piece, 1};
	return true;
}

/* A reading of this shape, of which only the numbers are new. */
static bool read_known(const char **at, const char *end, struct shape *shape)
{
	struct dp_reading *reading = &shape->reading;
	const struct dp_slice *piece = shape->pieces;
	if (!match(at, end, piece->at, piece->len) || !read_time(at, end, &reading->ts_us))
		return false;
	for (unsigned i = 0; i < reading->n; i++) {
		piece++;
		if (!match(at, end, piece->at, piece->len) ||
			!read_value(at, end, &reading->values[i].value))
			return false;
	}
	piece++;
	/* If it goes on with one more value, it is of another shape. */
	return match(at, end, piece->at, piece->len) && end - *at > 0 &&
	       (**at == ']' || (end - *at > 3 && (*at)[3] == 'b'));
}

static bool read_reading(struct scan *scan, bool *fresh)
{
	/* Sensors alternate: try first the shape that followed the last one before. */
	for (unsigned i = 1; i <= scan->n; i++) {
		const char *at = scan->at;
		unsigned which = (scan->last + i) % scan->n;
		if (!read_known(&at, scan->end, &scan->shapes[which]))
			continue;
		scan->at = at;
		scan->last = which;
		*fresh = false;
		return true;
	}
	unsigned which = scan->n < SCAN_SHAPES ? scan->n : (scan->last + 1) % SCAN_SHAPES;
	if (!read_new(&scan->at, scan->end, &scan->shapes[which]))
		return false;
	if (which == scan->n)
		scan->n++;
	scan->last = which;
	*fresh = true;
	return true;
}

int scan_next(struct scan *scan, bool *fresh)
{
	bool first = !scan->begun;
	scan->begun = true;
	if (first && !MATCH(&scan->at, scan->end, "["))
		return -EBADMSG;
	if (!first && MATCH(&scan->at, scan->end, "]"))
		return scan->at == scan->end ? 0 : -EBADMSG;
	if (!first && !MATCH(&scan->at, scan->end, ","))
		return -EBADMSG;
	return read_reading(scan, fresh) ? 1 : -EBADMSG;
}
