#include "ingest/dead_log.h"

#include <unistd.h>

#include "support.h"

#define NOW_US INT64_C(1800000000000000)
#define BROKEN "not valid JSON"

/* What is written to stderr meanwhile, counted in lines. */
static int lines_of(struct dead_log *log, int64_t now_us, char *text, size_t size)
{
	struct capture capture;
	capture_begin(&capture, STDERR_FILENO);
	dead_log_commit(log, now_us);
	capture_end(&capture, text, size);
	int n = 0;
	for (const char *at = text; *at != '\0'; at++)
		n += *at == '\n';
	return n;
}

static void test_a_topic_and_a_reason_have_a_line_an_hour(void **state)
{
	static struct dead_log log;
	char text[65536];
	(void)state;
	dead_log_add(&log, "/data/a", BROKEN, NOW_US);
	dead_log_add(&log, "/data/a", BROKEN, NOW_US);
	dead_log_add(&log, "/data/a", "not UTF-8", NOW_US);
	dead_log_add(&log, "/data/b", BROKEN, NOW_US);
	assert_int_equal(lines_of(&log, NOW_US, text, sizeof(text)), 3);
	assert_non_null(
		strstr(text, "topic=\"/data/a\" reason=\"not valid JSON\" letters=2"));
	for (int i = 1; i < 100; i++) {
		dead_log_add(&log, "/data/a", BROKEN, NOW_US + i);
		assert_int_equal(lines_of(&log, NOW_US + i, text, sizeof(text)), 0);
	}
	dead_log_add(&log, "/data/a", BROKEN, NOW_US + DEAD_LOG_EVERY_US);
	assert_int_equal(lines_of(&log, NOW_US + DEAD_LOG_EVERY_US, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "letters=100\n"));
	/* A clock that was set back by years does not silence it for years. */
	dead_log_add(&log, "/data/a", BROKEN, NOW_US / 2);
	assert_int_equal(lines_of(&log, NOW_US / 2, text, sizeof(text)), 1);
}

static void test_what_was_undone_is_not_logged(void **state)
{
	static struct dead_log log;
	char text[65536];
	(void)state;
	dead_log_add(&log, "/data/a", BROKEN, NOW_US);
	dead_log_undo(&log);
	assert_int_equal(lines_of(&log, NOW_US, text, sizeof(text)), 0);
	dead_log_add(&log, "/data/a", BROKEN, NOW_US);
	assert_int_equal(lines_of(&log, NOW_US, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "letters=1\n"));
}

static void test_more_topics_than_fit_have_one_line_together(void **state)
{
	static struct dead_log log;
	char text[65536], topic[64];
	(void)state;
	for (int i = 0; i < 10 * DEAD_LOG_TOPICS; i++) {
		snprintf(topic, sizeof(topic), "/data/\"quoted\" %d", i);
		dead_log_add(&log, topic, BROKEN, NOW_US);
	}
	assert_int_equal(lines_of(&log, NOW_US, text, sizeof(text)), DEAD_LOG_TOPICS + 1);
	assert_non_null(strstr(text, "letters=576\n"));
	assert_null(strstr(text, "\"quoted"));
	/* An hour later the table has room again. */
	dead_log_add(&log, "/data/new", BROKEN, NOW_US + DEAD_LOG_EVERY_US);
	assert_int_equal(lines_of(&log, NOW_US + DEAD_LOG_EVERY_US, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "/data/new"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_topic_and_a_reason_have_a_line_an_hour),
		cmocka_unit_test(test_what_was_undone_is_not_logged),
		cmocka_unit_test(test_more_topics_than_fit_have_one_line_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
