#include "plain.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <yyjson.h>

#include "number.h"
#include "topic.h"

#define EARLIEST_S 268435456.0 /* below it a number is no date: as in SenML */
#define MILLISECONDS_FROM 1e11 /* seconds would be the year 5138 */
#define LATEST_S 9007199254.0

/* Names are copied, as the document they were read from is freed first. */
struct names {
	char *at;
	size_t left;
};

static bool keep_name(
	struct names *names, const char *text, size_t len, struct dp_slice *out)
{
	if (len > names->left || !dp_name_valid(text, len))
		return false;
	memcpy(names->at, text, len);
	*out = (struct dp_slice){names->at, len};
	names->at += len;
	names->left -= len;
	return true;
}

static const char *default_unit(struct dp_slice quantity)
{
	if (dp_slice_equal(quantity, dp_slice("temperature")))
		return "Cel";
	return dp_slice_equal(quantity, dp_slice("humidity")) ? "%RH" : "";
}

static int add_value(struct dp_reading *reading, struct dp_slice quantity, const char *unit,
	double value, const char **why)
{
	*why = "more than 8 values";
	if (reading->n == DP_READING_VALUES)
		return -EBADMSG;
	*why = "a quantity comes twice";
	for (unsigned i = 0; i < reading->n; i++) {
		if (dp_slice_equal(reading->values[i].quantity, quantity))
			return -EBADMSG;
	}
	*why = isfinite(value) ? "a value is beyond 1e100" : "a value is not finite";
	if (!dp_value_valid(value))
		return -EBADMSG;
	reading->values[reading->n++] = (struct dp_value){quantity, dp_slice(unit), value};
	return 0;
}

static bool read_seconds(double seconds, struct dp_reading *reading)
{
	if (seconds >= MILLISECONDS_FROM)
		seconds /= 1000;
	if (!(seconds >= EARLIEST_S && seconds < LATEST_S))
		return false;
	reading->ts_us = llround(seconds * 1e6);
	return true;
}

/* 2026-11-22T10:30:00[.123]Z, the offset being Z, +00:00 or absent. */
static bool read_iso(const char *text, size_t size, struct dp_reading *reading)
{
	if (strlen(text) != size)
		return false; /* a NUL, and what stands behind it */
	struct tm date = {.tm_year = 0};
	double fraction = 0;
	const char *rest = strptime(text, "%Y-%m-%d", &date);
	if (rest == NULL || (*rest != 'T' && *rest != ' '))
		return false;
	rest = strptime(rest + 1, "%H:%M:%S", &date);
	if (rest == NULL)
		return false;
	if (*rest == '.') {
		char digits[16];
		size_t len = 1 + strspn(rest + 1, "0123456789");
		if (len < 2 || len >= sizeof(digits) - 1)
			return false;
		digits[0] = '0';
		memcpy(digits + 1, rest, len);
		digits[len + 1] = '\0';
		if (dp_parse_double(digits, &fraction) != 0)
			return false;
		rest += len;
	}
	if (strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0 && *rest != '\0')
		return false;
	/* strptime takes 30 February; timegm makes it March. */
	int day = date.tm_mday;
	time_t seconds = timegm(&date);
	return date.tm_mday == day && read_seconds((double)seconds + fraction, reading);
}

static bool is_time_key(const char *key, size_t len)
{
	return (len == 4 && memcmp(key, "time", 4) == 0) ||
	       (len == 9 && memcmp(key, "timestamp", 9) == 0);
}

static int read_object(
	yyjson_val *root, struct dp_reading *reading, struct names *names, const char **why)
{
	size_t i, max;
	yyjson_val *key, *val;
	yyjson_obj_foreach(root, i, max, key, val)
	{
		const char *k = yyjson_get_str(key);
		size_t len = yyjson_get_len(key);
		if (is_time_key(k, len)) {
			*why = "the time is no date in seconds, milliseconds or ISO 8601 "
			       "UTC";
			if (!(yyjson_is_num(val) &&
				    read_seconds(yyjson_get_num(val), reading)) &&
				!(yyjson_is_str(val) &&
					read_iso(yyjson_get_str(val), yyjson_get_len(val),
						reading)))
				return -EBADMSG;
			continue;
		}
		/* Texts, such as a device's name or state, are left out. */
		if (!yyjson_is_num(val))
			continue;
		struct dp_slice quantity;
		*why = "a key has characters that are not allowed";
		if (!keep_name(names, k, len, &quantity))
			return -EBADMSG;
		int err = add_value(reading, quantity, default_unit(quantity),
			yyjson_get_num(val), why);
		if (err != 0)
			return err;
	}
	*why = "the object has no number";
	return reading->n > 0 ? 0 : -EBADMSG;
}

