#include "guard.h"

void guard_begin(
	struct guard *guard, const struct prune_ops *ops, void *store, struct job *job)
{
	*guard = (struct guard){.ops = ops, .store = store, .job = job};
}

static int ask(struct guard *guard, const char *reason)
{
	guard->job->report.outcome = PRUNE_ASKS;
	guard->job->report.reason = reason;
	return STEP_TO(PHASE_END);
}

int guard_check(struct guard *guard)
{
	const struct prune_run *run = &guard->job->run;
	struct last_run known = {.wall_us = 0};
	int err = guard->ops->look(guard->store, &known);
	if (err != 0)
		return err;
	/* Never before: it was no earlier than anything was stored. */
	guard->reference_us = known.wall_us != 0 ? known.wall_us : known.newest_us;
	if (guard->reference_us > run->now_us)
		guard->reference_us = run->now_us;
	const struct jump_moment last = {known.wall_us, known.boot_us, known.boot_id},
				 now = {run->now_us, run->boot_us, guard->job->boot};
	if (run->dry_run)
		return STEP_TO(PHASE_LOOK);
	if (run->confirmed)
		return STEP_TO(PHASE_MARK);
	return jump_seen(&last, &now) ? ask(guard, jump_stepped) : STEP_OVER;
}

/* Go on with the subject at hand, or take the next one. @return 1, 0 there is none, error
 */
static int go_on(struct guard *guard)
{
	int found = guard->at_hand ? 1 : guard->ops->next(guard->store, &guard->subject);
	guard->at_hand = found == 1;
	return found;
}

static unsigned level_of(const struct subject *subject)
{
	return policy_level(subject->policy, subject->size_us);
}

/* Where the subject's age ends, seen from a time. */
static int64_t bound_us(const struct guard *guard, int64_t from_us)
{
	const struct subject *subject = &guard->subject;
	return from_us - policy_age_us(subject->policy, subject->size_us) -
	       subject->size_us;
}

/* Of the subject in a span, or in a part of it: then the next step goes on. */
static int add_due(struct guard *guard, int64_t from_us, int64_t until_us, int64_t *sum)
{
	int64_t n = 0;
	int all = guard->ops->count_due(guard->store, from_us, until_us, &n);
	if (all < 0)
		return all;
	*sum += n;
	guard->at_hand = all == 0;
	return STEP_MORE;
}

int guard_due(struct guard *guard)
{
	int found = go_on(guard);
	if (found <= 0)
		return found < 0 ? found : STEP_OVER;
	if (policy_age_us(guard->subject.policy, guard->subject.size_us) == 0)
		return ask(guard, jump_size_gone);
	return add_due(guard, bound_us(guard, guard->reference_us),
		bound_us(guard, guard->job->run.now_us),
		&guard->due[level_of(&guard->subject)]);
}

static int add_kept(struct guard *guard)
{
	unsigned level = level_of(&guard->subject);
	int64_t n = 0, *kept = &guard->kept[level];
	/* Only whether there are more than would go. */
	int64_t enough = guard->due[level] - *kept;
	int err = 0;
	if (enough > 0)
		err = guard->ops->count_kept(
			guard->store, bound_us(guard, guard->job->run.now_us), enough, &n);
	if (err < 0)
		return err;
	*kept += n;
	guard->at_hand = false;
	return STEP_MORE;
}

int guard_kept(struct guard *guard)
{
	bool enough = true;
	for (unsigned i = 0; i < GUARD_LEVELS; i++)
		enough = enough && guard->kept[i] >= guard->due[i];
	if (enough)
		return STEP_OVER;
	int found = go_on(guard);
	if (found == 0)
		return ask(guard, jump_too_much);
	return found < 0 ? found : add_kept(guard);
}

int guard_look(struct guard *guard)
{
	struct prune_report *report = &guard->job->report;
	int found = go_on(guard);
	report->outcome = PRUNE_LOOKED;
	if (found <= 0)
		return found < 0 ? found : STEP_OVER;
	return add_due(guard, INT64_MIN, guard->subject.gone_us,
		guard->subject.size_us == 0 ? &report->readings : &report->rollups);
}
