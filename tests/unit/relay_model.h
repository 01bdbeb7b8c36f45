/* What the tests of the publisher's parts together share: a run of tests/fault/model/. */
#ifndef TEST_RELAY_MODEL_H
#define TEST_RELAY_MODEL_H

#include <glob.h>

#include "../fault/fail_vfs.h"
#include "../fault/model/model.h"
#include "publisher/outbox/outbox_db.h"
#include "support.h"

static char path[PATH_SIZE];

static inline void begin(void **state)
{
	model_reset(path_in(state, "outbox.db", path));
	model_start();
	model_sampler_begin(0, 1);
	model_run(300);
}

static inline void sample(unsigned n, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		model_sample(n);
}

static inline void assert_healthy(void)
{
	const char *wrong = relay_health(model.relay);
	if (wrong != NULL)
		fail_msg("unhealthy: %s", wrong);
}

static inline void assert_says(const char *words)
{
	const char *wrong = relay_health(model.relay);
	if (wrong == NULL || strstr(wrong, words) == NULL)
		fail_msg("it says: %s", wrong == NULL ? "healthy" : wrong);
}

/* All is stored, nothing strange happened, and it stops. */
static inline void finish(void)
{
	const char *wrong = NULL;
	for (unsigned i = 0; i < 80 && !model_settled(); i++)
		model_run(5000);
	assert_true(model_settled());
	wrong = model_judge();
	if (wrong != NULL)
		fail_msg("%s", wrong);
	assert_healthy();
	assert_int_equal(model_stop(), 0);
}

static inline unsigned files_aside(void)
{
	char pattern[PATH_SIZE + 16];
	glob_t found = {.gl_pathc = 0};
	unsigned n = 0;
	snprintf(pattern, sizeof(pattern), "%s.corrupt-*", path);
	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++)
		n += strstr(found.gl_pathv[i], "-wal") == NULL;
	globfree(&found);
	return n;
}

#endif
