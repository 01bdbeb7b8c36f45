#include "notes.h"

#include <string.h>

#include "log.h"

#define RETRY_MS 1000
#define REMOVE_EVERY_MS 200
#define REMOVE_AT_ONCE 64 /* ranges */

void notes_begin(struct notes *notes, int64_t floor_us)
{
	notes->floor_us = floor_us;
}

void notes_forget(struct notes *notes)
{
	notes->floor_us = 0;
	notes->failed = notes->remove_failed = false;
}

/* ---- what is due ---- */

static bool date_due(const struct boot *boot)
{
	return boot->due && boot->row != 0;
}

/* Its last word has waited long enough to be written, or need not be remembered. */
static bool close_due(const struct notes *notes, const struct stream *s, int64_t now_ms)
{
	if (s->outbox.row == 0 || s->low_due == s->outbox.low_written)
		return false;
	return !s->low_due || notes->all ||
	       now_ms - s->heard_ms >= notes->config->spill_after_ms;
}

static void collect_dates(const struct dating *dating, struct job *job)
{
	size_t n = 0;
	for (size_t i = 0; i < dating->n; i++)
		n += date_due(dating->boots[i]);
	if (n == 0)
		return;
	job->dates = job_array(n, sizeof(*job->dates));
	for (size_t i = 0; i < dating->n; i++) {
		struct boot *boot = dating->boots[i];
		if (!date_due(boot))
			continue;
		job->dates[job->n_dates].boot = boot;
		job->dates[job->n_dates++].known = (struct outbox_boot){
			.row = boot->row, .mark = boot->mark, .start_us = boot->start_us};
	}
}

static void collect_closes(const struct notes *notes, struct job *job, int64_t now_ms)
{
	size_t n = 0;
	for (const struct stream *s = notes->streams->first; s != NULL; s = s->next)
		n += close_due(notes, s, now_ms);
	if (n == 0)
		return;
	job->closes = job_array(n, sizeof(*job->closes));
	for (struct stream *s = notes->streams->first; s != NULL; s = s->next) {
		if (!close_due(notes, s, now_ms))
			continue;
		job->closes[job->n_closes].stream = s;
		job->closes[job->n_closes].row = s->outbox.row;
		job->closes[job->n_closes].low = s->heard_low;
		job->closes[job->n_closes++].closed = s->low_due;
	}
}

void notes_collect(struct notes *notes, struct job *job, int64_t now_ms)
{
	const struct dating *dating = &notes->streams->dating;
	if (now_ms < notes->retry_ms)
		return;
	if (dating->floor_us != notes->floor_us && dating->n > 0 &&
		!streams_wait(notes->streams))
		job->floor_us = dating->floor_us;
	collect_dates(dating, job);
	collect_closes(notes, job, now_ms);
	if (job->n_dates + job->n_closes == 0)
		notes->failed = notes->failed && job->floor_us != 0;
}

static size_t removable(const struct streams *streams)
{
	size_t n = 0;
	for (const struct stream *s = streams->first; s != NULL; s = s->next)
		n += s->answered.n;
	return n;
}

void notes_collect_removes(struct notes *notes, struct job *job, int64_t now_ms)
{
	size_t n = removable(notes->streams);
	if (n == 0 || (notes->remove_failed && now_ms < notes->removed_ms))
		return;
	if (n < REMOVE_AT_ONCE && !notes->all &&
		now_ms - notes->removed_ms < REMOVE_EVERY_MS)
		return;
	job->removes = job_array(n, sizeof(*job->removes));
	for (struct stream *s = notes->streams->first; s != NULL; s = s->next) {
		for (size_t i = 0; i < s->answered.n; i++) {
			job->removes[job->n_removes].stream = s;
			job->removes[job->n_removes].row = s->outbox.row;
			job->removes[job->n_removes++].range = s->answered.at[i];
		}
		stream_begin_remove(s);
	}
	notes->removed_ms = now_ms;
}

/* ---- what became of it ---- */

static void removed(struct notes *notes, const struct job *job, int64_t now_ms)
{
	int err = job->result[JOB_REMOVES];
	if (job->n_removes == 0)
		return;
	if (err != 0 && !notes->remove_failed)
		dp_log(DP_LOG_ERROR, "cannot remove answered readings from the outbox",
			"file=%s error=\"%s\"", notes->config->outbox, strerror(-err));
	notes->remove_failed = err != 0;
	if (err == 0)
		return;
	for (size_t i = 0; i < job->n_removes; i++)
		streams_must(
			stream_not_removed(job->removes[i].stream, &job->removes[i].range));
	notes->removed_ms = now_ms + RETRY_MS;
}

static void noted(struct notes *notes, const struct job *job)
{
	if (job->n_dates + job->n_closes > 0 || job->floor_us != 0)
		notes->failed = false;
	if (job->floor_us != 0)
		notes->floor_us = job->floor_us;
	for (size_t i = 0; i < job->n_dates; i++) {
		struct boot *boot = job->dates[i].boot;
		/* It may have been decided anew meanwhile. */
		boot->due = boot->start_us != job->dates[i].known.start_us ||
			    boot->mark != job->dates[i].known.mark;
	}
	for (size_t i = 0; i < job->n_closes; i++)
		job->closes[i].stream->outbox.low_written = job->closes[i].closed;
}

void notes_done(struct notes *notes, const struct job *job, int64_t now_ms)
{
	int err = job->result[JOB_NOTES];
	if (err == 0)
		noted(notes, job);
	if (err != 0 && !notes->failed)
		dp_log(DP_LOG_WARN, "cannot write the outbox's notes, trying again",
			"file=%s error=\"%s\"", notes->config->outbox, strerror(-err));
	if (err != 0) {
		notes->failed = true;
		notes->retry_ms = now_ms + RETRY_MS;
	}
	removed(notes, job, now_ms);
}

int64_t notes_deadline(const struct notes *notes)
{
	int64_t due = INT64_MAX;
	if (notes->failed)
		due = notes->retry_ms;
	if (removable(notes->streams) > 0 && notes->removed_ms + REMOVE_EVERY_MS < due)
		due = notes->removed_ms + REMOVE_EVERY_MS;
	for (const struct stream *s = notes->streams->first; s != NULL; s = s->next) {
		/* Without a row there is nothing that could be closed. */
		int64_t close_ms = s->heard_ms + notes->config->spill_after_ms;
		if (s->outbox.row != 0 && s->low_due && !s->outbox.low_written &&
			close_ms < due)
			due = close_ms < notes->retry_ms ? notes->retry_ms : close_ms;
	}
	return due;
}
