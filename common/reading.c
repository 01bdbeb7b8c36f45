#include "reading.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yyjson.h>

#include "number.h"
#include "topic.h"

#define SENML_VERSION 10
#define RELATIVE_TIME_BELOW 268435456.0 /* 2^28, RFC 8428 section 4.5.3 */
#define TIME_LIMIT 9007199254.0		/* seconds whose microseconds a double holds */

struct base {
	struct dp_slice name;
	struct dp_slice unit;
	double time;
	double value;
	bool has_time;
};

struct record {
	struct dp_slice sensor;
	struct dp_slice quantity;
	struct dp_slice unit;
	double time;
	double value;
	bool begins;   /* carries bn */
	bool has_time; /* a time of its own or a base time */
	bool usable;
	const char *why;
};

struct dp_senml {
	yyjson_doc *doc;
	yyjson_arr_iter iter;
	yyjson_val *ahead; /* the record that ended the last reading, or NULL */
	yyjson_val *first; /* of the last reading */
	size_t records;	   /* in the last reading */
	struct base base;
	struct record next; /* `ahead`, resolved */
	int64_t now_us;
	enum dp_senml_mode mode;
	char sensor[2 * DP_NAME_MAX + 2]; /* of the last reading, when it was joined */
	/* Names that had to be joined: one a value, and the record that is ahead. */
	char joined[DP_READING_VALUES + 2][2 * DP_NAME_MAX + 2];
	unsigned which;
};

struct dp_slice dp_slice(const char *text)
{
	return (struct dp_slice){text, strlen(text)};
}

