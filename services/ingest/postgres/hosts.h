/*
 * Host names as addresses, before libpq sees them: it would wait for a name server on
 * the loop. TLS still checks the names.
 */
#ifndef INGEST_POSTGRES_HOSTS_H
#define INGEST_POSTGRES_HOSTS_H

#include <stddef.h>

/** Parallel comma-separated lists, one entry an address, as libpq's settings want them. */
struct hosts {
	char *host, *hostaddr, *port; /**< hosts_finish() frees them */
	size_t n;
	char why[512]; /**< what went wrong */
};

/**
 * Look every name up; waits for name servers. A path (a socket's folder) stays.
 * @param host    one or more, separated by commas
 * @param port    none (""), one for all, or one for each
 * @param rotate  how many entries to move from the front to the end
 * @return 0; -ENOENT no name has an address; -EINVAL; -ENOMEM: see hosts->why
 */
int hosts_look_up(struct hosts *hosts, const char *host, const char *port, size_t rotate);

void hosts_finish(struct hosts *hosts);

#endif
