#include "jump.h"

#include <string.h>

#define STEP_US 3600000000 /* a clock that is set by less does little harm */

const char jump_stepped[] = "the clock was set forward since the last run";
const char jump_too_much[] =
	"more than half of what the last policy period has brought would go";
const char jump_size_gone[] = "RETENTION no longer has the size of some rollups";

bool jump_seen(const struct jump_moment *last, const struct jump_moment *now)
{
	return last->wall_us > 0 && *last->boot_id != '\0' &&
	       strcmp(now->boot_id, last->boot_id) == 0 &&
	       now->wall_us - last->wall_us > now->boot_us - last->boot_us + STEP_US;
}
