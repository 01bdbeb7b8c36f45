/*
 * The files that mqtts:// needs: the authorities to trust, our own certificate and its key.
 * Each time they are read anew, checked, and made into what a connection is encrypted with,
 * so that what was checked is what is used. Reads files, and does nothing else.
 */
#ifndef DP_TLS_FILES_H
#define DP_TLS_FILES_H

#include <stddef.h>

#include <openssl/types.h>

#include "clock.h"

/** The settings. */
struct dp_tls_files {
	const char *ca_file;
	const char *cert_file, *key_file; /**< both or NULL: the broker wants none */
	const struct dp_clock *clock;
};

/** Something about one file, in words. */
struct dp_tls_finding {
	const char *setting; /**< its name, a literal; NULL: nothing was found */
	const char *path;
	char words[200];
};

#define DP_TLS_DOUBTS 3

struct dp_tls_report {
	/** Why it cannot be used. */
	struct dp_tls_finding wrong;
	/**
	 * What it is used with nevertheless, as it may be right: dates, as the clock may be
	 * wrong, or the certificate be renewed while we run; an issuer that the broker
	 * knows and we do not; a key that others may read, as the only user of a container
	 * may.
	 */
	struct dp_tls_finding doubts[DP_TLS_DOUBTS];
	unsigned n_doubts;
	/** Those of them for which a broker may refuse the certificate; empty: none. */
	char refusable[200];
};

/**
 * Read and check all of them. TLS 1.2 is the least: brokers of others may have no newer
 * one, and with ours it is always 1.3, which nobody between us can talk us out of.
 * @return a context that verifies the peer's certificate, but not yet for whom it is; the
 *         caller frees it. NULL: report->wrong says why
 */
SSL_CTX *dp_tls_files_load(const struct dp_tls_files *files, struct dp_tls_report *report);

/** What the clock says, for beside a certificate's date: "today is 2026-11-30 here". */
void dp_tls_today(const struct dp_clock *clock, char *out, size_t size);

#endif
