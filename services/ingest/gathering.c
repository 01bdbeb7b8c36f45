#include "gathering.h"

#define NEVER INT64_MAX
#define LONG_AGO (INT64_MIN / 2)

static void clear(struct gathering *g)
{
	g->due_ms = g->plain_due_ms = NEVER;
	g->hasten = false;
}

void gathering_init(struct gathering *g, int64_t plain_wait_ms)
{
	*g = (struct gathering){.plain_wait_ms = plain_wait_ms, .begun_ms = LONG_AGO};
	broker_limit_init(&g->limit, plain_wait_ms);
	clear(g);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/*
 * Its time is up when its wait has passed since the last commit began. That was before it
 * arrived, so it never waits for longer than its own wait; and if another commit begins
 * without it, its time stays as it is.
 */
void gathering_add(struct gathering *g, const struct incoming *in, int64_t now_ms)
{
	if (in->plain) {
		broker_limit_receive(&g->limit, in->len, now_ms);
		bool wait = !broker_limit_reached(&g->limit, now_ms);
		g->plain_due_ms = earlier(
			g->plain_due_ms, g->begun_ms + (wait ? g->plain_wait_ms : 0));
	} else {
		int64_t wait_ms = in->identity_error == 0 ? in->identity.wait_ms : 0;
		g->due_ms = earlier(g->due_ms, g->begun_ms + wait_ms);
	}
}

void gathering_hasten(struct gathering *g)
{
	g->hasten = true;
}

void gathering_take(struct gathering *g, int64_t now_ms, bool all)
{
	broker_limit_take(&g->limit, now_ms, all);
	if (all)
		clear(g);
}

void gathering_begin(struct gathering *g, int64_t now_ms)
{
	g->begun_ms = now_ms;
}

void gathering_end(struct gathering *g, int64_t now_ms)
{
	broker_limit_acknowledge(&g->limit, now_ms);
}

void gathering_forget_plain(struct gathering *g)
{
	g->plain_due_ms = NEVER;
	broker_limit_forget(&g->limit);
}

int64_t gathering_due_ms(const struct gathering *g)
{
	return g->due_ms;
}

int64_t gathering_end_ms(const struct gathering *g)
{
	return g->hasten ? LONG_AGO
			 : earlier(g->plain_due_ms, broker_limit_quiet_ms(&g->limit));
}
