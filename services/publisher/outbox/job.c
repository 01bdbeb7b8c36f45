#include "job.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"

void *job_array(size_t count, size_t size)
{
	void *array = calloc(count > 0 ? count : 1, size);
	if (array == NULL)
		dp_log_out_of_memory("the outbox's bookkeeping");
	return array;
}

bool job_any(const struct job *job)
{
	return job->n_streams + job->n_dates + job->n_closes + job->n_removes +
			       job->n_appends >
		       0 ||
	       job->floor_us != 0 || job->probe || job->load_stream != NULL || job->shrink;
}

bool job_found_damage(const struct job *job)
{
	size_t step = 0;
	while (step < JOB_STEPS && job->result[step] != -EUCLEAN)
		step++;
	return step < JOB_STEPS;
}

void job_disown(struct job *job)
{
	if (job->n_appends > 0)
		job->result[JOB_APPENDS] = -EUCLEAN;
}

void job_clear(struct job *job)
{
	free(job->streams);
	free(job->dates);
	free(job->closes);
	free(job->removes);
	free(job->appends);
	*job = (struct job){.n_streams = 0};
}

/* ---- on the worker ---- */

/* A stream keeps its node's name, so that renaming the node does no harm. */
static int write_streams(struct job *job, struct outbox *outbox)
{
	int err = 0;
	for (size_t i = 0; i < job->n_streams && err == 0; i++)
		err = outbox_add_stream(outbox, &job->streams[i].stream->id,
			job->streams[i].stream->node, &job->streams[i].row);
	return err;
}

static int write_notes(struct job *job, struct outbox *outbox)
{
	int err = job->floor_us != 0 ? outbox_set_floor(outbox, job->floor_us) : 0;
	for (size_t i = 0; i < job->n_dates && err == 0; i++)
		err = outbox_date_boot(outbox, &job->dates[i].known);
	for (size_t i = 0; i < job->n_closes && err == 0; i++)
		err = outbox_set_closed(outbox, job->closes[i].row, job->closes[i].low,
			job->closes[i].closed);
	return err;
}

static int write_removes(struct job *job, struct outbox *outbox)
{
	int err = 0;
	for (size_t i = 0; i < job->n_removes && err == 0; i++)
		err = outbox_remove(outbox, job->removes[i].row,
			job->removes[i].range.first, job->removes[i].range.last);
	return err;
}

static int write_appends(struct job *job, struct outbox *outbox)
{
	const struct stream *last = NULL;
	int64_t row = 0, boot_row = 0;
	int err = 0;
	for (size_t i = 0; i < job->n_appends && err == 0; i++) {
		struct job_append *append = &job->appends[i];
		if (append->stream != last) {
			last = append->stream;
			boot_row = 0;
			err = outbox_add_stream(outbox, &last->id, last->node, &row);
			if (err == 0)
				err = outbox_set_low(outbox, row, append->low);
		}
		if (append->boot != NULL && boot_row == 0 && err == 0)
			err = outbox_set_boot(outbox, row, append->boot->id, &boot_row);
		const struct outbox_reading reading = {row, append->reading.seq,
			append->reading.json, append->reading.len, append->reading.clock,
			append->reading.boottime_ns};
		if (err == 0)
			err = outbox_append(outbox, &reading);
		append->row = row;
		append->boot_row = append->boot != NULL ? boot_row : 0;
	}
	return err;
}

/* Write a value as it is already, to see whether the file can be written. */
static int write_probe(struct job *job, struct outbox *outbox)
{
	return outbox_set_floor(outbox, job->probe_floor_us);
}

static int in_transaction(struct job *job, struct outbox *outbox,
	int (*writes)(struct job *job, struct outbox *outbox))
{
	int err = outbox_begin(outbox);
	if (err == 0)
		err = writes(job, outbox);
	if (err == 0)
		err = outbox_commit(outbox);
	if (err != 0)
		outbox_rollback(outbox);
	return err;
}

void job_run(struct job *job, struct outbox *outbox, struct outbox_page *page)
{
	const struct {
		enum job_step step;
		bool due;
		int (*writes)(struct job *job, struct outbox *outbox);
	} steps[] = {
		{JOB_STREAMS, job->n_streams > 0, write_streams},
		{JOB_NOTES, job->n_dates + job->n_closes > 0 || job->floor_us != 0,
			write_notes},
		{JOB_REMOVES, job->n_removes > 0, write_removes},
		{JOB_APPENDS, job->n_appends > 0, write_appends},
		{JOB_PROBE, job->probe, write_probe},
	};
	/*
	 * A process that has locked the file would make each step wait: one such wait a job
	 * is enough. And nothing is written to a file that is known to be damaged.
	 */
	int out = 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int err = !steps[i].due ? 0
			  : out != 0	? out
					: in_transaction(job, outbox, steps[i].writes);
		job->result[steps[i].step] = err;
		if (err == -EBUSY || err == -EUCLEAN)
			out = err;
	}
	if (job->load_stream != NULL)
		job->result[JOB_LOAD] =
			outbox_load(outbox, job->load_row, job->load_seq, page);
	if (job->shrink && out == 0)
		job->result[JOB_SHRINK] = outbox_shrink(outbox);
	job->result[JOB_USAGE] = outbox_usage(outbox, &job->usage);
}
