/* Sensors that answer as they should: the values are those on the wire. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "node.h"
#include "player.h"
#include "rig.h"

#define SENSOR_LINE 4
#define READINGS_MAX 64
#define START_NS INT64_C(20000000)

/* ---- captures ---- */

static void setting(char text[64], const char *driver)
{
	snprintf(text, 64, "SENSORS=climate=%s@" SIM_CHIP ":%d", driver, SENSOR_LINE);
}

/* The first readings are these, in this order. */
static void expect_values(
	const struct sampler *sampler, const char *quantity, const double *truth, size_t n)
{
	double values[READINGS_MAX];
	eventually(sampler_count(sampler, "climate", quantity) >= n, "%zu readings", n);
	sampler_values(sampler, "climate", quantity, values, READINGS_MAX);
	for (size_t i = 0; i < n; i++)
		expect(values[i] == truth[i], "reading %zu: %s is %g, and %g was sent",
			i + 1, quantity, values[i], truth[i]);
}

static void play_capture(const void *data)
{
	const struct capture *capture = data;
	struct dht_line answers[FRAMES_MAX + 1] = {frame_stale()};
	struct sim_chip chip;
	char sensors[64];
	memcpy(answers + 1, capture->answers, capture->n * sizeof(answers[0]));
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	const struct player *player =
		player_start(&chip, SENSOR_LINE, answers, capture->n + 1);
	setting(sensors, capture->driver);
	struct sampler sampler = SAMPLER(sensors, "PERIOD_MS=2000");
	expect_values(&sampler, "temperature", capture->temperature, capture->n);
	expect_values(&sampler, "humidity", capture->humidity, capture->n);
	expect(player->least_low_ns >= START_NS, "a start pulse of %.3f ms, not 20",
		(double)player->least_low_ns / 1e6);
	sampler_stop(&sampler);
}

const struct scenario *scenarios_captures(void)
{
	static const struct capture *captures[CAPTURES_MAX];
	static struct scenario scenarios[CAPTURES_MAX + 1];
	static char names[CAPTURES_MAX][80];
	size_t n = captures_load(captures);
	for (size_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "capture-%s", captures[i]->file);
		scenarios[i] = (struct scenario){
			names[i], play_capture, captures[i], RIG_VIRTUAL_TIME};
	}
	return scenarios;
}

/* ---- frames that no capture has ---- */

/* Each frame is a reading, once the first answer has woken the sensor. */
static void expect_frames(const struct dht_line *frames, const double *temperatures,
	const double *humidities, size_t n)
{
	struct dht_line answers[FRAMES_MAX + 1] = {frame_stale()};
	struct sim_chip chip;
	char sensors[64];
	memcpy(answers + 1, frames, n * sizeof(answers[0]));
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	player_start(&chip, SENSOR_LINE, answers, n + 1);
	setting(sensors, "dht22");
	struct sampler sampler = SAMPLER(sensors);
	expect_values(&sampler, "temperature", temperatures, n);
	expect_values(&sampler, "humidity", humidities, n);
	expect(!sampler_logged(&sampler, "cannot be read"), "a read failed");
	sampler_stop(&sampler);
}

static void below_zero(const void *data)
{
	(void)data;
	static const int tenths[] = {-1, -400, -105, 0, 1, 800};
	enum { N = sizeof(tenths) / sizeof(tenths[0]) };
	struct dht_line frames[N];
	double temperatures[N], humidities[N];
	for (int i = 0; i < N; i++) {
		frames[i] = frame_dht22(1000 - i, tenths[i]);
		temperatures[i] = tenths[i] / 10.0;
		humidities[i] = (1000 - i) / 10.0;
	}
	expect_frames(frames, temperatures, humidities, N);
}

/* As an AM2301: 24 zeros follow the 40 bits. */
static void frames_of_64_bits(const void *data)
{
	(void)data;
	struct dht_line frames[] = {
		dht_line(&shape_am2301, dht_bytes(1, 220, 0x80, 31), 64, 0),
		dht_line(&shape_am2301, dht_bytes(3, 0, 1, 0), 64, 0)};
	expect_frames(frames, (double[]){-3.1, 25.6}, (double[]){47.6, 76.8}, 2);
}

/* They came before the kernel listened; what they said is known all the same. */
static void first_edges_missed(const void *data)
{
	(void)data;
	enum { N = 6 };
	struct dht_line frames[N];
	double temperatures[N], humidities[N];
	for (int missed = 0; missed < N; missed++) {
		frames[missed] = frame_dht22(476 + missed, 248);
		dht_line_behead(&frames[missed], (size_t)missed + 1);
		temperatures[missed] = 24.8;
		humidities[missed] = (476 + missed) / 10.0;
	}
	expect_frames(frames, temperatures, humidities, N);
}

/* Asked after a while, a sensor says what it measured long ago: that is never a reading. */
static void stale_answers(const void *data)
{
	(void)data;
	const struct dht_line answers[] = {frame_stale(), frame_dht22(500, 201),
		frame_stale(), frame_dht22(500, 202), frame_stale(), frame_dht22(500, 203)};
	struct sim_chip chip;
	char sensors[64];
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	player_start(&chip, SENSOR_LINE, answers, sizeof(answers) / sizeof(answers[0]));
	setting(sensors, "dht22");
	struct sampler sampler = SAMPLER(sensors, "PERIOD_MS=60000");
	expect_values(&sampler, "temperature", (double[]){20.1, 20.2, 20.3}, 3);
	sampler_stop(&sampler);
}

