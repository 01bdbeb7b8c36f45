/*
 * Outputs over a driver whose k-th call fails, for every k: what a failed command has
 * driven goes back, what was refused is not done later, and each pulse has an end.
 */
#include <uv.h>

#include "sampler/outputs.h"
#include "support.h"
#include "version.h"

#define CALLS_MAX 200

enum failure {
	FAIL_BEFORE, /* nothing happened */
	FAIL_AFTER,  /* the line was driven, then the device was lost */
	FAIL_DIFFER, /* the level that is read back is the other one */
	FAILURES
};

/* A line and how it fails; a level stays when the device is let go. */
static struct {
	int level, ones; /* how often it was driven to 1 */
	unsigned calls, first, count;
	enum failure failure;
	bool held;
} line;

static struct outputs outputs;
static uv_loop_t loop;

static int call(int level)
{
	line.calls++;
	bool fails = line.calls >= line.first && line.calls < line.first + line.count;
	if (fails && line.failure == FAIL_BEFORE) {
		line.held = false;
		return -ENODEV;
	}
	if (level >= 0) {
		line.level = level;
		line.ones += level;
	}
	if (!fails)
		return line.level;
	if (line.failure == FAIL_DIFFER)
		return !line.level;
	line.held = false;
	return -ENODEV;
}

static int fake_open(void **state, struct pins *pins, const struct spec *spec, char *why,
	size_t why_size)
{
	(void)state, (void)pins, (void)spec, (void)why, (void)why_size;
	return 0;
}

static int fake_acquire(void *state, enum output_level level)
{
	(void)state;
	line.held = true;
	/* What is found cannot differ from what is there. */
	if (level == OUTPUT_KEEP && line.failure == FAIL_DIFFER)
		return line.level;
	return call(level == OUTPUT_KEEP ? -1 : (int)level);
}

static int fake_set(void *state, bool value)
{
	(void)state;
	return line.held ? call(value) : -ENODEV;
}

static int fake_get(void *state)
{
	(void)state;
	return line.held ? call(-1) : -ENODEV;
}

static void fake_failure(void *state, int err, struct driver_outcome *out)
{
	(void)state, (void)err;
	*out = (struct driver_outcome){.failure = "gone", .advice = "none"};
}

static void fake_close(void *state)
{
	(void)state;
	line.held = false;
}

static const struct output_driver fake_driver = {.name = "fake",
	.open = fake_open,
	.acquire = fake_acquire,
	.set = fake_set,
	.get = fake_get,
	.failure = fake_failure,
	.close = fake_close};

static int64_t some_time(void *data)
{
	(void)data;
	return 1;
}

static const struct spec fan = {.name = "fan"};
static struct output_list list;
static const struct dp_clock a_clock = {.wall_us = some_time, .boot_ns = some_time};
static struct presence presence;

static void begin(enum output_level initial, enum output_level at_exit)
{
	char why[64];
	list = (struct output_list){.n = 1};
	list.specs[0] = (struct output_spec){.spec = &fan,
		.driver = &fake_driver,
		.initial = initial,
		.exit = at_exit,
		.lost = OUTPUT_KEEP};
	memset(&outputs, 0, sizeof(outputs));
	assert_int_equal(uv_loop_init(&loop), 0);
	const struct outputs_options options = {
		.loop = &loop, .clock = &a_clock, .list = &list, .presence = &presence};
	assert_int_equal(outputs_open(&outputs, &options, why, sizeof(why)), 0);
}

