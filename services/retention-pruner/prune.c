#include "prune.h"

#include <stdlib.h>
#include <string.h>

#include "bucket.h"
#include "guard.h"
#include "log.h"

#define LAG_US 60000000 /* readings are given so long to arrive before they are late */

struct prune {
	const struct prune_ops *ops;
	void *store;
	struct job job;
	struct guard guard;
	enum phase stepped; /* of the last step */
};

int prune_open(struct prune **out, const struct prune_ops *ops, const char *store_url)
{
	struct prune *prune = calloc(1, sizeof(*prune));
	if (prune == NULL)
		dp_log_out_of_memory("the pruner's store");
	prune->ops = ops;
	prune->job.phase = PHASE_DONE;
	int err = ops->open(&prune->store, store_url, &prune->job);
	if (err != 0) {
		free(prune);
		return err;
	}
	*out = prune;
	return 0;
}

void prune_close(struct prune *prune)
{
	if (prune == NULL)
		return;
	prune->ops->close(prune->store);
	free(prune);
}

void prune_hurry(struct prune *prune)
{
	if (prune->ops->hurry != NULL)
		prune->ops->hurry(prune->store);
}

const char *prune_why(const struct prune *prune)
{
	return prune->ops->why != NULL ? prune->ops->why(prune->store) : NULL;
}

int prune_lease(struct prune *prune, struct dp_lease *lease, int64_t now_us)
{
	struct job *job = &prune->job;
	bool replaced = false;
	int err = prune->ops->lease(prune->store, lease, now_us, &replaced);
	if (replaced && job->phase != PHASE_DONE) {
		job->report.outcome = PRUNE_FAILED;
		job->report.reason = "the database was replaced during the run";
		job->phase = PHASE_DONE;
	}
	return err;
}

int prune_release(struct prune *prune, struct dp_lease *lease)
{
	return prune->ops->release(prune->store, lease);
}

void prune_begin(struct prune *prune, const struct prune_run *run)
{
	struct job *job = &prune->job;
	job->run = *run;
	job->all = &run->policies->all;
	job->mark_us = 0;
	if (job->all->n > 0)
		job->mark_us =
			bucket_start(run->now_us - LAG_US, job->all->sizes[0].size_us);
	job->report = (struct prune_report){.outcome = PRUNE_DID};
	job->phase = PHASE_CHECK;
	/* Little to do was no sign that much goes as quickly: begin carefully again. */
	for (int i = 0; i < PHASES; i++)
		stride_begin(&job->strides[i], &prune->ops->strides[i]);
	jump_boot(job->boot, run->boot_id, run->synchronised);
	aside_begin(&job->aside);
	job->cut_raw_us = job->cut_rollup_us = INT64_MIN;
	guard_begin(&prune->guard, prune->ops, prune->store, job);
	prune->ops->begin(prune->store);
	prune->ops->rewind(prune->store);
}

static int step(struct prune *prune)
{
	struct job *job = &prune->job;
	switch (job->phase) {
	case PHASE_CHECK:
		return guard_check(&prune->guard);
	case PHASE_DUE:
		return guard_due(&prune->guard);
	case PHASE_KEPT:
		return guard_kept(&prune->guard);
	case PHASE_LOOK:
		return guard_look(&prune->guard);
	case PHASE_COUNT:
	case PHASE_LATE:
		if (job->all->n == 0)
			return STEP_OVER;
		break;
	case PHASE_DONE:
		return STEP_MORE;
	case PHASE_END:
		if (job->report.reason == NULL && job->run.policies->ambiguous)
			job->report.reason = policies_ambiguous;
		break;
	default:
		break;
	}
	return prune->ops->step[job->phase](prune->store);
}

/* The phase after a step that has returned this. */
static enum phase next_phase(const struct prune *prune, int result)
{
	enum phase phase = prune->job.phase;
	if (result >= STEP_JUMP)
		phase = (enum phase)(result - STEP_JUMP);
	else if (result == STEP_OVER)
		/* A dry run ends where it has looked; others do not look. */
		phase = phase == PHASE_KEPT   ? PHASE_MARK
			: phase == PHASE_LOOK ? PHASE_END
					      : phase + 1;
	while (phase >= PHASE_MARK && phase < PHASE_END && prune->ops->step[phase] == NULL)
		phase++;
	return phase;
}

int prune_step(struct prune *prune, int64_t *rows, bool *done)
{
	struct job *job = &prune->job;
	job->rows = 0;
	prune->stepped = job->phase;
	job->too_long = false;
	int result = step(prune);
	if (result < 0)
		result = prune->ops->failed(prune->store, result);
	job->phase = next_phase(prune, result);
	if (job->phase != prune->stepped)
		prune->ops->rewind(prune->store);
	*rows = job->rows;
	*done = job->phase == PHASE_DONE;
	return result < 0 ? result : 0;
}

void prune_took(struct prune *prune, int64_t took_us)
{
	struct stride *stride = &prune->job.strides[prune->stepped];
	if (prune->job.too_long)
		stride_gave_up(stride);
	else
		stride_took(stride, took_us);
	if (!prune->job.too_long && took_us < prune->job.limit_us / 8)
		stride_raise(stride);
}

int prune_checkpoint(struct prune *prune)
{
	return prune->ops->checkpoint != NULL ? prune->ops->checkpoint(prune->store) : 0;
}

const struct prune_report *prune_report(const struct prune *prune)
{
	return &prune->job.report;
}