/* Tried again within the period, and never sooner than the sensor bears. */
static void unanswered_starts(const void *data)
{
	(void)data;
	const struct dht_line answers[] = {frame_stale(), frame_dht22(500, 201),
		frame_silence(), frame_dht22(500, 202), frame_silence(), frame_silence(),
		frame_silence(), frame_dht22(500, 203)};
	struct sim_chip chip;
	char sensors[64];
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	const struct player *player = player_start(
		&chip, SENSOR_LINE, answers, sizeof(answers) / sizeof(answers[0]));
	setting(sensors, "dht22");
	broker_start();
	struct sampler sampler = SAMPLER(sensors, "STATS_PERIOD_S=1");
	expect_values(&sampler, "temperature", (double[]){20.1, 20.2, 20.3}, 3);
	expect(sampler_logged(&sampler, "cause=no-response") == 3,
		"no-response was said %u times, not when it began and at the third",
		sampler_logged(&sampler, "cause=no-response"));
	expect(sampler_logged(&sampler, "check power"), "what to do was not said");
	eventually(sampler_counter("failed") == 4, "four failures, counted");
	eventually(
		broker_heard("local/status/climate", "online"), "the sensor is available");
	expect(broker_heard("local/status/climate", "offline"),
		"after three failures it was not unavailable");
	expect(player->least_gap_ns > INT64_C(1900000000),
		"it was asked again after %lld ms",
		(long long)player->least_gap_ns / 1000000);
	sampler_stop(&sampler);
}

/* Pins by their place on a board's header: a Raspberry Pi 4 by its chip, found or named. */
static void pins_of_a_board(const void *data)
{
	(void)data;
	const struct dht_line answer = frame_dht22(476, 248);
	struct sim_chip chip;
	sim_make(&chip, "pinctrl-bcm2711", 58);
	player_start(&chip, 4, &answer, 1);
	struct sampler found = SAMPLER("SENSORS=climate=dht22@7");
	expect_values(&found, "temperature", (double[]){24.8}, 1);
	sampler_stop(&found);
	struct sampler named =
		SAMPLER("SENSORS=climate=dht22@GPIO4", "BOARD=raspberrypi-4b");
	expect_values(&named, "temperature", (double[]){24.8}, 1);
	sampler_stop(&named);
}

/* What is on the wire is what was read: the same number for the same number. */
static void published(const void *data)
{
	(void)data;
	const struct dht_line answer = frame_dht22(476, -31);
	struct sim_chip chip;
	char sensors[64];
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	player_start(&chip, SENSOR_LINE, &answer, 1);
	broker_start();
	setting(sensors, "dht22");
	struct sampler sampler = SAMPLER(sensors);
	eventually(broker_heard("local/reading/climate",
			   "\"n\":\"temperature\",\"u\":\"Cel\",\"v\":-3.1}") &&
			   broker_heard("local/reading/climate",
				   "\"n\":\"humidity\",\"u\":\"%RH\",\"v\":47.6}"),
		"the reading on local/reading/climate");
	sampler_stop(&sampler);
}

/* ---- what a reading costs ---- */

struct cost {
	double cpu_us, wakeups;
};

/* A number of the sampler's in /proc, behind that text. */
static double proc_number(const struct sampler *sampler, const char *file, const char *text)
{
	char path[64], content[4096];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)sampler->pid, file);
	unsigned len = rig_read(path, content, sizeof(content));
	const char *at = strstr(content, text);
	expect(len > 0 && at != NULL, "%s has no %s", path, text);
	return strtod(at + strlen(text), NULL);
}

static struct cost cost_of(const struct sampler *sampler)
{
	return (struct cost){.cpu_us = proc_number(sampler, "schedstat", "") / 1000,
		.wakeups = proc_number(sampler, "status", "\nvoluntary_ctxt_switches:")};
}

/*
 * Nothing polls: there are far fewer wakeups than edges, and far fewer instructions than
 * waiting for them would take. Both are counts, in virtual time, and no time is measured.
 */
static void cost_of_a_reading(const void *data)
{
	(void)data;
	enum { BEFORE = 5, READINGS = 20 };
	const struct dht_line answer = frame_dht22(476, 248);
	struct sim_chip chip;
	char sensors[64];
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	const struct player *player = player_start(&chip, SENSOR_LINE, &answer, 1);
	broker_start();
	setting(sensors, "dht22");
	struct sampler sampler = SAMPLER(sensors, "LOG_LEVEL=info", "STATS_PERIOD_S=86400");
	eventually(sampler_count(&sampler, "climate", "humidity") >= BEFORE, "readings");
	struct cost before = cost_of(&sampler);
	eventually(sampler_count(&sampler, "climate", "humidity") >= BEFORE + READINGS,
		"more readings");
	struct cost after = cost_of(&sampler);
	double wakeups = (after.wakeups - before.wakeups) / READINGS;
	double cpu_ms = (after.cpu_us - before.cpu_us) / READINGS / 1000;
	rig_note("a reading of a DHT22 (1 ns an instruction): %.3f ms of CPU, %.1f wakeups",
		cpu_ms, wakeups);
	rig_note("the simulated sensor's edges were at most %.1f us late",
		(double)player->worst_late_ns / 1000);
	expect(wakeups < 20, "%.1f wakeups a reading, which has 42 edges", wakeups);
	expect(cpu_ms < 1, "%.0f instructions a reading", cpu_ms * 1e6);
	sampler_stop(&sampler);
}

const struct scenario scenarios_dht[] = {
	{.name = "below-zero", .run = below_zero},
	{.name = "frames-of-64-bits", .run = frames_of_64_bits},
	{.name = "first-edges-missed", .run = first_edges_missed},
	{.name = "stale-answers", .run = stale_answers},
	{.name = "unanswered-starts", .run = unanswered_starts},
	{.name = "pins-of-a-board", .run = pins_of_a_board},
	{.name = "published", .run = published},
	{.name = "cost-of-a-reading", .run = cost_of_a_reading},
	{.name = NULL},
};