bool dp_slice_equal(struct dp_slice a, struct dp_slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static bool unit_valid(struct dp_slice unit)
{
	if (unit.len > DP_UNIT_MAX)
		return false;
	for (size_t i = 0; i < unit.len; i++) {
		if (unit.at[i] <= 0x20 || unit.at[i] >= 0x7f || unit.at[i] == '"' ||
			unit.at[i] == '\\')
			return false;
	}
	return true;
}

bool dp_value_valid(double value)
{
	return fabs(value) <= DP_VALUE_LIMIT;
}

int dp_reading_encode(const struct dp_reading *reading, char *buf, size_t size)
{
	if (!dp_name_valid(reading->sensor.at, reading->sensor.len))
		return -EINVAL;
	if (reading->has_time && (double)reading->ts_us < RELATIVE_TIME_BELOW * 1e6)
		return -EINVAL;
	size_t len = 0;
	for (unsigned i = 0; i < reading->n; i++) {
		const struct dp_value *value = &reading->values[i];
		char number[32];
		if (!dp_name_valid(value->quantity.at, value->quantity.len) ||
			!unit_valid(value->unit) || !dp_value_valid(value->value))
			return -EINVAL;
		dp_format_double(number, value->value);
		int n = 0;
		if (i == 0 && reading->has_time)
			n = snprintf(buf, size,
				"{\"bn\":\"%.*s/\",\"bt\":%" PRId64 ".%06" PRId64 ",",
				(int)reading->sensor.len, reading->sensor.at,
				reading->ts_us / 1000000, reading->ts_us % 1000000);
		else if (i == 0)
			n = snprintf(buf, size, "{\"bn\":\"%.*s/\",",
				(int)reading->sensor.len, reading->sensor.at);
		else
			n = snprintf(buf + len, size - len, ",{");
		if (n < 0 || (size_t)n >= size - len)
			return -ENOSPC;
		len += (size_t)n;
		n = snprintf(buf + len, size - len, "\"n\":\"%.*s\"%s%.*s%s,\"v\":%s}",
			(int)value->quantity.len, value->quantity.at,
			value->unit.len > 0 ? ",\"u\":\"" : "", (int)value->unit.len,
			value->unit.len > 0 ? value->unit.at : "",
			value->unit.len > 0 ? "\"" : "", number);
		if (n < 0 || (size_t)n >= size - len)
			return -ENOSPC;
		len += (size_t)n;
	}
	return (int)len;
}

/* What follows the base name of records that dp_reading_encode() wrote, or NULL. */
static const char *after_base_name(const char *json, size_t len)
{
	const size_t begin = strlen("{\"bn\":\"");
	const char *quote = len > begin ? memchr(json + begin, '"', len - begin) : NULL;
	return quote != NULL && quote + 1 < json + len && quote[1] == ',' ? quote + 1
									  : NULL;
}

int dp_reading_date(const char *json, size_t len, int64_t ts_us, char *buf, size_t size)
{
	const char *rest = after_base_name(json, len);
	char time[40];
	if (rest == NULL || ts_us < (int64_t)RELATIVE_TIME_BELOW * 1000000)
		return -EINVAL;
	int n = snprintf(time, sizeof(time), ",\"bt\":%" PRId64 ".%06" PRId64,
		ts_us / 1000000, ts_us % 1000000);
	size_t head = (size_t)(rest - json), middle = (size_t)n;
	if (len + middle > size)
		return -ENOSPC;
	memcpy(buf, json, head);
	memcpy(buf + head, time, middle);
	memcpy(buf + head + middle, rest, len - head);
	return (int)(len + middle);
}

int dp_reading_time(const char *json, size_t len, int64_t *ts_us)
{
	static const char key[] = ",\"bt\":";
	const char *rest = after_base_name(json, len), *end = json + len;
	if (rest == NULL || (size_t)(end - rest) <= strlen(key) ||
		memcmp(rest, key, strlen(key)) != 0)
		return -ENOENT;
	*ts_us = 0;
	for (rest += strlen(key); rest < end && *rest != ','; rest++) {
		if (*ts_us > INT64_MAX / 10 - 1)
			return -ENOENT;
		if (*rest >= '0' && *rest <= '9')
			*ts_us = *ts_us * 10 + (*rest - '0');
	}
	return 0;
}

int dp_senml_open(struct dp_senml **out, const char *json, size_t len,
	enum dp_senml_mode mode, int64_t now_us, const char **why)
{
	yyjson_read_err err;
	struct dp_senml *pack = calloc(1, sizeof(*pack));
	if (pack == NULL)
		return -ENOMEM;
	/* yyjson does not write to its input without YYJSON_READ_INSITU. */
	pack->doc = yyjson_read_opts((char *)(uintptr_t)json, len, 0, NULL, &err);
	pack->mode = mode;
	pack->now_us = now_us;
	if (pack->doc == NULL) {
		bool memory = err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION;
		free(pack);
		*why = "not valid JSON";
		return memory ? -ENOMEM : -EBADMSG;
	}
	yyjson_val *root = yyjson_doc_get_root(pack->doc);
	if (!yyjson_is_arr(root)) {
		dp_senml_close(pack);
		*why = "not a SenML pack: the payload is no JSON array";
		return -EBADMSG;
	}
	pack->iter = yyjson_arr_iter_with(root);
	*out = pack;
	return 0;
}

void dp_senml_close(struct dp_senml *pack)
{
	if (pack == NULL)
		return;
	yyjson_doc_free(pack->doc);
	free(pack);
}

size_t dp_senml_count(const struct dp_senml *pack)
{
	yyjson_val *root = yyjson_doc_get_root(pack->doc);
	size_t i, max, n = 0;
	yyjson_val *record;
	yyjson_arr_foreach(root, i, max, record)
	{
		if (i == 0 || yyjson_obj_getn(record, "bn", 2) != NULL)
			n++;
	}
	return n;
}

static bool number_member(yyjson_val *val, double *out)
{
	if (!yyjson_is_num(val))
		return false;
	*out = yyjson_get_num(val);
	return isfinite(*out);
}

static bool text_member(yyjson_val *val, struct dp_slice *out)
{
	if (!yyjson_is_str(val))
		return false;
	*out = (struct dp_slice){yyjson_get_str(val), yyjson_get_len(val)};
	return true;
}

/* What one record says, before base fields are applied. */
struct members {
	struct dp_slice name;
	double time, value;
	bool has_value;
	const char *why;
};

static void take_member(struct dp_senml *pack, yyjson_val *key, yyjson_val *val,
	struct members *m, struct record *r)
{
	const char *k = yyjson_get_str(key);
	size_t len = yyjson_get_len(key);
	bool ok = true;
	double version;

	if (len == 1 && k[0] == 'n')
		ok = text_member(val, &m->name);
	else if (len == 1 && k[0] == 'u')
		ok = text_member(val, &r->unit);
	else if (len == 1 && k[0] == 'v')
		ok = m->has_value = number_member(val, &m->value);
	else if (len == 1 && k[0] == 't')
		ok = r->has_time = number_member(val, &m->time);
	else if (len == 2 && memcmp(k, "bn", 2) == 0) {
		r->begins = true;
		ok = text_member(val, &pack->base.name);
	} else if (len == 2 && memcmp(k, "bt", 2) == 0)
		ok = pack->base.has_time = number_member(val, &pack->base.time);
	else if (len == 2 && memcmp(k, "bu", 2) == 0)
		ok = text_member(val, &pack->base.unit);
	else if (len == 2 && memcmp(k, "bv", 2) == 0)
		ok = number_member(val, &pack->base.value);
	else if (len == 2 && memcmp(k, "vb", 2) == 0) {
		ok = m->has_value = yyjson_is_bool(val);
		m->value = yyjson_get_bool(val) ? 1 : 0;
	} else if (len == 4 && memcmp(k, "bver", 4) == 0)
		ok = number_member(val, &version) && version <= SENML_VERSION;
	else if (len > 0 && k[len - 1] == '_')
		ok = false;
	if (!ok && m->why == NULL)
		m->why = "a SenML member has the wrong type, or must be understood and is "
			 "not";
}

/* A full name is `<sensor>/<quantity>`; other people write `<sensor>:<quantity>`. */
static bool split_name(struct dp_senml *pack, struct dp_slice name, struct record *r)
{
	struct dp_slice base = pack->base.name;
	char last = base.len > 0 ? base.at[base.len - 1] : '\0';
	bool separated = last == '/' || last == ':';
	if (separated && name.len > 0 && memchr(name.at, '/', name.len) == NULL) {
		r->sensor = (struct dp_slice){base.at, base.len - 1};
		r->quantity = name;
		return true;
	}
	size_t len = base.len + name.len;
	char *full = pack->joined[pack->which];
	if (len == 0 || len >= sizeof(pack->joined[0]))
		return false;
	if (base.len > 0)
		memcpy(full, base.at, base.len);
	if (name.len > 0)
		memcpy(full + base.len, name.at, name.len);
	size_t cut = len;
	while (cut > 0 && full[cut - 1] != '/' && full[cut - 1] != ':')
		cut--;
	r->sensor = (struct dp_slice){full, cut > 0 ? cut - 1 : 0};
	r->quantity = (struct dp_slice){full + cut, len - cut};
	return true;
}

/* Wider than our own names: a device may be called by its URN (RFC 9039). */
static bool sensor_valid(struct dp_slice sensor)
{
	if (sensor.len > DP_NAME_MAX)
		return false;
	for (size_t i = 0; i < sensor.len; i++) {
		unsigned char c = (unsigned char)sensor.at[i];
		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '+' || c == '#')
			return false;
	}
	return true;
}

