#include "delivery.h"

#include <assert.h>
#include <stddef.h>

#include "backoff.h"

static unsigned window_after_connect(const struct delivery *d)
{
	unsigned window = d->max / 4;
	return window > d->reserve ? window : d->reserve + 1;
}

void delivery_init(struct delivery *d, struct flight *slots, unsigned max, unsigned reserve,
	int64_t timeout_ms, int64_t timeout_limit_ms, uint64_t seed)
{
	assert(max > reserve && timeout_ms > 0 && timeout_limit_ms >= timeout_ms);
	*d = (struct delivery){
		.slots = slots,
		.max = max,
		.reserve = reserve,
		.timeout_ms = timeout_ms,
		.timeout_base_ms = timeout_ms,
		.timeout_limit_ms = timeout_limit_ms,
		.shrunk_ms = INT64_MIN,
		/* An answer to another run must not fit one of this. */
		.next_number = (seed >> 11) + 1,
		.random = seed | 1,
	};
	d->window = window_after_connect(d);
	for (unsigned i = 0; i < max; i++)
		slots[i].count = 0;
}

/* How much of the window a backlog may have. One that shrank to nothing lets it crawl. */
static unsigned backlog_share(const struct delivery *d)
{
	return d->window > d->reserve ? d->window - d->reserve : 1;
}

bool delivery_may_send(const struct delivery *d, enum delivery_class class)
{
	unsigned total = d->in_flight[DELIVERY_LIVE] + d->in_flight[DELIVERY_BACKLOG];
	if (total >= d->max)
		return false;
	if (class == DELIVERY_BACKLOG)
		return d->in_flight[DELIVERY_BACKLOG] < backlog_share(d);
	/* Live messages do not wait for the backlog's: the reserve is theirs. */
	return d->in_flight[DELIVERY_LIVE] < d->reserve || total < d->window;
}

bool delivery_presses(const struct delivery *d, enum delivery_class class)
{
	unsigned total = d->in_flight[DELIVERY_LIVE] + d->in_flight[DELIVERY_BACKLOG];
	if (!d->answers)
		return true;
	return class == DELIVERY_BACKLOG
		       ? d->in_flight[DELIVERY_BACKLOG] >= backlog_share(d) / 2
		       : total >= d->window / 2;
}

const struct flight *delivery_send(struct delivery *d, enum delivery_class class,
	uint64_t owner, uint64_t first, uint32_t count, int64_t now_ms, uint32_t wait_ms)
{
	assert(count > 0);
	for (unsigned i = 0; i < d->max; i++) {
		if (d->slots[i].count != 0)
			continue;
		d->slots[i] = (struct flight){
			.owner = owner,
			.first = first,
			.count = count,
			.number = d->next_number++,
			.class = class,
			.sent_ms = now_ms,
			.wait_ms = wait_ms,
			.deadline_ms =
				now_ms + wait_ms + dp_jitter_ms(&d->random, d->timeout_ms),
		};
		d->in_flight[class]++;
		return &d->slots[i];
	}
	assert(!"delivery_may_send() said no");
	return NULL;
}

static void land(struct delivery *d, struct flight *flight)
{
	d->in_flight[flight->class]--;
	flight->count = 0;
}

void delivery_answer(struct delivery *d, uint64_t owner, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;
	for (unsigned i = 0; i < d->max; i++) {
		struct flight *f = &d->slots[i];
		if (f->count == 0 || f->owner != owner)
			continue;
		uint64_t f_end = f->first + f->count;
		if (first >= f_end || end <= f->first)
			continue;
		if (first <= f->first && end >= f_end) {
			land(d, f);
			if (d->window < d->max)
				d->window++;
			d->answers = true;
			d->timeout_ms = d->timeout_base_ms;
		} else if (first <= f->first) {
			f->count = (uint32_t)(f_end - end);
			f->first = end;
		} else if (end >= f_end) {
			f->count = (uint32_t)(first - f->first);
		}
	}
}

static bool overlaps(const struct flight *f, uint64_t owner, uint64_t first, uint64_t count)
{
	return f->count != 0 && f->owner == owner && first < f->first + f->count &&
	       f->first < first + count;
}

bool delivery_any_encoded(
	const struct delivery *d, uint64_t owner, uint64_t first, uint64_t count)
{
	for (unsigned i = 0; i < d->max; i++) {
		if (d->slots[i].size.encoded && overlaps(&d->slots[i], owner, first, count))
			return true;
	}
	return false;
}

