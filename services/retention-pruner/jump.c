#include "jump.h"

#include <stdio.h>
#include <string.h>

#define STEP_US 3600000000 /* a clock that is set by less does little harm */

const char jump_stepped[] = "the clock was set forward since the last run";
const char jump_too_much[] =
	"more than half of what the last policy period has brought would go";
const char jump_size_gone[] = "RETENTION no longer has the size of some rollups";

#define FREE '?' /* before the id of a boot: not synchronised */

void jump_boot(char text[JUMP_BOOT_MAX], const char *boot_id, bool synchronised)
{
	bool mark = !synchronised && *boot_id != '\0';
	snprintf(text, JUMP_BOOT_MAX, "%s%s", mark ? "?" : "", boot_id);
}

bool jump_seen(const struct jump_moment *last, const struct jump_moment *now)
{
	bool was_free = *last->boot_id == FREE, is_free = *now->boot_id == FREE;
	const char *was = last->boot_id + was_free, *is = now->boot_id + is_free;
	return last->wall_us > 0 && *was != '\0' && strcmp(is, was) == 0 &&
	       (!was_free || is_free) &&
	       now->wall_us - last->wall_us > now->boot_us - last->boot_us + STEP_US;
}
