/*
 * The publisher's own code in one process and one thread, on real files: time passes when
 * the test says so, the work queue does its work at once, and the two brokers, the samplers
 * and the centre are a few lines each that remember everything. Nothing waits, so that
 * thousands of runs with a failure each fit into a minute.
 *
 * Linked in place of common/bus.o, log.o, random.o and service.o, with these calls wrapped:
 * uv_now, uv_queue_work, uv_timer_start, and the file calls of wrapped_calls.c.
 */
#ifndef FAULT_MODEL_H
#define FAULT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "publisher/relay.h"

#define MODEL_STREAMS 4
#define MODEL_READINGS 256 /* of one stream */

/* One run of a sampler. It sends again until it is told that a reading is accepted. */
struct model_sampler {
	struct dp_stream_id id;
	uint64_t next; /* 0: it has not begun */
	bool undated;  /* it has no plausible clock */
	bool closed;   /* no reading follows, and it has said so */
	bool accepted[MODEL_READINGS];
	bool forgiven[MODEL_READINGS]; /* it was in a file that was damaged */
	/* The centre's side of it. */
	bool stored[MODEL_READINGS], lost[MODEL_READINGS], strange[MODEL_READINGS];
};

struct model {
	char path[256];
	struct dp_service service;
	struct publisher_config config;
	struct relay *relay; /* NULL: not running */
	struct model_sampler samplers[MODEL_STREAMS];
	int64_t now_ms;
	bool clock_set; /* the wall clock is plausible */
	bool centre_up; /* its broker is connected */
	bool centre_answers;
	bool centre_gathers; /* it answers as late as the batches allow, and then all */
	bool hurried;	     /* samplers do not say how long an answer may take */
	int refuse_with;     /* reason of every PUBACK from the centre, 0 none */
	size_t refuse_above; /* bytes of a batch that are refused with 0x95, 0 none */
	int exit_code;	     /* of a publisher that ended by itself, else -1 */
	bool stopped;
	unsigned warnings, errors; /* lines logged since model_reset() */
	unsigned restarts, works, batches, refusals;
	unsigned states, statuses, statistics; /* at the centre */
	int64_t batch_ms;		       /* when the last batch came */
	size_t largest;			       /* batch, in bytes */
	char strange[160];    /* the first thing that must not happen; empty: nothing */
	char last_error[512]; /* the last such line */
	bool verbose;
};

extern struct model model;

/** All is forgotten but the file's path. */
void model_reset(const char *path);

/** Make samplers begin: a stream of that number, its first reading is `next`. */
void model_sampler_begin(unsigned n, uint64_t next);
/** One more reading of it. */
void model_sample(unsigned n);
/** A message of the node, from whoever. */
void model_say(const char *topic, const char *payload);
/** No more will follow. */
void model_close(unsigned n);

void model_start(void);
/** Let that much time pass; a publisher that ends by itself is started again. */
void model_run(int64_t ms);
/** As SIGTERM. @return the exit code */
int model_stop(void);
/** As SIGKILL. */
void model_kill(void);

/** Whether all readings are accepted, and stored or known to be lost, and none is held. */
bool model_settled(void);
/**
 * Hold what was accepted against what the centre has.
 * @return NULL or what is wrong, in words that live until the next call
 */
const char *model_judge(void);

#endif