static void end(void)
{
	outputs_close(&outputs);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* Let the output be looked at, as happens every few seconds. */
static void look(void)
{
	uv_timer_set_repeat(&outputs.check, 1);
	uv_timer_again(&outputs.check);
	uv_run(&loop, UV_RUN_ONCE);
	uv_timer_set_repeat(&outputs.check, 3600000);
	uv_timer_again(&outputs.check);
}

static void wait_for_pulse(void)
{
	while (uv_is_active((uv_handle_t *)&outputs.at[0].pulse))
		uv_run(&loop, UV_RUN_ONCE);
}

/* @return whether it was carried out */
static bool command(const char *payload, const void *correlation, size_t correlation_len)
{
	const struct dp_bus_message message = {.topic = "local/cmd/fan",
		.payload = payload,
		.len = strlen(payload),
		.correlation = correlation,
		.correlation_len = correlation_len};
	uint64_t refused = outputs.refused;
	assert_true(outputs_message(&outputs, &message));
	return outputs.refused == refused;
}

/*
 * Scenarios: 0 and 1 set it, ( and ) are a pulse of 0 and 1, `.` waits until the pulse is
 * over, `?` looks.
 */
static const char *const scenarios[] = {"1?0?", ").?", "1(.?", "))?.?", ")(.?", ")0?",
	")1?", "1(0?.", ")?.).?", "1?)?.0(.?"};

static void play(const char *scenario, bool *wanted)
{
	bool pulsed = *wanted;
	for (const char *step = scenario; *step != '\0'; step++) {
		static const char *const payloads[] = {"0", "1",
			"{\"value\":0,\"for_ms\":1}", "{\"value\":1,\"for_ms\":1}"};
		const char *at = strchr("01()", *step);
		if (*step == '?') {
			look();
		} else if (*step == '.') {
			wait_for_pulse();
			pulsed = *wanted;
		} else {
			bool value = *step == '1' || *step == ')';
			bool is_set = *step == '0' || *step == '1';
			if (command(payloads[at - "01()"], NULL, 0)) {
				pulsed = value;
				*wanted = is_set ? value : *wanted;
			}
		}
		/* One call has failed: what it left is put right at once. */
		if (line.count == 1 && line.held &&
			!uv_is_active((uv_handle_t *)&outputs.at[0].pulse))
			pulsed = *wanted;
		if (line.count == 1 && line.held)
			assert_true(line.level == *wanted || line.level == pulsed);
	}
}

static void run(const char *scenario, enum output_level initial)
{
	bool wanted = initial != OUTPUT_OFF;
	line.level = initial != OUTPUT_OFF;
	line.ones = 0;
	line.calls = 0;
	line.held = false;
	begin(initial, OUTPUT_KEEP);
	play(scenario, &wanted);
	wait_for_pulse();
	line.count = 0; /* the device is back */
	look();
	assert_int_equal(line.level, wanted);
	assert_int_equal(outputs.at[0].value, wanted);
	int ones = line.ones;
	look();
	assert_int_equal(line.ones, ones);
	end();
	assert_int_equal(line.level, wanted);
}

static void test_every_call_fails_once_or_some_times(void **state)
{
	static const enum output_level initials[] = {OUTPUT_OFF, OUTPUT_ON, OUTPUT_KEEP};
	(void)state;
	for (size_t s = 0; s < LENGTH(scenarios); s++) {
		for (unsigned i = 0; i < FAILURES * LENGTH(initials) * 4; i++) {
			unsigned k = 0;
			line.failure = i % FAILURES;
			do {
				line.count = 1 + i / FAILURES % 4;
				line.first = ++k;
				run(scenarios[s], initials[i / FAILURES / 4]);
				assert_true(k < CALLS_MAX);
			} while (k <= line.calls);
		}
	}
}

/* It fails for good, whatever was asked for meanwhile. */
static void test_what_was_refused_is_not_done_when_the_device_is_back(void **state)
{
	(void)state;
	line.level = line.ones = 0;
	line.calls = 0;
	line.failure = FAIL_BEFORE;
	line.first = 1;
	line.count = CALLS_MAX;
	begin(OUTPUT_OFF, OUTPUT_OFF);
	assert_false(command("1", NULL, 0));
	assert_false(command("{\"value\":1,\"for_ms\":3600000}", NULL, 0));
	line.count = 0;
	look();
	look();
	assert_int_equal(line.ones, 0);
	assert_true(outputs.at[0].available);
	end();
}

static void test_a_pulse_ends_with_its_device(void **state)
{
	(void)state;
	line.level = line.ones = 0;
	line.count = 0;
	begin(OUTPUT_OFF, OUTPUT_OFF);
	assert_true(command("{\"value\":1,\"for_ms\":3600000}", NULL, 0));
	assert_int_equal(line.level, 1);
	line.held = false;
	look();
	assert_int_equal(line.level, 0);
	assert_int_equal(line.ones, 1);
	end();
}

static void test_exit_holds_for_a_device_that_was_let_go(void **state)
{
	(void)state;
	line.level = 0;
	line.count = 0;
	begin(OUTPUT_OFF, OUTPUT_OFF);
	assert_true(command("1", NULL, 0));
	line.failure = FAIL_BEFORE;
	line.calls = 0;
	line.first = 1;
	line.count = 2;
	look();
	assert_false(outputs.at[0].available);
	end();
	assert_int_equal(line.level, 0);
}

static void test_the_same_pulse_is_carried_out_once(void **state)
{
	static const char pulse[] = "{\"value\":1,\"for_ms\":1}";
	char correlation[257];
	(void)state;
	memset(correlation, 'c', sizeof(correlation));
	line.level = 0;
	line.failure = FAIL_DIFFER;
	begin(OUTPUT_OFF, OUTPUT_OFF);
	for (size_t len = 1; len < sizeof(correlation); len++) {
		line.calls = 0;
		line.first = line.count = 1;
		assert_false(command(pulse, correlation, len));
		line.ones = 0;
		assert_true(command(pulse, correlation, len));
		wait_for_pulse();
		assert_true(command(pulse, correlation, len));
		assert_int_equal(line.ones, 1);
		assert_int_equal(line.level, 0);
	}
	line.count = 0;
	assert_false(command(pulse, correlation, sizeof(correlation)));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_call_fails_once_or_some_times),
		cmocka_unit_test(test_what_was_refused_is_not_done_when_the_device_is_back),
		cmocka_unit_test(test_a_pulse_ends_with_its_device),
		cmocka_unit_test(test_exit_holds_for_a_device_that_was_let_go),
		cmocka_unit_test(test_the_same_pulse_is_carried_out_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
