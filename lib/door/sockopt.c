/* SPDX-License-Identifier: MIT */
/*
 * door/sockopt.c - getsockopt(2) and setsockopt(2).
 *
 * The length is the program's word for how much the kernel may write, in most
 * options. One counts instructions; with some others the kernel goes by what it
 * reads in the structure, or nobody knows. Memory of ours stands only for what
 * is known to keep to its length: of the rest the program's own pages are pinned
 * for the call.
 */
#include <linux/filter.h>
#include <linux/in.h>
#include <sys/socket.h>

#include "door/hold.h"
#include "door/impl.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif
/* SO_ATTACH_FILTER, which is SO_GET_FILTER, too */
#define FILTER		  26
#define REUSEPORT_FILTER  51
#define FANOUT_DATA	  22
#define TABLES_FROM	  64 /* names of iptables and its like from here on */
#define IPV6_AFTER_TABLES 72
#define OTHERS_SOURCES	  48 /* MCAST_MSFILTER: of both IPs */

/* Does the kernel write no more than the length says? */
static bool keeps_to_length(int level, int name)
{
	switch (level) {
	case IPPROTO_IP:
		return name < TABLES_FROM && name != IP_MSFILTER &&
		       name != OTHERS_SOURCES;
	case IPPROTO_IPV6:
		return (name < TABLES_FROM ||
			(name >= IPV6_AFTER_TABLES && name < 128)) &&
		       name != OTHERS_SOURCES;
	case SOL_SOCKET:
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_RAW:
	case SOL_PACKET:
	case SOL_NETLINK:
	case SOL_MPTCP:
		return true;
	default:
		return false;
	}
}

static uint32_t length_at(haddr_t at)
{
	uint32_t n = 0;

	return copy_in(&n, at, sizeof(n)) == sizeof(n) ? n : 0;
}

static long held(struct door *d)
{
	size_t bytes = MIN(length_at(d->arg[4]), (uint32_t)BOUNCE_BYTES);
	struct hold option, length = {0};
	long result = hold_take(&option, d->arg[3], bytes);

	if (result == 0)
		result = hold_take(&length, d->arg[4], sizeof(uint32_t));
	if (result == 0)
		result = door_make(d);
	hold_drop(&length);
	hold_drop(&option);
	return result;
}

/* Instructions of 8 bytes; what comes back is how many there are. */
static long get_filter(struct door *d)
{
	uint32_t *length, room;
	long result;
	int rc;

	length = bounce_take(&d->bounce, sizeof(*length), 0);
	if (!length)
		return -ENOMEM;
	if (copy_in(length, d->arg[4], sizeof(*length)) < sizeof(*length))
		return door_make(d);
	room = MIN(*length, (uint32_t)BPF_MAXINSNS);
	rc = door_bounce(&d->bounce, d->arg[3],
			 room * sizeof(struct sock_filter), ARG_OUT,
			 &d->bounced[3], &d->use[3]);
	if (rc < 0)
		return rc;
	d->use[4] = (uintptr_t)length;
	result = door_make(d);
	if (result < 0)
		return result;
	/* of a length of 0 it only says how many */
	if ((room && door_return(&d->bounced[3], d->arg[3],
				 *length * sizeof(struct sock_filter)) < 0) ||
	    copy_out(d->arg[4], length, sizeof(*length)) < sizeof(*length))
		return -EFAULT;
	return result;
}

long door_getsockopt(struct door *d)
{
	int level = (int)d->arg[1], name = (int)d->arg[2];

	if (level == SOL_SOCKET && name == FILTER)
		return get_filter(d);
	return keeps_to_length(level, name) ? door_copy(d) : held(d);
}

/* With those the option is a struct sock_fprog. */
long door_setsockopt(struct door *d)
{
	int level = (int)d->arg[1], name = (int)d->arg[2];

	if (d->arg[4] == sizeof(struct sock_fprog) &&
	    ((level == SOL_SOCKET &&
	      (name == FILTER || name == REUSEPORT_FILTER)) ||
	     (level == SOL_PACKET && name == FANOUT_DATA)))
		return door_make_with_program(d, 3);
	return door_copy(d);
}
