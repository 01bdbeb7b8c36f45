/* A batch in one transaction: lock its streams, take it in, send the rows, commit. */
#ifndef INGEST_POSTGRES_TRANSACTION_H
#define INGEST_POSTGRES_TRANSACTION_H

#include "insert_postgres.h"
#include "provision.h"

struct transaction {
	struct pg *pg;
	struct insert *insert;
	struct provision provision;
	struct sink_turn *turn;
	pg_on_done *done;
	void *data;
	size_t answered; /* results before it */
	int again;	 /* how often it was tried again */
	bool provisioned;
	int64_t version, number; /* of the schema; of the lease, -1: nobody asked */
	int outcome;		 /* what it is being rolled back for */
	char why[512];		 /* what went wrong last */
	struct wire_array ids, nodes, stored, lost, seen;
};

/**
 * Store the batch of a turn, with pg and insert set.
 * @param done  with turn->stored and turn->why set; nothing is open any more
 */
void transaction_run(struct transaction *transaction, struct sink_turn *turn,
	pg_on_done *done, void *data);

void transaction_finish(struct transaction *transaction);

#endif
