/* Damage that a pruner meets, which ingest is to hear of, and what it survives. */
#include "aside.h"
#include "prune_file.h"
#include "store_lease.h"

#include <sys/stat.h>

static void spoil(const char *path, const char *table)
{
	char rubbish[4096];
	memset(rubbish, 0xff, sizeof(rubbish));
	db_exec(path, "PRAGMA wal_checkpoint(TRUNCATE)");
	char sql[96];
	snprintf(sql, sizeof(sql), "SELECT rootpage FROM sqlite_schema WHERE name = '%s'",
		table);
	int64_t page = db_int(path, sql);
	int64_t size = db_int(path, "PRAGMA page_size");
	assert_in_range(size, 1, sizeof(rubbish));
	FILE *file = fopen(path, "r+");
	if (file == NULL) {
		fail_msg("cannot open %s", path);
		return;
	}
	assert_int_equal(fseek(file, (page - 1) * size, SEEK_SET), 0);
	assert_int_equal(fwrite(rubbish, (size_t)size, 1, file), 1);
	fclose(file);
}

/* Only the pruner reads the readings of long ago; only ingest replaces the file. */
static void test_damage_that_it_meets_is_handed_to_ingest(void **state)
{
	char path[PATH_SIZE], url[PATH_SIZE + 16];
	struct prune *prune = open_pruner(state, path);
	struct dp_store ingest;
	struct dp_lease lease = {.name = "plain", .holder = "i", .ttl_us = 1000};
	struct capture capture;
	char log[2048];
	int64_t rows;
	bool done;
	snprintf(url, sizeof(url), "sqlite://%s", path);
	assert_int_equal(dp_store_open(&ingest, url), 0);
	assert_int_equal(dp_lease_renew(&ingest, &lease, 1), 0);
	add_readings(path, 1, 5000, 0, 1);
	spoil(path, "reading");
	capture_begin(&capture, STDERR_FILENO);
	begin(prune, BEFORE_US, 0);
	int err = 0;
	for (int i = 0; i < 20 && err == 0; i++)
		err = prune_step(prune, &rows, &done);
	int renewed = dp_lease_renew(&ingest, &lease, 2);
	int replaced = dp_store_replace(&ingest, 3);
	int again = dp_lease_renew(&ingest, &lease, 4);
	capture_end(&capture, log, sizeof(log));
	assert_int_equal(err, -EUCLEAN);
	assert_int_equal(renewed, -EUCLEAN);
	assert_int_equal(replaced, 0);
	assert_int_equal(again, 0);
	assert_non_null(strstr(log, "ingest will look through it"));
	/* A run that was under way says what became of it. */
	struct dp_lease own = {.name = "prune", .holder = "p", .ttl_us = 1000};
	assert_int_equal(prune_lease(prune, &own, 5), 0);
	assert_int_equal(prune_step(prune, &rows, &done), 0);
	assert_true(done);
	assert_int_equal(prune_report(prune)->outcome, PRUNE_FAILED);
	assert_string_equal(
		prune_report(prune)->reason, "the database was replaced during the run");
	dp_store_close(&ingest);
	prune_close(prune);
}

/* It stays the same file, of which the connection still knows the damage. */
static void test_a_good_copy_written_over_the_damage_is_read_anew(void **state)
{
	static char bytes[1 << 21];
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	struct dp_lease own = {.name = "prune", .holder = "p", .ttl_us = 1000};
	int64_t rows;
	bool done;
	add_readings(path, 1, 5000, 0, 1);
	db_exec(path, "PRAGMA wal_checkpoint(TRUNCATE)");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	require(fd >= 0);
	ssize_t size = read(fd, bytes, sizeof(bytes));
	close(fd);
	require(size > 0 && size < (ssize_t)sizeof(bytes));
	spoil(path, "reading");
	begin(prune, BEFORE_US, 0);
	int err = 0;
	for (int i = 0; i < 20 && err == 0; i++)
		err = prune_step(prune, &rows, &done);
	assert_int_equal(err, -EUCLEAN);
	write_file(path, bytes, (size_t)size);
	dp_suspect_clear(path);
	assert_int_equal(prune_lease(prune, &own, 5), 0);
	assert_int_equal(run(prune), 5000);
	prune_close(prune);
}

static void test_damage_that_it_meets_at_its_lease_is_handed_to_ingest(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	struct dp_lease own = {.name = "prune", .holder = "p", .ttl_us = 1000};
	struct stat status;
	spoil(path, "lease");
	assert_int_equal(prune_lease(prune, &own, 5), -EUCLEAN);
	require(stat(path, &status) == 0);
	assert_true(dp_is_suspect(path, status.st_dev, status.st_ino));
	prune_close(prune);
}

