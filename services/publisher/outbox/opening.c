#include "opening.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "aside.h"
#include "log.h"

#define LOCK_RETRY_MS 1000
#define RETRY_FIRST_MS 1000
#define RETRY_LIMIT_MS 10000

int opening_lock(struct opening *opening, int64_t now_ms)
{
	if (opening->lock < 0)
		opening->lock = outbox_lock(opening->path);
	if (opening->lock >= 0)
		return 0;
	if (opening->lock == -EWOULDBLOCK) {
		if (opening->retry_ms == 0)
			dp_log(DP_LOG_WARN,
				"another publisher has the outbox, waiting for it",
				"file=%s", opening->path);
		opening->retry_ms = now_ms + LOCK_RETRY_MS;
	}
	return opening->lock;
}

/* ---- what the file holds, on the worker ---- */

struct reading_in {
	struct streams *found;
	int err;
	uint64_t given_up;
};

static void found_boot(void *data, const struct outbox_boot *row)
{
	struct reading_in *in = data;
	struct boot *boot = dating_boot(&in->found->dating, row->id);
	if (boot == NULL)
		dp_log_out_of_memory("a boot");
	if (boot->row != 0)
		in->err = -EUCLEAN; /* twice: two rows would be taken for one */
	boot->row = row->row;
	boot->mark = row->mark;
	boot->start_us = row->start_us;
}

static void found_stream(void *data, struct outbox_stream *row)
{
	struct reading_in *in = data;
	const struct dating *dating = &in->found->dating;
	if (streams_find(in->found, &row->id) != NULL)
		in->err = -EUCLEAN;
	struct stream *stream = streams_add(in->found, &row->id, row->node);
	struct boot *boot = NULL;
	for (size_t i = 0; i < dating->n && row->boot != 0; i++) {
		if (dating->boots[i]->row == row->boot)
			boot = dating->boots[i];
	}
	if (boot != NULL)
		dating_note(boot, row->last_ns);
	else if (row->boot != 0)
		in->err = -EUCLEAN;
	/* The centre hears what was given up by `low`. */
	bool closed = row->closed || (row->given_up > 0 && row->low > 0);
	stream_load(stream, row->low, closed, row->undated_to, &row->stored, boot);
	in->given_up += row->given_up;
	stream->outbox.row = row->row;
	stream->outbox.boot_row = row->boot;
	stream->outbox.low_written = row->closed;
}

/* Open the file and read what it holds. `expected`: it should be there if it ever was. */
static int open_file(struct opening *opening, struct outbox **out, bool expected)
{
	struct reading_in in = {&opening->found, 0, 0};
	enum dp_file_state state = dp_file_state(opening->lock, opening->path);
	if (state == DP_FILE_GONE && expected)
		dp_log(DP_LOG_WARN, "the outbox that was here is gone; a new one is begun",
			"file=%s", opening->path);
	/* It is empty also when beginning a new one was cut short: not `expected`. */
	int err = state == DP_FILE_EMPTIED && expected ? -EUCLEAN
						       : outbox_open(out, opening->path);
	if (err == 0)
		err = dp_file_mark(opening->lock);
	if (err == 0)
		err = outbox_boots(*out, found_boot, &in);
	if (err == 0)
		err = outbox_streams(*out, found_stream, &in);
	if (err == 0)
		err = in.err;
	opening->given_up = in.given_up;
	if (err == 0)
		err = outbox_usage(*out, &opening->usage);
	if (err != 0) {
		streams_clear(&opening->found);
		outbox_close(*out);
		*out = NULL;
	}
	return err;
}

/*
 * Nothing is thrown away: what is damaged stays for whoever can still read it. Once it is
 * set aside, only the new file is still to be made. @return 0 also when there is no file
 * any more
 */
static int set_aside(struct opening *opening)
{
	const struct dp_clock *clock = opening->clock;
	char name[PATH_MAX];
	if (opening->set_aside)
		return 0;
	int err = dp_set_aside(
		opening->path, clock->wall_us(clock->data), name, sizeof(name));
	if (err == 0)
		dp_log(DP_LOG_ERROR,
			"the outbox was damaged and is set aside; what it held is lost "
			"here unless it can be read from there",
			"file=%s aside=%s", opening->path, name);
	else if (err != -ENOENT && !opening->failed)
		dp_log(DP_LOG_ERROR,
			"the outbox is damaged and cannot be set aside; trying again",
			"file=%s error=\"%s\"", opening->path, strerror(-err));
	if (err == -ENOENT)
		err = 0;
	opening->set_aside = err == 0;
	return err;
}

/* A new file after the damaged one; what is damaged anew is set aside as well. */
static int begin_anew(struct opening *opening, struct outbox **out)
{
	int err = set_aside(opening);
	if (err == 0)
		err = open_file(opening, out, false);
	if (err == 0 || err == -EUCLEAN)
		opening->set_aside = false;
	return err;
}

int opening_open(struct opening *opening, struct outbox **out)
{
	int err = opening->set_aside ? begin_anew(opening, out)
				     : open_file(opening, out, true);
	return err == -EUCLEAN ? begin_anew(opening, out) : err;
}

int opening_replace(struct opening *opening, struct outbox **outbox)
{
	outbox_close(*outbox);
	*outbox = NULL;
	int err = set_aside(opening);
	if (err == 0)
		err = outbox_open(outbox, opening->path);
	if (err == 0)
		err = outbox_usage(*outbox, &opening->usage);
	if (err == 0 || err == -EUCLEAN)
		opening->set_aside = false;
	if (err != 0) {
		outbox_close(*outbox);
		*outbox = NULL;
	}
	return err;
}

/* ---- what is said of it, on the loop ---- */

bool opening_may_pass(int err)
{
	return err == -EBUSY || err == -ENOSPC || err == -ENOMEM || err == -EIO;
}

/* Later again: at first after a second, then less and less often. */
void opening_failed(struct opening *opening, const char *what, int err, int64_t now_ms)
{
	if (!opening->failed || opening->error != err)
		dp_log(DP_LOG_ERROR, what, "file=%s error=\"%s\"", opening->path,
			strerror(-err));
	opening->wait_ms = opening->failed ? 2 * opening->wait_ms : RETRY_FIRST_MS;
	if (opening->wait_ms > RETRY_LIMIT_MS)
		opening->wait_ms = RETRY_LIMIT_MS;
	opening->failed = true;
	opening->error = err;
	opening->retry_ms = now_ms + opening->wait_ms;
}

void opening_succeeded(struct opening *opening)
{
	if (opening->failed)
		dp_log(DP_LOG_INFO, "the outbox can be used now", "file=%s", opening->path);
	opening->failed = false;
	opening->error = 0;
}

void opening_finish(struct opening *opening)
{
	streams_clear(&opening->found);
	if (opening->lock >= 0)
		close(opening->lock);
}
