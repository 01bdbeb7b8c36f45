#include "spill.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define RETRY_MS 1000
#define PROBE_AFTER_MS 5000
#define URGENT_MS 2000 /* of a stream whose sampler cannot wait */
#define GRACE_MS 500   /* for the centre to answer what it was asked for again */
#define CROWDED 2      /* one half of memory is taken */
#define ROW_BYTES 24   /* of a reading in the file beside its text, about */

static bool hurries(const struct spill *spill, const struct stream *stream)
{
	return stream->urgent && spill->config->spill_auto &&
	       spill->config->spill_after_ms > URGENT_MS;
}

/* How long a reading of that stream waits for its answer. */
static int64_t patience_ms(const struct spill *spill, const struct stream *stream)
{
	return hurries(spill, stream) ? URGENT_MS : spill->config->spill_after_ms;
}

/* When something of a stream that has readings in memory is to be written. */
static int64_t stream_due(const struct spill *spill, const struct stream *stream)
{
	int64_t due = stream->live[0].arrived_ms + patience_ms(spill, stream);
	if (hurries(spill, stream) && due < stream->urgent_ms + GRACE_MS)
		due = stream->urgent_ms + GRACE_MS;
	return due;
}

static int64_t live_due(const struct spill *spill, int64_t now_ms)
{
	const struct streams_live live = streams_live(spill->streams);
	int64_t due = INT64_MAX;
	if (spill->full)
		return INT64_MAX;
	for (const struct stream *s = spill->streams->first; s != NULL; s = s->next) {
		if (s->n_live > 0 && stream_due(spill, s) < due)
			due = stream_due(spill, s);
	}
	if (due != INT64_MAX && spill->all)
		return INT64_MIN;
	/* Memory is filling faster than time passes. */
	if (streams_crowded(&live, CROWDED) && due > now_ms)
		due = now_ms;
	return due != INT64_MAX && due < spill->retry_ms ? spill->retry_ms : due;
}

/* Nothing is left to be written: whether it could be is asked for, and not said for good.
 */
static int64_t probe_due(const struct spill *spill)
{
	return spill->error != 0 && !spill->all ? spill->retry_ms + PROBE_AFTER_MS
						: INT64_MAX;
}

int64_t spill_due(const struct spill *spill, int64_t now_ms)
{
	int64_t due = live_due(spill, now_ms);
	if (probe_due(spill) < due)
		due = probe_due(spill);
	for (const struct stream *s = spill->streams->first; s != NULL; s = s->next) {
		if (s->outbox.row == 0 && spill->retry_ms < due)
			due = spill->retry_ms;
	}
	return due;
}

/* ---- what is due ---- */

static void collect_streams(const struct spill *spill, struct job *job, int64_t now_ms)
{
	size_t n = 0;
	for (const struct stream *s = spill->streams->first; s != NULL; s = s->next)
		n += s->outbox.row == 0;
	if (n == 0 || now_ms < spill->retry_ms)
		return;
	job->streams = job_array(n, sizeof(*job->streams));
	for (struct stream *s = spill->streams->first; s != NULL; s = s->next) {
		if (s->outbox.row == 0)
			job->streams[job->n_streams++].stream = s;
	}
}

static uint64_t row_bytes(const struct live_reading *reading)
{
	return (uint64_t)reading->len + ROW_BYTES;
}

/* One collection, and what is left in memory and of the outbox's room meanwhile. */
struct collection {
	const struct spill *spill;
	struct job *job;
	int64_t now_ms;
	struct streams_live live;
	uint64_t room, low;
};

/* What has waited at least half as long as it may is written with the rest. */
static bool is_due(const struct collection *c, const struct stream *stream,
	const struct live_reading *reading)
{
	bool at_once = c->spill->all || streams_crowded(&c->live, CROWDED);
	int64_t waits_ms = at_once ? 0 : patience_ms(c->spill, stream) / 2;
	return reading->arrived_ms <= c->now_ms - waits_ms;
}

static uint64_t due_bytes(const struct collection *c)
{
	uint64_t bytes = 0;
	for (const struct stream *s = c->spill->streams->first; s != NULL; s = s->next) {
		for (size_t i = 0; i < s->n_live; i++)
			bytes += is_due(c, s, &s->live[i]) ? row_bytes(&s->live[i]) : 0;
	}
	return bytes;
}

/* Let the oldest go until about so many bytes are free; the centre hears it by `low`. */
static uint64_t drop_oldest(
	struct spill *spill, const struct outbox_usage *usage, uint64_t bytes)
{
	uint64_t stored = streams_stored(spill->streams), freed = 0;
	uint64_t each = stored > 0 ? usage->bytes / stored + 1 : 1;
	for (struct stream *s = spill->streams->first; s != NULL && freed < bytes;
		s = s->next) {
		while (s->stored.n > 0 && freed < bytes) {
			struct dp_interval range = s->stored.at[0];
			uint64_t n = (bytes - freed) / each + 1;
			if (range.last - range.first >= n)
				range.last = range.first + n - 1;
			n = range.last - range.first + 1;
			streams_must(stream_give_up(s, range.first, range.last));
			freed += n * each;
			spill->dropped += n;
		}
	}
	return freed;
}