/* One flipped bit of a table's text, which SQLite believes. */
static void flip_schema(const char *path)
{
	db_exec(path, "PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql ="
		      " replace(sql, 'holder ', 'holdez ') WHERE name = 'lease'");
}

/* Whatever it finds at the path, ingest is told of that file, which it has open. */
static void test_damage_that_it_meets_at_opening_is_handed_to_ingest(void **state)
{
	char path[PATH_SIZE], url[PATH_SIZE + 16], other[PATH_SIZE];
	struct prune *prune = open_pruner(state, path), *second = NULL;
	struct dp_lease own = {.name = "prune", .holder = "p", .ttl_us = 1000};
	struct dp_lease lease = {.name = "plain", .holder = "i", .ttl_us = 1000};
	struct dp_store ingest;
	struct capture capture;
	char log[4096];
	snprintf(url, sizeof(url), "sqlite://%s", path);
	/* Another file has come to its path, with such damage. */
	db_copy(path, path_in(state, "other.db", other));
	replace_file(path, other);
	assert_int_equal(dp_store_open(&ingest, url), 0);
	assert_int_equal(dp_lease_renew(&ingest, &lease, 1), 0);
	flip_schema(path);
	capture_begin(&capture, STDERR_FILENO);
	int reopened = prune_lease(prune, &own, 5);
	bool told = dp_is_suspect(path, ingest.device, ingest.inode);
	dp_suspect_clear(path);
	int started = prune_open(&second, &sqlite_ops, url);
	int again = prune_open(&second, &sqlite_ops, url);
	bool told_again = dp_is_suspect(path, ingest.device, ingest.inode);
	int renewed = dp_lease_renew(&ingest, &lease, 2);
	capture_end(&capture, log, sizeof(log));
	assert_int_equal(reopened, -EUCLEAN);
	assert_true(told);
	assert_int_equal(started, -EUCLEAN);
	assert_int_equal(again, -EUCLEAN);
	assert_true(told_again);
	assert_int_equal(renewed, -EUCLEAN);
	/* Once each time. */
	const char *first = strstr(log, "ingest will look through it");
	assert_non_null(first);
	const char *next = strstr(first + 1, "ingest will look through it");
	assert_non_null(next);
	assert_null(strstr(next + 1, "ingest will look through it"));
	dp_store_close(&ingest);
	prune_close(prune);
}

/* The file that was put there lacks a table, until somebody mends it. */
static void test_a_file_that_cannot_be_used_yet_is_tried_again(void **state)
{
	char path[PATH_SIZE], other[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	struct dp_lease own = {.name = "prune", .holder = "p", .ttl_us = 1000};
	add_readings(path, 1, 10, 0, 1);
	db_copy(path, path_in(state, "other.db", other));
	db_exec(other, "ALTER TABLE late RENAME TO kept");
	replace_file(path, other);
	for (int i = 0; i < 2; i++)
		assert_int_equal(prune_lease(prune, &own, 5), -EIO);
	db_exec(path, "ALTER TABLE kept RENAME TO late");
	assert_int_equal(prune_lease(prune, &own, 6), 0);
	begin(prune, BEFORE_US, 0);
	assert_int_equal(run(prune), 10);
	prune_close(prune);
}

static void test_what_the_schema_does_not_allow_is_survived(void **state)
{
	char path[PATH_SIZE];
	struct prune *prune = open_pruner(state, path);
	add_readings(path, 1, 10, 0, 1);
	db_exec(path,
		"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql ="
		" replace(sql, 'NOT NULL', '') WHERE name IN ('retention', 'sensor');"
		"PRAGMA writable_schema=RESET; UPDATE retention SET run_boot_id = NULL;"
		"UPDATE sensor SET name = NULL, topic = NULL;"
		"INSERT INTO rollup VALUES (9223372036854775807, 1, 0, 0, 1, 1, 1, 1, 1,"
		" 1, 0, 0)");
	begin(prune, BEFORE_US, 0);
	assert_int_equal(run(prune), 10);
	prune_close(prune);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_damage_that_it_meets_is_handed_to_ingest),
		IN_DIRECTORY(test_a_good_copy_written_over_the_damage_is_read_anew),
		IN_DIRECTORY(test_damage_that_it_meets_at_its_lease_is_handed_to_ingest),
		IN_DIRECTORY(test_damage_that_it_meets_at_opening_is_handed_to_ingest),
		IN_DIRECTORY(test_a_file_that_cannot_be_used_yet_is_tried_again),
		IN_DIRECTORY(test_what_the_schema_does_not_allow_is_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
