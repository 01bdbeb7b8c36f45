#include "frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "rig.h"
#include "sampler/trace.h"

#define DATA "/usr/share/dewpoint-rig/"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	expect(text != NULL, "truth.json: a text %s is missing", key);
	return text;
}

static double number_of(const json_t *object, const char *key)
{
	const json_t *number = json_object_get(object, key);
	expect(json_is_number(number), "truth.json: a number %s is missing", key);
	return json_number_value(number);
}

/* What the sensor did after the release, which is the second of a transaction's edges. */
static struct dht_line answer_of(const struct trace *trace, size_t first, size_t edges)
{
	const int64_t *t_ns = trace->t_ns + first;
	struct dht_line answer = {.release_ns = t_ns[1]};
	for (size_t i = 2; i + 1 < edges; i += 2) {
		answer.rise_ns[answer.count] = t_ns[i - 1];
		answer.fall_ns[answer.count++] = t_ns[i];
	}
	answer.last_rise_ns = t_ns[edges - 1];
	return answer;
}

static void take_transaction(
	struct capture *capture, const struct trace *trace, const json_t *truth)
{
	int64_t t_ns = (int64_t)number_of(truth, "t_ns");
	size_t edges = (size_t)number_of(truth, "edges"), first = 0;
	while (first < trace->count && trace->t_ns[first] != t_ns)
		first++;
	expect(first + edges <= trace->count && edges % 2 == 0 &&
			edges / 2 <= LINE_FALLS_MAX && capture->n < FRAMES_MAX &&
			trace_level(trace, first) == 0,
		"%s is not as truth.json has it at %lld", capture->file, (long long)t_ns);
	capture->temperature[capture->n] = number_of(truth, "temperature");
	capture->humidity[capture->n] = number_of(truth, "humidity");
	capture->answers[capture->n++] = answer_of(trace, first, edges);
}

static const struct capture *load_capture(const json_t *truth)
{
	char path[128], why[TRACE_WHY_MAX];
	struct trace trace;
	size_t i;
	const json_t *transaction;
	struct capture *capture = calloc(1, sizeof(*capture));
	expect(capture != NULL, "no memory for a capture");
	bool dht11 = strcmp(text_of(truth, "sensor"), "DHT11") == 0;
	capture->driver = dht11 ? "dht11" : "dht22";
	snprintf(capture->file, sizeof(capture->file), "%s", text_of(truth, "file"));
	snprintf(path, sizeof(path), DATA "%s", capture->file);
	char *text = rig_read_all(path);
	expect(trace_parse(text, strlen(text), &trace, why) == 0, "%s: %s", path, why);
	free(text);
	json_array_foreach(json_object_get(truth, "transactions"), i, transaction)
	{
		take_transaction(capture, &trace, transaction);
	}
	expect(capture->n > 0, "%s has no transaction", capture->file);
	trace_finish(&trace);
	return capture;
}

size_t captures_load(const struct capture *captures[CAPTURES_MAX])
{
	size_t i;
	const json_t *truth;
	json_error_t error;
	json_t *json = json_load_file(DATA "truth.json", 0, &error);
	expect(json != NULL, "truth.json: line %d: %s", error.line, error.text);
	const json_t *files = json_object_get(json, "files");
	size_t n = json_array_size(files);
	expect(n > 0 && n <= CAPTURES_MAX, "truth.json names %zu files", n);
	json_array_foreach(files, i, truth)
	{
		captures[i] = load_capture(truth);
	}
	json_decref(json);
	return n;
}

struct dht_line frame_dht22(int humidity_tenths, int temperature_tenths)
{
	int magnitude = abs(temperature_tenths);
	int sign = temperature_tenths < 0 ? 0x80 : 0;
	return dht_line(&shape_am2302,
		dht_bytes(humidity_tenths >> 8, humidity_tenths & 0xff,
			magnitude >> 8 | sign, magnitude & 0xff),
		40, 0);
}

struct dht_line frame_stale(void)
{
	/* 77.3 % and 26.1 degrees; to a DHT11 3.5 % and 1.5 degrees. */
	return dht_line(&shape_am2302, dht_bytes(3, 5, 1, 5), 40, 0);
}

struct dht_line frame_silence(void)
{
	return (struct dht_line){.count = 0};
}
