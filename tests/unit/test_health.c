#include "health.h"
#include "support.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A question asked from beside the loop, as another process does. */
struct question {
	const char *path;
	uv_async_t answered;
	int result;
};

static void *ask(void *data)
{
	struct question *question = data;
	question->result = dp_health_ask(question->path);
	uv_async_send(&question->answered);
	return NULL;
}

static void on_answered(uv_async_t *async)
{
	uv_stop(async->loop);
}

static const char *wrong; /* what check() says */

static const char *check(void *data)
{
	assert_ptr_equal(data, &wrong);
	return wrong;
}

/* Ask a service in this state. @return its exit code, and what it prints in `text` */
static int answer(const char *path, const char *unhealthy, char *text, size_t size)
{
	uv_loop_t loop;
	struct dp_health health;
	struct question question = {.path = path};
	struct capture capture;
	pthread_t thread;
	wrong = unhealthy;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_async_init(&loop, &question.answered, on_answered), 0);
	assert_int_equal(dp_health_start(&health, &loop, path, check, &wrong), 0);
	capture_begin(&capture, STDOUT_FILENO);
	int err = pthread_create(&thread, NULL, ask, &question);
	if (err == 0) {
		uv_run(&loop, UV_RUN_DEFAULT);
		pthread_join(thread, NULL);
	}
	capture_end(&capture, text, size);
	assert_int_equal(err, 0);
	dp_health_stop(&health);
	uv_close((uv_handle_t *)&question.answered, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return question.result;
}

static void test_the_socket_is_named_after_service_and_instance(void **state)
{
	(void)state;
	char path[108];
	assert_int_equal(dp_health_path(path, "/run/dewpoint", "ingest", "host-1"), 0);
	assert_string_equal(path, "/run/dewpoint/ingest-host-1.health");
}

static void test_a_path_that_no_socket_can_have_is_refused(void **state)
{
	(void)state;
	char path[108], run_dir[108];
	/* "/" "ingest" "-" "i" ".health" and a NUL are 17 bytes. */
	memset(run_dir, 'd', sizeof(run_dir));
	run_dir[91] = '\0';
	assert_int_equal(dp_health_path(path, run_dir, "ingest", "i"), 0);
	assert_int_equal(strlen(path), 107);
	run_dir[91] = 'd';
	run_dir[92] = '\0';
	assert_int_equal(dp_health_path(path, run_dir, "ingest", "i"), -ENAMETOOLONG);
}

static void test_a_healthy_service_says_ok(void **state)
{
	char path[PATH_SIZE], text[512];
	path_in(state, "ingest-i.health", path);
	assert_int_equal(answer(path, NULL, text, sizeof(text)), EXIT_SUCCESS);
	assert_string_equal(text, "ok\n");
}

static void test_an_unhealthy_service_says_why_in_one_line(void **state)
{
	char path[PATH_SIZE], text[512], overlong[1000];
	path_in(state, "ingest-i.health", path);
	assert_int_equal(
		answer(path, "the broker is away", text, sizeof(text)), EXIT_FAILURE);
	assert_string_equal(text, "unhealthy: the broker is away\n");
	memset(overlong, 'x', sizeof(overlong) - 1);
	overlong[sizeof(overlong) - 1] = '\0';
	assert_int_equal(answer(path, overlong, text, sizeof(text)), EXIT_FAILURE);
	assert_in_range(strlen(text), 400, 511);
}

static void test_without_a_service_there_is_no_health(void **state)
{
	char path[PATH_SIZE], text[512];
	struct capture capture;
	path_in(state, "ingest-i.health", path);
	capture_begin(&capture, STDOUT_FILENO);
	int result = dp_health_ask(path);
	capture_end(&capture, text, sizeof(text));
	assert_int_equal(result, EXIT_FAILURE);
	assert_ptr_equal(strstr(text, "unhealthy: no answer at "), text);
	assert_non_null(strstr(text, "No such file or directory\n"));
}

static void test_what_a_killed_run_left_behind_is_replaced(void **state)
{
	char path[PATH_SIZE], text[512];
	path_in(state, "ingest-i.health", path);
	write_file(path, "", 0);
	assert_int_equal(answer(path, NULL, text, sizeof(text)), EXIT_SUCCESS);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_a_folder_that_does_not_exist_is_an_error(void **state)
{
	char path[PATH_SIZE];
	uv_loop_t loop;
	struct dp_health health;
	path_in(state, "absent/ingest-i.health", path);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_true(dp_health_start(&health, &loop, path, check, &wrong) < 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* A service's socket, listening. */
static int listen_at(const char *path, int backlog)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0)
		fail_msg("no socket");
	assert_int_equal(
		fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

/* Ask somebody who hangs; a question that hangs as well is ended by the alarm. */
static void ask_in_vain(const char *path)
{
	char text[512];
	struct capture capture;
	alarm(60);
	capture_begin(&capture, STDOUT_FILENO);
	int result = dp_health_ask(path);
	capture_end(&capture, text, sizeof(text));
	alarm(0);
	assert_int_equal(result, EXIT_FAILURE);
	assert_ptr_equal(strstr(text, "unhealthy: no answer at "), text);
}

static void test_a_service_that_hangs_is_unhealthy_however_often_it_is_asked(void **state)
{
	char path[PATH_SIZE];
	path_in(state, "ingest-i.health", path);
	int fd = listen_at(path, 0);
	/* The first one waits in the queue, the second one finds it full. */
	ask_in_vain(path);
	ask_in_vain(path);
	close(fd);
}

/* A byte now and then, as long as somebody listens. */
static void *dribble(void *data)
{
	int fd = accept(*(int *)data, NULL, NULL);
	while (fd >= 0 && send(fd, "o", 1, MSG_NOSIGNAL) == 1)
		usleep(100000);
	close(fd);
	return NULL;
}

static void test_a_service_that_answers_byte_by_byte_is_unhealthy(void **state)
{
	char path[PATH_SIZE];
	pthread_t thread;
	path_in(state, "ingest-i.health", path);
	int fd = listen_at(path, 1);
	assert_int_equal(pthread_create(&thread, NULL, dribble, &fd), 0);
	ask_in_vain(path);
	pthread_join(thread, NULL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_socket_is_named_after_service_and_instance),
		cmocka_unit_test(test_a_path_that_no_socket_can_have_is_refused),
		IN_DIRECTORY(test_a_healthy_service_says_ok),
		IN_DIRECTORY(test_an_unhealthy_service_says_why_in_one_line),
		IN_DIRECTORY(test_without_a_service_there_is_no_health),
		IN_DIRECTORY(test_what_a_killed_run_left_behind_is_replaced),
		IN_DIRECTORY(
			test_a_service_that_hangs_is_unhealthy_however_often_it_is_asked),
		IN_DIRECTORY(test_a_service_that_answers_byte_by_byte_is_unhealthy),
		IN_DIRECTORY(test_a_folder_that_does_not_exist_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
