/*
 * A reading, and SenML (RFC 8428) in both directions. Pure.
 *
 * Strings are slices: they point into what they were made from and carry no NUL.
 */
#ifndef DP_READING_H
#define DP_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DP_READING_VALUES 8  /**< values in one reading at most */
#define DP_VALUE_LIMIT 1e100 /**< of a value: sums of any number of them are finite */
#define DP_UNIT_MAX 16	     /**< bytes in a unit's name */
#define DP_READING_JSON 2048 /**< bytes that dp_reading_encode() needs at most */

struct dp_slice {
	const char *at;
	size_t len;
};

/** A slice of a NUL-terminated string. */
struct dp_slice dp_slice(const char *text);

bool dp_slice_equal(struct dp_slice a, struct dp_slice b);

struct dp_value {
	struct dp_slice quantity; /**< `temperature`, `humidity`, ... */
	struct dp_slice unit; /**< of SenML's registry: `Cel`, `%RH`, ...; may be empty */
	double value;	      /**< finite */
};

struct dp_reading {
	struct dp_slice sensor; /**< empty for a plain client's device that names none */
	bool has_time;
	int64_t ts_us; /**< microseconds since 1970, when has_time */
	unsigned n;    /**< 1 to DP_READING_VALUES */
	struct dp_value values[DP_READING_VALUES];
};

/** Whether it is a number, and not beyond DP_VALUE_LIMIT. */
bool dp_value_valid(double value);

/**
 * Write a reading as SenML records, without the array's brackets, so that
 * readings can be joined with commas.
 * @return bytes written (a NUL follows); -ENOSPC; -EINVAL a name or unit that the
 *         contract does not allow, a value that is not valid, or a time before 1978, which
 * would be relative
 */
int dp_reading_encode(const struct dp_reading *reading, char *buf, size_t size);

/**
 * Give a time to the records that dp_reading_encode() wrote without one.
 * @return bytes written (no NUL follows); -ENOSPC; -EINVAL not such records, or a time
 *         that may not be sent
 */
int dp_reading_date(const char *json, size_t len, int64_t ts_us, char *buf, size_t size);

/** The time in records that dp_reading_encode() wrote. @return 0; -ENOENT it has none */
int dp_reading_time(const char *json, size_t len, int64_t *ts_us);

/** A SenML pack being read. */
struct dp_senml;

/** Whose rules hold, and what begins a new reading. */
enum dp_senml_mode {
	/** Our own contract: `bn` and nothing else; absolute times, our names' charset */
	DP_SENML_NATIVE,
	DP_SENML_ANY, /**< SenML: `bn`, another sensor or another time */
};

/**
 * Parse a pack: a JSON array of records.
 * @param now_us  what a relative time (below 2^28 s) is relative to, with DP_SENML_ANY
 * @param out     owned by the caller, dp_senml_close() frees it
 * @param why     set on failure: a literal
 * @return 0; -EBADMSG not a pack that may be read; -ENOMEM
 */
int dp_senml_open(struct dp_senml **out, const char *json, size_t len,
	enum dp_senml_mode mode, int64_t now_us, const char **why);

/** How many readings a DP_SENML_NATIVE pack has, usable or not. */
size_t dp_senml_count(const struct dp_senml *pack);

/**
 * The next reading: the run of records with one sensor and one time.
 * @param out  its strings live until the next call or dp_senml_close()
 * @param why  set on -EBADMSG: a literal
 * @return 1 a reading; 0 the end; -EBADMSG this reading cannot be used, the ones
 *         behind it can
 */
int dp_senml_next(struct dp_senml *pack, struct dp_reading *out, const char **why);

/**
 * The records of the reading that dp_senml_next() returned last, as JSON, for the
 * dead letters.
 * @return text for the caller to free(), or NULL when out of memory
 */
char *dp_senml_text(const struct dp_senml *pack);

void dp_senml_close(struct dp_senml *pack);

#endif
