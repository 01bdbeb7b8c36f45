#include "player.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "rig.h"

#define START_MIN_NS INT64_C(18000000) /* of a DHT11, the slowest of the family */
/* How long before an edge it no longer sleeps: a wakeup takes some microseconds. */
#define SPIN_NS INT64_C(20000)

struct shared {
	struct player seen;
	volatile int ready;
	size_t n;
	struct dht_line answers[PLAYER_ANSWERS_MAX];
};

static void wait_until(int64_t at_ns)
{
	int64_t asleep_ns = at_ns - SPIN_NS;
	const struct timespec until = {asleep_ns / 1000000000, asleep_ns % 1000000000};
	if (rig_now_ns() < asleep_ns)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	while (rig_now_ns() < at_ns)
		;
}

static void edge(struct shared *shared, int pull, int64_t at_ns, bool high)
{
	wait_until(at_ns);
	int64_t late_ns = rig_now_ns() - at_ns;
	if (late_ns > shared->seen.worst_late_ns)
		shared->seen.worst_late_ns = late_ns;
	if (pwrite(pull, high ? "pull-up" : "pull-down", high ? 7 : 9, 0) < 0)
		_exit(0); /* the chip has vanished */
}

static void play(struct shared *shared, int pull, int64_t release_ns)
{
	unsigned next = shared->seen.asked - 1;
	const struct dht_line *answer =
		&shared->answers[next < shared->n ? next : shared->n - 1];
	int64_t shift_ns = release_ns - answer->release_ns;
	for (size_t i = 0; i < answer->count; i++) {
		if (i > 0)
			edge(shared, pull, answer->rise_ns[i] + shift_ns, true);
		edge(shared, pull, answer->fall_ns[i] + shift_ns, false);
	}
	if (answer->count > 0)
		edge(shared, pull, answer->last_rise_ns + shift_ns, true);
	shared->seen.answered++;
}

/* A read that blocks would keep the kernel from removing the chip: it is polled first. */
static bool next_change(int chip, struct gpio_v2_line_info_changed *change)
{
	struct pollfd poll_fd = {.fd = chip, .events = POLLIN};
	int n;
	while ((n = poll(&poll_fd, 1, -1)) < 0 && errno == EINTR)
		;
	return n == 1 && poll_fd.revents == POLLIN &&
	       read(chip, change, sizeof(*change)) == sizeof(*change);
}

static void note_least(volatile int64_t *least_ns, int64_t ns)
{
	if (ns < *least_ns)
		*least_ns = ns;
}

_Noreturn static void be_sensor(struct shared *shared, int chip, int pull)
{
	struct gpio_v2_line_info_changed change;
	int64_t low_ns = 0, asked_ns = 0;
	while (next_change(chip, &change)) {
		int64_t now_ns = (int64_t)change.timestamp_ns;
		if (change.event_type == GPIO_V2_LINE_CHANGED_RELEASED)
			low_ns = 0;
		else if ((change.info.flags & GPIO_V2_LINE_FLAG_OUTPUT) != 0)
			low_ns = now_ns;
		else if (low_ns != 0) {
			bool start = now_ns - low_ns >= START_MIN_NS;
			note_least(&shared->seen.least_low_ns, now_ns - low_ns);
			low_ns = 0;
			if (!start)
				continue;
			if (asked_ns != 0)
				note_least(&shared->seen.least_gap_ns, now_ns - asked_ns);
			asked_ns = now_ns;
			shared->seen.asked++;
			play(shared, pull, now_ns);
		}
	}
	_exit(0);
}

const struct player *player_start(const struct sim_chip *chip, unsigned line,
	const struct dht_line *answers, size_t n)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	expect(shared != MAP_FAILED && n > 0 && n <= PLAYER_ANSWERS_MAX,
		"no room for %zu answers", n);
	shared->n = n;
	shared->seen.least_gap_ns = shared->seen.least_low_ns = INT64_MAX;
	memcpy(shared->answers, answers, n * sizeof(*answers));
	sim_pull(chip, line, true);
	int pull = sim_pull_open(chip, line);
	int device = open(chip->device, O_RDWR | O_CLOEXEC);
	struct gpio_v2_line_info watched = {.offset = line};
	expect(device >= 0 &&
			ioctl(device, GPIO_V2_GET_LINEINFO_WATCH_IOCTL, &watched) == 0,
		"cannot watch line %u: %s", line, strerror(errno));
	pid_t pid = fork();
	expect(pid >= 0, "no process for a sensor: %s", strerror(errno));
	if (pid == 0) {
		const struct sched_param first = {.sched_priority = 1};
		sched_setscheduler(0, SCHED_FIFO, &first);
		be_sensor(shared, device, pull);
	}
	close(pull);
	close(device);
	return &shared->seen;
}

void player_omit(struct dht_line *answer, size_t fall)
{
	size_t after = answer->count - fall - 1;
	memmove(&answer->fall_ns[fall], &answer->fall_ns[fall + 1],
		after * sizeof(answer->fall_ns[0]));
	memmove(&answer->rise_ns[fall], &answer->rise_ns[fall + 1],
		after * sizeof(answer->rise_ns[0]));
	answer->count--;
}
