/* What follows from the publisher's settings: services/publisher/settings.h. */
#include "publisher/settings.h"
#include "support.h"

/* As they are read when nothing of it is set. */
static struct publisher_config defaults(void)
{
	return (struct publisher_config){.link = "lan",
		.spill_after_ms = SETTINGS_AUTO,
		.service = {.stats_period_s = 60}};
}

static void assert_times(struct publisher_config config, int64_t answer_ms,
	int64_t spill_ms, int64_t within_ms)
{
	settings_derive(&config);
	assert_int_equal(config.answer_ms, answer_ms);
	assert_int_equal(config.spill_after_ms, spill_ms);
	assert_int_equal(config.within_ms, within_ms);
}

static void test_the_spill_follows_the_answers(void **state)
{
	(void)state;
	struct publisher_config config = defaults();
	assert_times(config, 10000, 30000, 30000);
	config.answer_within = "0";
	assert_times(config, 0, 2000, 0);
	config.answer_within = "100ms";
	assert_times(config, 100, 2000, 300);
	config.send_every = "60s";
	assert_times(config, 100, 60300, 60300);
}

static void test_a_spill_that_is_set_leaves_the_answers_a_third_of_it(void **state)
{
	(void)state;
	struct publisher_config config = defaults();
	config.spill_after_ms = 2000;
	assert_times(config, 666, 2000, 1998);
	config.spill_after_ms = 60000;
	assert_times(config, 10000, 60000, 30000);
	/* The disk comes first: answers may come whenever they like. */
	config.spill_after_ms = 0;
	assert_times(config, 10000, 0, 0);
	/* Who sets both gets both. */
	config.spill_after_ms = 2000;
	config.answer_within = "10s";
	assert_times(config, 10000, 2000, 2000);
}

static void test_the_link_of_a_lan_is_as_ever(void **state)
{
	(void)state;
	struct publisher_config config = defaults();
	settings_derive(&config);
	assert_true(config.spill_auto);
	assert_false(config.deflate);
	assert_int_equal(config.send_every_ms, 0);
	assert_int_equal(config.stats_every_ms, 0);
	assert_int_equal(config.service.stats_period_s, 60);
	assert_int_equal(config.keepalive_s, 30);
}

static void test_a_metered_link_is_one_word_and_settings_go_before_it(void **state)
{
	(void)state;
	struct publisher_config config = defaults();
	config.link = "metered";
	settings_derive(&config);
	assert_true(config.metered);
	assert_true(config.deflate);
	assert_int_equal(config.send_every_ms, 60000);
	assert_int_equal(config.spill_after_ms, 90000);
	assert_int_equal(config.service.stats_period_s, 600);
	assert_int_equal(config.stats_every_ms, 600000);
	assert_int_equal(config.keepalive_s, 120);

	config = defaults();
	config.link = "metered";
	config.compress = "off";
	config.send_every = "0";
	setenv("STATS_PERIOD_S", "60", 1);
	settings_derive(&config);
	unsetenv("STATS_PERIOD_S");
	assert_false(config.deflate);
	assert_int_equal(config.send_every_ms, 0);
	assert_int_equal(config.service.stats_period_s, 60);
}

static void test_statistics_and_pings_are_not_more_frequent_than_readings(void **state)
{
	(void)state;
	struct publisher_config config = defaults();
	config.send_every = "5m";
	config.compress = "deflate";
	settings_derive(&config);
	assert_true(config.deflate);
	assert_int_equal(config.service.stats_period_s, 300);
	assert_int_equal(config.stats_every_ms, 300000);
	assert_int_equal(config.keepalive_s, 120);
	config = defaults();
	config.send_every = "20s";
	settings_derive(&config);
	assert_int_equal(config.service.stats_period_s, 60);
	assert_int_equal(config.keepalive_s, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_spill_follows_the_answers),
		cmocka_unit_test(test_a_spill_that_is_set_leaves_the_answers_a_third_of_it),
		cmocka_unit_test(test_the_link_of_a_lan_is_as_ever),
		cmocka_unit_test(test_a_metered_link_is_one_word_and_settings_go_before_it),
		cmocka_unit_test(
			test_statistics_and_pings_are_not_more_frequent_than_readings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