static void resolve(struct dp_senml *pack, yyjson_val *val, struct record *r)
{
	struct members m = {.why = NULL};
	*r = (struct record){.usable = false};
	pack->which = (pack->which + 1) % (DP_READING_VALUES + 2);
	if (!yyjson_is_obj(val)) {
		r->why = "a SenML record is no JSON object";
		return;
	}
	size_t i, max;
	yyjson_val *key, *member;
	yyjson_obj_foreach(val, i, max, key, member) take_member(pack, key, member, &m, r);
	if (r->unit.len == 0)
		r->unit = pack->base.unit;
	r->has_time = r->has_time || pack->base.has_time;
	r->time = pack->base.time + m.time;
	r->value = pack->base.value + m.value;
	bool named = split_name(pack, m.name, r);
	r->why = m.why;
	if (r->why == NULL && (!named || !sensor_valid(r->sensor) ||
				      !dp_name_valid(r->quantity.at, r->quantity.len)))
		r->why = "a SenML name is missing, too long or has characters not allowed";
	if (r->why == NULL && !m.has_value)
		r->why = "a SenML record has no numeric value";
	if (r->why == NULL && (!isfinite(r->time) || fabs(r->time) >= TIME_LIMIT))
		r->why = "a SenML time is out of range";
	if (r->why == NULL && isfinite(r->value) && !dp_value_valid(r->value))
		r->why = "a value is beyond 1e100";
	if (r->why == NULL && (!isfinite(r->value) || !unit_valid(r->unit)))
		r->why = "a SenML value is not finite or its unit is malformed";
	r->usable = r->why == NULL;
}

