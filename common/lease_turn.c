#include "lease_turn.h"

#include "byte_lock.h"

/*
 * A clock that stands still, or was set back, says nothing about who is alive; nor does a
 * lock that somebody keeps. Every renewal moves the lock, or changes the row: where neither
 * has happened for a ttl, there is no holder any more, or it is frozen.
 */
static bool stands_still(
	struct dp_lease *lease, const struct dp_lease_row *row, int64_t boot_ns)
{
	if (lease->seen_ns == 0 || row->number != lease->seen_number ||
		row->expires != lease->seen_expires || row->byte != lease->seen_byte)
		lease->seen_ns = boot_ns;
	lease->seen_number = row->number;
	lease->seen_expires = row->expires;
	lease->seen_byte = row->byte;
	return boot_ns - lease->seen_ns > lease->ttl_us * 1000;
}

static bool is_over(
	const struct dp_lease *lease, const struct dp_lease_row *row, int64_t now_us)
{
	if (!row->whole)
		return true;
	if (row->expires == DP_LEASE_LOCKED)
		return row->byte == DP_BYTE_FREE;
	/* A time: of an earlier run of ours, or by the wall clock. */
	return row->ours || row->expires < now_us ||
	       row->expires > now_us + 2 * lease->ttl_us;
}

enum dp_lease_turn dp_lease_judge(struct dp_lease *lease, const struct dp_lease_row *row,
	int64_t now_us, int64_t boot_ns)
{
	enum dp_lease_turn turn = DP_LEASE_FREE;
	if (row->there && row->ours && row->number > 0 && row->number == lease->number)
		turn = DP_LEASE_OURS;
	else if (row->there && !stands_still(lease, row, boot_ns) &&
		 !is_over(lease, row, now_us))
		turn = DP_LEASE_OTHERS;
	if (turn != DP_LEASE_OTHERS)
		lease->seen_ns = 0;
	return turn;
}

int64_t dp_lease_expires(
	const struct dp_lease *lease, const struct dp_lease_row *row, int64_t now_us)
{
	if (lease->lock_err == 0)
		return DP_LEASE_LOCKED;
	/* Of one instant twice: it changes nevertheless. */
	int64_t least_us = now_us + lease->ttl_us;
	bool again = row->ours && row->whole && row->expires >= least_us &&
		     row->expires <= now_us + 2 * lease->ttl_us;
	return again ? row->expires + 1 : least_us;
}