static int decode_object(const char *payload, size_t len, struct dp_reading *reading,
	struct names *names, const char **why)
{
	yyjson_read_err err;
	/* yyjson does not write to its input without YYJSON_READ_INSITU. */
	yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)payload, len, 0, NULL, &err);
	*why = "not valid JSON";
	if (doc == NULL)
		return err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? -ENOMEM : -EBADMSG;
	int result = read_object(yyjson_doc_get_root(doc), reading, names, why);
	yyjson_doc_free(doc);
	return result;
}

/* `24.8°C`: the number, and the unit in SenML's terms; NULL when it is not known. */
static const char *text_unit(const char *text, const char *fallback)
{
	static const struct {
		const char *written, *unit;
	} units[] = {{"", NULL}, {"°C", "Cel"}, {"C", "Cel"}, {"Cel", "Cel"}, {"%", "%RH"},
		{"%RH", "%RH"}, {"hPa", "hPa"}, {"V", "V"}, {"lx", "lx"}};
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text, units[i].written) == 0)
			return units[i].unit != NULL ? units[i].unit : fallback;
	}
	return NULL;
}

static char *trim(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	size_t len = strlen(text);
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

static int read_pair(
	char *pair, struct dp_reading *reading, struct names *names, const char **why)
{
	char *equals = strchr(pair, '=');
	*why = "neither JSON nor name=value, comma-separated";
	if (equals == NULL)
		return -EBADMSG;
	*equals = '\0';
	char *name = trim(pair);
	for (char *c = name; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	if (strcmp(name, "temp") == 0)
		name = "temperature";
	char *number = trim(equals + 1);
	size_t digits = strspn(number, "+-.0123456789eE");
	char *unit = trim(number + digits);
	const char *known;
	char text[40];
	double value;
	struct dp_slice quantity;
	if (!keep_name(names, name, strlen(name), &quantity) || digits >= sizeof(text))
		return -EBADMSG;
	memcpy(text, number, digits);
	text[digits] = '\0';
	*why = "a value is no number, or its unit is not known";
	known = text_unit(unit, default_unit(quantity));
	if (dp_parse_double(trim(text), &value) != 0 || known == NULL)
		return -EBADMSG;
	return add_value(reading, quantity, known, value, why);
}

static int decode_text(const char *payload, size_t len, struct dp_reading *reading,
	struct names *names, const char **why)
{
	char text[512];
	*why = "neither JSON nor a short text of name=value";
	if (len == 0 || len >= sizeof(text) || memchr(payload, '\0', len) != NULL)
		return -EBADMSG;
	memcpy(text, payload, len);
	text[len] = '\0';
	char *rest = text;
	char *pair;
	while ((pair = strsep(&rest, ",")) != NULL) {
		int err = read_pair(pair, reading, names, why);
		if (err != 0)
			return err;
	}
	return 0;
}

static size_t skip_space(const char *payload, size_t len)
{
	size_t i = 0;
	while (i < len && strchr(" \t\r\n", payload[i]) != NULL && payload[i] != '\0')
		i++;
	return i;
}

bool plain_is_senml(const char *payload, size_t len)
{
	size_t i = skip_space(payload, len);
	return i < len && payload[i] == '[';
}

int plain_decode(const char *payload, size_t len, int64_t now_us,
	struct dp_reading *reading, char *names, const char **why)
{
	struct names left = {names, PLAIN_NAMES};
	size_t i = skip_space(payload, len);
	*reading = (struct dp_reading){
		.sensor = {names, 0}, .has_time = true, .ts_us = now_us};
	if (i < len && payload[i] == '{')
		return decode_object(payload, len, reading, &left, why);
	return decode_text(payload, len, reading, &left, why);
}
