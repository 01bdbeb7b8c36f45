#include "batches.h"

#include <errno.h>
#include <string.h>

/* Under load a batch waits for more: for so many messages or so long. */
#define GATHER_AFTER 32 /* messages in the one before */
#define GATHER_MESSAGES 256
#define GATHER_MS 5
#define RETRY_FIRST_MS 500
#define RETRY_LIMIT_MS 10000
#define SLOW_MS 5000 /* a batch that fails after so long may have been too large */

void batches_init(struct batches *batches, size_t most_bytes, int64_t plain_wait_ms)
{
	*batches = (struct batches){.most_bytes = most_bytes,
		.batch_bytes = most_bytes / 2,
		.retry_ms = RETRY_FIRST_MS};
	queue_init(&batches->queue);
	queue_init(&batches->batch);
	gathering_init(&batches->gathering, plain_wait_ms);
}

void batches_add(struct batches *batches, struct incoming *in, int64_t now_ms)
{
	gathering_add(&batches->gathering, in, now_ms);
	queue_add(&batches->queue, in);
}

size_t batches_bytes(const struct batches *batches)
{
	size_t bytes = batches->queue.bytes + batches->batch.bytes;
	return batches->run != NULL ? bytes + incoming_size(batches->run) : bytes;
}

bool batches_full(const struct batches *batches)
{
	return batches_bytes(batches) >= batches->most_bytes;
}

bool batches_expect_plain(const struct batches *batches)
{
	return incoming_has_plain(batches->queue.first);
}

bool batches_hold_plain(const struct batches *batches)
{
	return batches->plain_batched || batches_full(batches);
}

static void forget_plain_of_batch(struct batches *batches)
{
	queue_forget_plain(&batches->batch);
	batches->plain_batched = false;
}

void batches_forget_plain(struct batches *batches)
{
	queue_forget_plain(&batches->queue);
	gathering_forget_plain(&batches->gathering);
	if (batches->storing)
		batches->plain_gone = true;
	else
		forget_plain_of_batch(batches);
}

/* When the queue has waited long enough: by what its senders allow, and under load. */
static int64_t gathered_ms(const struct batches *batches)
{
	int64_t due_ms = gathering_due_ms(&batches->gathering);
	bool small = batches->queue.n < GATHER_MESSAGES;
	return small && due_ms < batches->gather_until_ms ? batches->gather_until_ms
							  : due_ms;
}

/*
 * Many small transactions cost everybody more than a few large ones: the card, and the
 * broker, which carries an answer of each to each publisher. A broker that is behind would
 * only get more of them.
 */
static bool gathers(const struct batches *batches, int64_t now_ms, bool congested)
{
	if (now_ms >= gathering_end_ms(&batches->gathering))
		return false;
	return congested || (batches->queue.bytes < batches->batch_bytes &&
				    now_ms < gathered_ms(batches));
}

void batches_fill(struct batches *batches, int64_t now_ms, bool congested, bool hurry)
{
	if (batches->batch.first != NULL || batches->queue.first == NULL ||
		(!hurry && gathers(batches, now_ms, congested)))
		return;
	queue_move(&batches->queue, &batches->batch, batches->batch_bytes);
	batches->plain_batched = incoming_has_plain(batches->batch.first);
	gathering_take(&batches->gathering, now_ms, batches->queue.first == NULL);
}

bool batches_due(const struct batches *batches, int64_t now_ms)
{
	return batches->batch.first != NULL && now_ms >= batches->retry_at_ms;
}

int64_t batches_wait_ms(const struct batches *batches, int64_t now_ms)
{
	int64_t until_ms = now_ms;
	if (batches->batch.first != NULL) {
		until_ms = batches->retry_at_ms;
	} else if (batches->queue.first != NULL) {
		int64_t end_ms = gathering_end_ms(&batches->gathering);
		until_ms = gathered_ms(batches);
		until_ms = until_ms < end_ms ? until_ms : end_ms;
	}
	return until_ms > now_ms ? until_ms - now_ms : -1;
}

