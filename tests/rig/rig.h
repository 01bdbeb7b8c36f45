/*
 * What a scenario is, and how it says that something is not as it should be. A scenario
 * runs in a process of its own: it ends with the function or at the first failure, and
 * whatever it started ends with it.
 */
#ifndef RIG_H
#define RIG_H

#include <stdbool.h>
#include <stdint.h>

/* The second boot: without virtual time, so that the host ruins the timing of edges. */
enum rig_time { RIG_VIRTUAL_TIME, RIG_HOST_TIME };

struct scenario {
	const char *name;
	void (*run)(const void *data);
	const void *data; /**< handed to run(), or NULL */
	enum rig_time time;
};

/** The scenarios of scenarios_*.c, each list ended by one without a name. */
extern const struct scenario scenarios_dht[], scenarios_bad[], scenarios_lines[];

/** One for each capture of tests/data. */
const struct scenario *scenarios_captures(void);

/** The scenario fails: what was expected and what there is. */
_Noreturn __attribute__((format(printf, 1, 2))) void rig_fail(const char *format, ...);

/** A line of the report that is no verdict: a figure. */
__attribute__((format(printf, 1, 2))) void rig_note(const char *format, ...);

#define expect(condition, ...)                                                             \
	do {                                                                               \
		if (!(condition))                                                          \
			rig_fail(__VA_ARGS__);                                             \
	} while (0)

/** Look again until it is so. Only a scenario that fails ever reaches the deadline. */
#define eventually(condition, ...)                                                         \
	do {                                                                               \
		int64_t deadline_ns_ = rig_deadline_ns();                                  \
		while (!(condition)) {                                                     \
			if (rig_now_ns() > deadline_ns_)                                   \
				rig_fail("never came: " __VA_ARGS__);                      \
			rig_look_again();                                                  \
		}                                                                          \
	} while (0)

int64_t rig_now_ns(void);
int64_t rig_deadline_ns(void);
void rig_look_again(void);

/** Write to a file that exists, as to one of sysfs. Fails the scenario when it cannot. */
void rig_write(const char *path, const char *text);

/** Read a file, cut to size. @return its length; 0 when there is none */
unsigned rig_read(const char *path, char *text, unsigned size);

/** rig_read() of the whole, to be freed; never NULL. */
char *rig_read_all(const char *path);

/** A folder of this scenario alone, which every user may write to. */
const char *rig_folder(void);

#endif