/* How many bytes may be appended. Those that do not fit stay with the samplers; where the
 * oldest are dropped, in memory until what is written now may be dropped for them. A
 * reading is far smaller than the smallest outbox: each time some are appended.
 */
static uint64_t make_room(
	struct spill *spill, const struct outbox_usage *usage, uint64_t wanted)
{
	const struct publisher_config *config = spill->config;
	uint64_t max = (uint64_t)config->outbox_max_bytes;
	uint64_t room = max > usage->bytes ? max - usage->bytes : 0;
	if (wanted <= room)
		return room;
	if (strcmp(config->outbox_full, SETTINGS_DROP_OLDEST) == 0) {
		if (spill->dropped == 0)
			dp_log(DP_LOG_ERROR,
				"the outbox is full, the oldest readings are dropped",
				"file=%s max_bytes=%" PRId64, config->outbox,
				config->outbox_max_bytes);
		return room + drop_oldest(spill, usage, wanted - room);
	}
	dp_log(DP_LOG_ERROR, "the outbox is full; what is new stays with the samplers",
		"file=%s max_bytes=%" PRId64, config->outbox, config->outbox_max_bytes);
	spill->full = true;
	return room;
}

static bool goes(void *data, struct stream *stream, const struct live_reading *reading)
{
	struct collection *c = data;
	if (!is_due(c, stream, reading) || row_bytes(reading) > c->room)
		return false;
	c->room -= row_bytes(reading);
	c->live.n--;
	c->live.bytes -= reading->len;
	c->job->appends[c->job->n_appends++] = (struct job_append){.stream = stream,
		.reading = *reading,
		.low = c->low,
		.boot = reading->boottime_ns != 0 ? stream->boot : NULL};
	return true;
}

void spill_collect(struct spill *spill, struct job *job, const struct outbox_usage *usage,
	int64_t now_ms)
{
	collect_streams(spill, job, now_ms);
	job->probe = probe_due(spill) <= now_ms;
	if (live_due(spill, now_ms) > now_ms)
		return;
	struct collection c = {.spill = spill,
		.job = job,
		.now_ms = now_ms,
		.live = streams_live(spill->streams)};
	c.room = make_room(spill, usage, due_bytes(&c));
	if (c.room == 0)
		return;
	job->appends = job_array(c.live.n, sizeof(*job->appends));
	for (struct stream *s = spill->streams->first; s != NULL; s = s->next) {
		/* What it holds is in the file itself, or known to its sampler. */
		c.low = s->heard_low;
		streams_must(stream_spill(s, goes, &c));
	}
}

/* ---- what became of it ---- */

static void written(struct spill *spill, const struct job_append *append)
{
	struct stream *stream = append->stream;
	stream->outbox.row = append->row;
	if (append->boot_row != 0) {
		append->boot->row = append->boot_row;
		if (stream->boot == append->boot)
			stream->outbox.boot_row = append->boot_row;
	}
	streams_must(stream_spilled(stream, append->reading.seq));
	spill->spilled++;
	free(append->reading.json);
}

static void not_written(struct job_append *append, bool in_flight)
{
	append->reading.in_flight = in_flight;
	int err = stream_not_spilled(append->stream, &append->reading);
	if (err == -ENOENT)
		free(append->reading.json);
	else
		streams_must(err);
}

static void note_result(struct spill *spill, int err, int64_t now_ms)
{
	const char *file = spill->config->outbox;
	if (err != 0 && spill->error == 0)
		dp_log(DP_LOG_ERROR, "cannot write the outbox; readings stay in memory",
			"file=%s error=\"%s\"", file, strerror(-err));
	if (err == 0 && spill->error != 0)
		dp_log(DP_LOG_INFO, "the outbox can be written again", "file=%s", file);
	spill->error = err;
	if (err != 0)
		spill->retry_ms = now_ms + RETRY_MS;
}

void spill_done(struct spill *spill, struct job *job, int64_t now_ms,
	bool (*in_flight)(void *data, const struct stream *stream, uint64_t seq),
	void *data)
{
	for (size_t i = 0; i < job->n_appends; i++) {
		struct job_append *append = &job->appends[i];
		if (job->result[JOB_APPENDS] == 0)
			written(spill, append);
		else
			not_written(append,
				in_flight(data, append->stream, append->reading.seq));
	}
	for (size_t i = 0; i < job->n_streams && job->result[JOB_STREAMS] == 0; i++)
		job->streams[i].stream->outbox.row = job->streams[i].row;
	int err = job->result[JOB_APPENDS];
	if (err == 0)
		err = job->result[JOB_STREAMS];
	if (err == 0)
		err = job->result[JOB_PROBE];
	if (job->n_streams > 0 || job->n_appends > 0 || job->probe)
		note_result(spill, err, now_ms);
}

void spill_note_usage(struct spill *spill, const struct outbox_usage *usage)
{
	uint64_t max = (uint64_t)spill->config->outbox_max_bytes;
	/* Not at once: a full outbox would say so again and again. */
	if (!spill->full || usage->bytes > max - max / 16)
		return;
	spill->full = false;
	dp_log(DP_LOG_INFO, "the outbox has room again", "file=%s", spill->config->outbox);
}

void spill_stop(struct spill *spill)
{
	spill->all = true;
	spill->error = 0;
	spill->retry_ms = 0;
}
