/* One logfmt line an event on stderr: level=info svc=ingest msg="..." key=value */
#ifndef DP_LOG_H
#define DP_LOG_H

enum dp_log_level { DP_LOG_DEBUG, DP_LOG_INFO, DP_LOG_WARN, DP_LOG_ERROR };

/**
 * Set what every line begins with. Call once, before threads exist.
 * @param service  must outlive the process (a literal)
 * @param level    lines below it are not written
 */
void dp_log_init(const char *service, enum dp_log_level level);

/**
 * @param name  "debug", "info", "warn" or "error"
 * @return 0 and *level, or -EINVAL
 */
int dp_log_parse_level(const char *name, enum dp_log_level *level);

/**
 * Write one line. Safe from any thread: the line leaves in one write().
 * @param msg     what happened, in words; no quotes needed
 * @param fields  printf format of `key=value key2="two words"`, or NULL.
 *                Control characters in what it yields become spaces, so that
 *                text from outside cannot forge a line.
 */
void dp_log(enum dp_log_level level, const char *msg, const char *fields, ...)
	__attribute__((format(printf, 3, 4)));

/** What happened and which allocation, then exit 1: for paths that cannot go on. */
_Noreturn void dp_log_out_of_memory(const char *what);

#endif