struct queue *batches_begin(struct batches *batches, int64_t now_ms)
{
	batches->plain_gone = false;
	batches->storing = batches->batch.first != NULL;
	if (batches->storing)
		gathering_begin(&batches->gathering, now_ms);
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
	batches->plain_batched = incoming_has_plain(batches->batch.first);
	/* What went back has waited already: it is stored next. */
	gathering_hasten(&batches->gathering);
}

/* The message that is left: its first half stays, the other one goes back. */
static bool divide(struct batches *batches)
{
	struct incoming *message = batches->batch.first;
	struct incoming *rest = message->refusals == 0 ? incoming_split(message) : NULL;
	if (rest == NULL)
		return false;
	struct queue back;
	queue_init(&back);
	queue_add(&back, rest);
	queue_prepend(&batches->queue, &back);
	batches->batch_bytes = batches->batch.bytes;
	gathering_hasten(&batches->gathering);
	return true;
}

/* Whether a message is the part of the run's message that comes after it. */
static bool follows(const struct incoming *run, const struct incoming *in)
{
	return in != NULL && !in->plain && in->refusals == 0 &&
	       in->part_first == run->part_first + run->part_count &&
	       in->identity.first == run->identity.first &&
	       memcmp(&in->identity.stream, &run->identity.stream,
		       sizeof(in->identity.stream)) == 0;
}

/* What is written down with the dead letters of a run is the same for all of them. */
static bool same_words(const struct incoming *a, const struct incoming *b)
{
	return a->refused == b->refused || (a->refused != NULL && b->refused != NULL &&
						   strcmp(a->refused, b->refused) == 0);
}

/* The run becomes the batch, or its first message. */
static void commit_run(struct batches *batches)
{
	struct queue before;
	queue_init(&before);
	queue_add(&before, batches->run);
	batches->run = NULL;
	queue_prepend(&batches->batch, &before);
}

/*
 * The reading that is left is refused. It waits for those that come after it in its message
 * and are refused as well, so that one transaction writes the dead letters of all.
 */
static void extend_run(struct batches *batches)
{
	struct incoming *in = batches->batch.first;
	if (batches->run == NULL) {
		queue_init(&batches->batch);
		batches->run = in;
	} else if (same_words(batches->run, in)) {
		queue_init(&batches->batch);
		batches->run->part_count += in->part_count;
		incoming_free(in);
	} else {
		commit_run(batches);
		return;
	}
	if (follows(batches->run, batches->queue.first))
		queue_move(&batches->queue, &batches->batch, 1);
	else
		commit_run(batches);
}

/* @return false: its dead letter was refused as well, and then another one */
static bool bury(struct batches *batches, const char *why)
{
	struct incoming *in = batches->batch.first;
	if (!incoming_refuse(in, why))
		return false;
	if (in->refusals == 1 && !in->plain)
		extend_run(batches);
	return true;
}

/*
 * The database refuses something in the batch. First the same batch is tried once more:
 * two replicas may have added the same row. Then halves of it are tried, so that all other
 * messages are stored; then halves of the message that is left, so that its other readings
 * are. What is left at last becomes a dead letter; if that is refused as well, nothing more
 * can be done for it. Each reading is tried: one that could be stored never becomes one.
 */
static void single_out(struct batches *batches, const char *why)
{
	if (batches->batch.n == 0)
		batches->refused = false; /* all of it was plain, and is gone */
	else if (!batches->refused)
		batches->refused = true;
	else if (batches->batch.n > 1)
		split(batches);
	else if (!divide(batches) && !bury(batches, why)) {
		batches->hopeless = batches->batch.first;
		batches->refused = false;
		batches->plain_batched = false;
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
	batches->plain_batched = false;
	queue_init(&batches->batch);
	if (batches->run != NULL)
		commit_run(batches);
}

bool batches_end(struct batches *batches, int64_t now_ms, int err, const char *why)
{
	batches->storing = false;
	gathering_end(&batches->gathering, now_ms);
	if (err != 0 && batches->plain_gone)
		forget_plain_of_batch(batches);
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
	bool slow = err == -EBUSY || now_ms - batches->gathering.begun_ms >= SLOW_MS;
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
	incoming_free(batches->run);
	incoming_free(batches->hopeless);
}
