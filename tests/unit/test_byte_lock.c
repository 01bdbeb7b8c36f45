/* One locked byte that moves on. */
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "byte_lock.h"
#include "support.h"

/* Two openings of one file, as two processes have them. */
static void open_two(void **state, int fds[2])
{
	char path[PATH_SIZE];
	path_in(state, "lock", path);
	for (int i = 0; i < 2; i++) {
		fds[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		require(fds[i] >= 0);
	}
}

static void test_its_place_is_as_documented(void **state)
{
	int fds[2];
	open_two(state, fds);
	assert_true(dp_byte_look(fds[1], 1, 7) == DP_BYTE_FREE);
	assert_int_equal(dp_byte_lock(fds[0], 1, 7, 3), 0);
	assert_true(dp_byte_look(fds[1], 1, 7) == (1 << 24) + (7 << 12) + 3);
	/* One's own says nothing. */
	assert_true(dp_byte_look(fds[0], 1, 7) == DP_BYTE_FREE);
	/* Numbers and steps go round; none is out of place. */
	assert_int_equal(dp_byte_lock(fds[0], 127, INT64_MIN + 7, UINT32_MAX), 0);
	assert_true(
		dp_byte_look(fds[1], 127, 7) == (INT64_C(127) << 24) + (7 << 12) + 0xfff);
	close(fds[0]);
	close(fds[1]);
}

static void test_it_moves_and_leaves_nothing(void **state)
{
	int fds[2];
	open_two(state, fds);
	int64_t before = DP_BYTE_FREE;
	for (unsigned step = 4000; step < 4200; step++) {
		assert_int_equal(dp_byte_lock(fds[0], 1, 7, step), 0);
		int64_t now = dp_byte_look(fds[1], 1, 7);
		assert_true(now >= 0 && now != before);
		before = now;
	}
	/* To the place of another number. */
	assert_int_equal(dp_byte_lock(fds[0], 1, 8, 1), 0);
	assert_true(dp_byte_look(fds[1], 1, 7) == DP_BYTE_FREE);
	assert_true(dp_byte_look(fds[1], 1, 8) >= 0);
	dp_byte_free(fds[0], 1);
	assert_true(dp_byte_look(fds[1], 1, 8) == DP_BYTE_FREE);
	close(fds[0]);
	close(fds[1]);
}

static void test_areas_and_flock_are_independent(void **state)
{
	int fds[2];
	open_two(state, fds);
	assert_int_equal(dp_byte_lock(fds[0], 1, 7, 1), 0);
	assert_int_equal(dp_byte_lock(fds[0], 2, 7, 1), 0);
	assert_int_equal(dp_byte_lock(fds[1], 2, 8, 1), 0);
	assert_int_equal(flock(fds[1], LOCK_EX | LOCK_NB), 0);
	dp_byte_free(fds[0], 2);
	assert_true(dp_byte_look(fds[1], 1, 7) >= 0);
	assert_true(dp_byte_look(fds[0], 2, 8) >= 0);
	assert_int_equal(dp_byte_lock(fds[0], 1, 7, 2), 0);
	assert_int_equal(flock(fds[0], LOCK_SH | LOCK_NB), -1);
	close(fds[0]);
	close(fds[1]);
}

static void test_somebody_elses_byte_is_refused(void **state)
{
	int fds[2];
	open_two(state, fds);
	assert_int_equal(dp_byte_lock(fds[0], 1, 7, 1), 0);
	assert_int_equal(dp_byte_lock(fds[1], 1, 7, 1), -EAGAIN);
	assert_true(dp_byte_look(fds[0], 1, 7) == DP_BYTE_FREE);
	close(fds[0]);
	assert_true(dp_byte_look(fds[1], 1, 7) == DP_BYTE_FREE);
	close(fds[1]);
	assert_int_equal(dp_byte_lock(fds[1], 1, 7, 1), -EBADF);
	assert_true(dp_byte_look(fds[1], 1, 7) == DP_BYTE_UNKNOWN);
}

/* Closing the database's other descriptors, as SQLite does, frees no lock of another file;
 * closing another opening of the same one does not either, unlike POSIX locks. */
static void test_another_opening_that_is_closed_frees_nothing(void **state)
{
	int fds[2];
	open_two(state, fds);
	char path[PATH_SIZE];
	assert_int_equal(dp_byte_lock(fds[0], 1, 7, 1), 0);
	int third = open(path_in(state, "lock", path), O_RDWR | O_CLOEXEC);
	require(third >= 0);
	close(third);
	assert_true(dp_byte_look(fds[1], 1, 7) >= 0);
	close(fds[0]);
	close(fds[1]);
}

/* SIGSTOP keeps it, SIGKILL frees it. */
static void test_a_process_that_dies_frees_it_one_that_is_stopped_does_not(void **state)
{
	int fds[2], status;
	open_two(state, fds);
	close(fds[0]);
	pid_t child = fork();
	require(child >= 0);
	if (child == 0) {
		char path[PATH_SIZE];
		int fd = open(path_in(state, "lock", path), O_RDWR | O_CLOEXEC);
		if (dp_byte_lock(fd, 1, 7, 1) != 0)
			_exit(1);
		raise(SIGSTOP);
		_exit(0);
	}
	require(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
	assert_true(dp_byte_look(fds[1], 1, 7) >= 0);
	kill(child, SIGKILL);
	require(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
	assert_true(dp_byte_look(fds[1], 1, 7) == DP_BYTE_FREE);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_its_place_is_as_documented),
		IN_DIRECTORY(test_it_moves_and_leaves_nothing),
		IN_DIRECTORY(test_areas_and_flock_are_independent),
		IN_DIRECTORY(test_somebody_elses_byte_is_refused),
		IN_DIRECTORY(test_another_opening_that_is_closed_frees_nothing),
		IN_DIRECTORY(
			test_a_process_that_dies_frees_it_one_that_is_stopped_does_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
