#include "gathering.h"

#define NEVER INT64_MAX
#define LONG_AGO (INT64_MIN / 2)
#define QUIET_MS 2   /* within it the broker sends what it has, if it may */
#define QUIET_GAPS 4 /* so many times as long as between two messages */

void gathering_init(struct gathering *g, int64_t plain_wait_ms)
{
	*g = (struct gathering){
		.plain_wait_ms = plain_wait_ms, .begun_ms = LONG_AGO, .ended_ms = LONG_AGO};
	gathering_clear(g);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static void add_plain(struct gathering *g, size_t bytes, int64_t now_ms)
{
	struct plain_group *plain = &g->plain;
	if (plain->n == 0)
		plain->first_ms = now_ms;
	plain->last_ms = now_ms;
	plain->n++;
	plain->bytes += bytes;
	g->most = larger(g->most, plain->n);
	g->most_bytes = larger(g->most_bytes, plain->bytes);
	g->largest_bytes = larger(g->largest_bytes, bytes);
}

/*
 * It arrives after the last commit has begun, so that commit's begin and its wait are no
 * later than its arrival and its wait; and stay it, when another commit begins before it is
 * in one.
 */
void gathering_add(struct gathering *g, const struct incoming *in, int64_t now_ms)
{
	if (in->plain) {
		add_plain(g, in->len, now_ms);
		g->plain_due_ms = earlier(g->plain_due_ms, g->begun_ms + g->plain_wait_ms);
	} else {
		int64_t wait_ms = in->identity_error == 0 ? in->identity.wait_ms : 0;
		g->due_ms = earlier(g->due_ms, g->begun_ms + wait_ms);
	}
}

void gathering_hasten(struct gathering *g)
{
	g->hasten = true;
}

void gathering_clear(struct gathering *g)
{
	g->due_ms = g->plain_due_ms = NEVER;
	g->hasten = false;
	g->plain = (struct plain_group){0};
}

void gathering_begin(struct gathering *g, int64_t now_ms)
{
	g->begun_ms = now_ms;
}

void gathering_end(struct gathering *g, int64_t now_ms)
{
	g->ended_ms = now_ms;
}

void gathering_forget_plain(struct gathering *g)
{
	g->plain_due_ms = NEVER;
	g->plain = (struct plain_group){0};
	g->most = g->most_bytes = g->largest_bytes = 0;
}

/* It has sent more than this without an acknowledgement, so it is at no limit. */
static bool may_send(const struct gathering *g)
{
	return g->plain.n < g->most && g->plain.bytes + g->largest_bytes <= g->most_bytes;
}

/* Between two plain messages, while the broker was free to send. */
static int64_t gap_ms(const struct gathering *g)
{
	const struct plain_group *plain = &g->plain;
	return plain->n == 1 ? plain->first_ms - g->ended_ms
			     : (plain->last_ms - plain->first_ms) / (int64_t)(plain->n - 1);
}

static int64_t quiet_end_ms(const struct gathering *g)
{
	if (g->plain.n == 0 || may_send(g))
		return NEVER;
	int64_t quiet_ms = QUIET_GAPS * earlier(gap_ms(g), g->plain_wait_ms);
	return g->plain.last_ms + (quiet_ms > QUIET_MS ? quiet_ms : QUIET_MS);
}

int64_t gathering_due_ms(const struct gathering *g)
{
	return g->due_ms;
}

int64_t gathering_end_ms(const struct gathering *g)
{
	return g->hasten ? LONG_AGO : earlier(g->plain_due_ms, quiet_end_ms(g));
}