static bool look_ahead(struct dp_senml *pack)
{
	pack->ahead = yyjson_arr_iter_next(&pack->iter);
	if (pack->ahead == NULL)
		return false;
	resolve(pack, pack->ahead, &pack->next);
	return true;
}

static bool same_reading(
	const struct dp_senml *pack, const struct record *a, const struct record *b)
{
	if (b->begins || pack->mode == DP_SENML_NATIVE)
		return !b->begins;
	if (!a->usable || !b->usable)
		return true; /* what cannot be read belongs to what stands around it */
	return a->time == b->time && dp_slice_equal(a->sensor, b->sensor);
}

static const char *take_record(
	struct dp_reading *out, const struct record *first, const struct record *r)
{
	if (!r->usable)
		return r->why;
	if (first->usable &&
		(r->time != first->time || !dp_slice_equal(r->sensor, first->sensor)))
		return "the records of a reading differ in sensor or time";
	if (out->n == DP_READING_VALUES)
		return "a reading has more than 8 values";
	for (unsigned i = 0; i < out->n; i++) {
		if (dp_slice_equal(out->values[i].quantity, r->quantity))
			return "a reading has one quantity twice";
	}
	out->values[out->n++] = (struct dp_value){r->quantity, r->unit, r->value};
	return NULL;
}

/* What SenML allows and our own contract does not. */
static const char *against_contract(const struct record *r)
{
	if (r->sensor.len > 0 && !dp_name_valid(r->sensor.at, r->sensor.len))
		return "a sensor name with characters that the contract does not allow";
	if (r->has_time && r->time < RELATIVE_TIME_BELOW)
		return "a relative time; the contract wants seconds since 1970";
	return NULL;
}

int dp_senml_next(struct dp_senml *pack, struct dp_reading *out, const char **why)
{
	if (pack->ahead == NULL && !look_ahead(pack))
		return 0;
	struct record first = pack->next;
	if (first.usable && first.sensor.at == pack->joined[pack->which]) {
		memcpy(pack->sensor, first.sensor.at, first.sensor.len);
		first.sensor.at = pack->sensor;
	}
	pack->first = pack->ahead;
	pack->records = 0;
	out->n = 0;
	*why = NULL;
	do {
		const char *bad = take_record(out, &first, &pack->next);
		if (*why == NULL)
			*why = bad;
		pack->records++;
	} while (look_ahead(pack) && same_reading(pack, &first, &pack->next));
	if (*why == NULL && pack->mode == DP_SENML_NATIVE)
		*why = against_contract(&first);
	if (*why != NULL)
		return -EBADMSG;
	out->sensor = first.sensor;
	out->has_time = first.has_time;
	double time = first.time;
	if (time < RELATIVE_TIME_BELOW)
		out->ts_us = pack->now_us + llround(time * 1e6);
	else
		out->ts_us = llround(time * 1e6);
	return 1;
}

char *dp_senml_text(const struct dp_senml *pack)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	if (doc == NULL)
		return NULL;
	yyjson_mut_val *array = yyjson_mut_arr(doc);
	yyjson_mut_doc_set_root(doc, array);
	yyjson_val *record = pack->first;
	for (size_t i = 0; i < pack->records; i++, record = unsafe_yyjson_get_next(record))
		yyjson_mut_arr_append(array, yyjson_val_mut_copy(doc, record));
	char *text = yyjson_mut_write(doc, 0, NULL);
	yyjson_mut_doc_free(doc);
	return text;
}