bool delivery_withdraw(struct delivery *d, uint64_t owner, struct flight *out)
{
	for (unsigned i = 0; i < d->max; i++) {
		struct flight *f = &d->slots[i];
		if (f->count == 0 || f->owner != owner)
			continue;
		*out = *f;
		land(d, f);
		return true;
	}
	return false;
}

bool delivery_recall(struct delivery *d, uint64_t owner, struct flight *out)
{
	for (unsigned i = 0; i < d->max; i++) {
		struct flight *f = &d->slots[i];
		if (f->count == 0 || f->owner != owner || f->wait_ms == 0)
			continue;
		*out = *f;
		land(d, f);
		return true;
	}
	return false;
}

static struct flight *find(const struct delivery *d, uint64_t number)
{
	for (unsigned i = 0; i < d->max; i++) {
		if (d->slots[i].count != 0 && d->slots[i].number == number)
			return &d->slots[i];
	}
	return NULL;
}

const struct flight *delivery_find(const struct delivery *d, uint64_t number)
{
	return find(d, number);
}

void delivery_sized(struct delivery *d, uint64_t number, const struct flight_size *size)
{
	struct flight *flight = find(d, number);
	if (flight != NULL)
		flight->size = *size;
}

const struct flight *delivery_largest(const struct delivery *d, const size_t limits[2])
{
	const struct flight *largest = NULL;
	for (unsigned i = 0; i < d->max; i++) {
		const struct flight *flight = &d->slots[i];
		if (flight->count > 0 &&
			flight->size.text <= limits[flight->size.deflate] &&
			(largest == NULL || flight->size.sent > largest->size.sent))
			largest = flight;
	}
	return largest;
}

bool delivery_remove(struct delivery *d, uint64_t number, struct flight *out)
{
	struct flight *flight = find(d, number);
	if (flight == NULL)
		return false;
	*out = *flight;
	land(d, flight);
	return true;
}

bool delivery_expire(struct delivery *d, int64_t now_ms, struct flight *out)
{
	for (unsigned i = 0; i < d->max; i++) {
		struct flight *f = &d->slots[i];
		if (f->count == 0 || f->deadline_ms > now_ms)
			continue;
		*out = *f;
		land(d, f);
		d->resent++;
		d->answers = false;
		/*
		 * Messages of one volley are lost together: that is one sign, not many. And
		 * where an answer could take time, an ingest may have begun anew: it is
		 * asked again first.
		 */
		if (f->wait_ms == 0 && f->sent_ms > d->shrunk_ms) {
			d->window = d->window > 1 ? d->window / 2 : 1;
			d->timeout_ms *= 2;
			if (d->timeout_ms > d->timeout_limit_ms)
				d->timeout_ms = d->timeout_limit_ms;
			d->shrunk_ms = now_ms;
		}
		return true;
	}
	return false;
}

bool delivery_reset(struct delivery *d, struct flight *out)
{
	for (unsigned i = 0; i < d->max; i++) {
		if (d->slots[i].count == 0)
			continue;
		*out = d->slots[i];
		land(d, &d->slots[i]);
		return true;
	}
	d->window = window_after_connect(d);
	d->answers = false;
	d->timeout_ms = d->timeout_base_ms;
	d->shrunk_ms = INT64_MIN;
	return false;
}

int64_t delivery_deadline(const struct delivery *d)
{
	int64_t deadline = INT64_MAX;
	for (unsigned i = 0; i < d->max; i++) {
		if (d->slots[i].count != 0 && d->slots[i].deadline_ms < deadline)
			deadline = d->slots[i].deadline_ms;
	}
	return deadline;
}

bool delivery_in_flight(
	const struct delivery *d, uint64_t owner, uint64_t seq, uint64_t *end)
{
	for (unsigned i = 0; i < d->max; i++) {
		const struct flight *f = &d->slots[i];
		if (f->count != 0 && f->owner == owner && seq >= f->first &&
			seq - f->first < f->count) {
			*end = f->first + f->count;
			return true;
		}
	}
	return false;
}

uint64_t delivery_next_flight(const struct delivery *d, uint64_t owner, uint64_t seq)
{
	uint64_t next = UINT64_MAX;
	for (unsigned i = 0; i < d->max; i++) {
		const struct flight *f = &d->slots[i];
		if (f->count != 0 && f->owner == owner && f->first >= seq &&
			f->first < next)
			next = f->first;
	}
	return next;
}
