/* A batch in one transaction: lock its streams, take it in, send the rows, commit. */
#ifndef INGEST_POSTGRES_TRANSACTION_H
#define INGEST_POSTGRES_TRANSACTION_H

#include "pass.h"
#include "pg.h"
#include "provision.h"

struct transaction {
	struct pg *pg;
	struct catalog *catalog;
	struct pass pass;
	struct provision provision;
	struct sink_job *job;
	pg_on_done *done;
	void *data;
	size_t answered; /* results before it */
	int again;	 /* how often it was tried again */
	bool provisioned;
	int64_t version, number; /* of the schema; of the lease, -1: nobody asked */
	int64_t late_before_us, dropped_until_us; /* of the table retention */
	int outcome;   /* the error for which it is rolled back */
	char why[512]; /* what went wrong last */
	struct wire_array ids, nodes, stored, lost, seen;
};

/** A zeroed one becomes ready; all that it is given outlives it. */
void transaction_open(struct transaction *transaction, struct pg *pg,
	const struct sink_options *options, struct catalog *catalog);

/**
 * Store the batch of a job, one at a time.
 * @param done  with job->stored and job->why set; nothing is open any more
 */
void transaction_run(struct transaction *transaction, struct sink_job *job,
	pg_on_done *done, void *data);

void transaction_finish(struct transaction *transaction);

#endif
