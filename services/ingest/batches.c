#include "batches.h"

#include <errno.h>

/* Under load a batch waits for more: for so many messages or so long. */
#define GATHER_AFTER 32 /* messages in the one before */
#define GATHER_MESSAGES 256
#define GATHER_MS 5
#define RETRY_FIRST_MS 500
#define RETRY_LIMIT_MS 10000
#define SLOW_MS 5000 /* a batch that fails after so long may have been too large */

void batches_init(struct batches *batches, size_t most_bytes)
{
	*batches = (struct batches){.most_bytes = most_bytes,
		.batch_bytes = most_bytes / 2,
		.retry_ms = RETRY_FIRST_MS};
	queue_init(&batches->queue);
	queue_init(&batches->batch);
}

void batches_add(struct batches *batches, struct incoming *in)
{
	batches->plain_waits = batches->plain_waits || in->plain;
	queue_add(&batches->queue, in);
}

size_t batches_bytes(const struct batches *batches)
{
	return batches->queue.bytes + batches->batch.bytes;
}

bool batches_full(const struct batches *batches)
{
	return batches_bytes(batches) >= batches->most_bytes;
}

bool batches_expect_plain(const struct batches *batches)
{
	return incoming_has_plain(batches->queue.first);
}

void batches_forget_plain(struct batches *batches)
{
	queue_forget_plain(&batches->queue);
	if (batches->storing)
		batches->plain_gone = true;
	else
		queue_forget_plain(&batches->batch);
}

/*
 * Many small transactions cost everybody more than a few large ones, the broker too,
 * which carries an answer of each to each publisher. A broker that is behind would only
 * get more of them. Plain messages do not become more while they wait: the broker sends
 * the next ones when these are acknowledged.
 */
static bool gathers(const struct batches *batches, int64_t now_ms, bool congested)
{
	if (batches->plain_waits)
		return false;
	return congested ||
	       (batches->queue.n < GATHER_MESSAGES && now_ms < batches->gather_until_ms &&
		       !batches_full(batches));
}

void batches_fill(struct batches *batches, int64_t now_ms, bool congested, bool hurry)
{
	if (batches->batch.first != NULL || batches->queue.first == NULL ||
		(!hurry && gathers(batches, now_ms, congested)))
		return;
	queue_move(&batches->queue, &batches->batch, batches->batch_bytes);
	batches->plain_waits = batches->plain_waits && batches->queue.first != NULL;
}

bool batches_due(const struct batches *batches, int64_t now_ms)
{
	return batches->batch.first != NULL && now_ms >= batches->retry_at_ms;
}

int64_t batches_wait_ms(const struct batches *batches, int64_t now_ms)
{
	int64_t until_ms = batches->batch.first != NULL	  ? batches->retry_at_ms
			   : batches->queue.first != NULL ? batches->gather_until_ms
							  : 0;
	return until_ms > now_ms ? until_ms - now_ms : -1;
}

struct queue *batches_begin(struct batches *batches, int64_t now_ms)
{
	batches->begun_ms = now_ms;
	batches->plain_gone = false;
	batches->storing = batches->batch.first != NULL;
	return batches->storing ? &batches->batch : NULL;
}

/* Leave the first half; the other one goes back. */
static void split(struct batches *batches)
{
	struct queue rest;
	queue_init(&rest);
	queue_cut(&batches->batch, batches->batch.n / 2, &rest);
	batches->batch_bytes = batches->batch.bytes;
	queue_prepend(&batches->queue, &rest);
	/* What came back is stored at once: waiting would not make it more. */
	batches->plain_waits = true;
}

/*
 * The database refuses something in the batch. First the same batch is tried once more:
 * two replicas may have added the same row. Then halves of it are tried, so that all other
 * messages are stored. The message that is left at last becomes a dead letter; if that is
 * refused as well, nothing more can be done for it.
 */
static void single_out(struct batches *batches, const char *why)
{
	if (batches->batch.n == 0)
		batches->refused = false; /* all of it was plain, and is gone */
	else if (!batches->refused)
		batches->refused = true;
	else if (batches->batch.n > 1)
		split(batches);
	else if (!incoming_refuse(batches->batch.first, why)) {
		batches->hopeless = batches->batch.first;
		batches->refused = false;
		queue_init(&batches->batch);
	}
}

struct incoming *batches_hopeless(struct batches *batches)
{
	struct incoming *hopeless = batches->hopeless;
	batches->hopeless = NULL;
	return hopeless;
}

static void note_stored(struct batches *batches, int64_t now_ms)
{
	size_t limit = batches->most_bytes / 2;
	batches->refused = false;
	batches->retry_ms = RETRY_FIRST_MS;
	batches->batch_bytes =
		batches->batch_bytes < limit / 2 ? batches->batch_bytes * 2 : limit;
	if (batches->batch.n >= GATHER_AFTER)
		batches->gather_until_ms = now_ms + GATHER_MS;
	incoming_free(batches->batch.first);
	queue_init(&batches->batch);
}

bool batches_end(struct batches *batches, int64_t now_ms, int err, const char *why)
{
	batches->storing = false;
	if (err != 0 && batches->plain_gone)
		queue_forget_plain(&batches->batch);
	if (err == -EDOM) {
		single_out(batches, why);
		batches->retry_at_ms = 0;
		return false;
	}
	batches->last_error = err;
	if (err == 0) {
		note_stored(batches, now_ms);
		return true;
	}
	bool slow = err == -EBUSY || now_ms - batches->begun_ms >= SLOW_MS;
	if (slow && batches->batch.n > 1)
		split(batches);
	batches->retry_at_ms = now_ms + batches->retry_ms;
	batches->retry_ms = batches->retry_ms * 2 > RETRY_LIMIT_MS ? RETRY_LIMIT_MS
								   : batches->retry_ms * 2;
	return true;
}

void batches_retry_now(struct batches *batches)
{
	batches->retry_ms = RETRY_FIRST_MS;
	batches->retry_at_ms = 0;
}

void batches_finish(struct batches *batches)
{
	incoming_free(batches->queue.first);
	incoming_free(batches->batch.first);
	incoming_free(batches->hopeless);
}
