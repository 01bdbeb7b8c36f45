#include "context.h"

#include "number.h"
#include "version.h"

#define AHEAD_US INT64_C(86400000000)

struct context context_of(const struct store_ops *ops, void *store,
	const struct sink_options *options, struct effects *effects,
	struct results *results, int64_t now_us)
{
	/* While our own clock is not plausible, no reading is ahead of it. */
	bool plausible = now_us > dp_build_epoch * 1000000;
	return (struct context){.ops = ops,
		.store = store,
		.options = options,
		.effects = effects,
		.counts = &effects->pending,
		.results = results,
		.now_us = now_us,
		.ahead_us = plausible ? now_us + AHEAD_US : INT64_MAX};
}

int context_dead_letter(
	struct context *c, const char *reason, uint64_t seq, const char *text, size_t len)
{
	const struct incoming *in = c->in;
	size_t most = c->options->max_message_bytes;
	const struct dead_letter letter = {
		.topic_len = dp_utf8_cut(in->topic, DEAD_TOPIC_MAX),
		/* When the database refused the message: what it said. */
		.reason = in->refused != NULL ? in->refused : reason,
		.stream =
			in->plain || in->identity_error != 0 ? NULL : &in->identity.stream,
		.seq = seq,
		.text = text,
		.len = len,
		.kept = len < most ? len : most,
	};
	c->counts->dead_letters++;
	dead_log_add(&c->effects->dead_log, in->topic, reason, c->now_us);
	return c->ops->add_dead_letter(c, &letter);
}

int context_add_rows(struct context *c, const char *topic, const struct dp_reading *reading,
	const struct place *place, enum dp_clock_mark clock)
{
	bool ahead = reading->ts_us > c->ahead_us;
	int err =
		c->ops->add_rows(c, reading, place, ahead ? CLOCK_AHEAD : (unsigned)clock);
	if (err != 0)
		return err;
	c->counts->readings++;
	c->counts->ahead += ahead;
	if (c->options->print)
		printed_add(&c->effects->printed, topic, reading);
	return 0;
}

int context_add_reading(struct context *c, const char *topic,
	const struct dp_reading *reading, enum dp_clock_mark clock)
{
	struct place place;
	int err = c->ops->find_place(c, topic, reading, &place);
	return err != 0 ? err : context_add_rows(c, topic, reading, &place, clock);
}
