/* SPDX-License-Identifier: MIT */
/*
 * door/ioctl.c - ioctl(2).
 *
 * Those of terminals, sockets and files that programs use every day are copied
 * for: they may wait. A newer request says in its number how long its structure
 * is, but not what follows it or what it points to; with others nothing is known
 * at all. Their pages are pinned for the call.
 */
#include <linux/fiemap.h>
#include <linux/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include <asm/ioctls.h>
#include <linux/fs.h>
#include <linux/sockios.h>

#include "door/hold.h"
#include "door/impl.h"

/* The kernel's struct termios, termio and winsize. */
#define TERMIOS_BYTES 36
#define TERMIO_BYTES  18
#define WINSIZE_BYTES 8
#define IFREQ_BYTES   40
/* Extents that anybody asks for at a time; behind it it is EFAULT. */
#define FIEMAP_BYTES ((size_t)8 << 20)

struct request {
	unsigned number;
	uint8_t kind;
	uint16_t bytes;
};

static const struct request requests[] = {
	{TCGETS, ARG_OUT, TERMIOS_BYTES},
	{TCSETS, ARG_IN, TERMIOS_BYTES},
	{TCSETSW, ARG_IN, TERMIOS_BYTES},
	{TCSETSF, ARG_IN, TERMIOS_BYTES},
	{TCGETA, ARG_OUT, TERMIO_BYTES},
	{TCSETA, ARG_IN, TERMIO_BYTES},
	{TCSETAW, ARG_IN, TERMIO_BYTES},
	{TCSETAF, ARG_IN, TERMIO_BYTES},
	{TIOCGPGRP, ARG_OUT, 4},
	{TIOCSPGRP, ARG_IN, 4},
	{TIOCGSID, ARG_OUT, 4},
	{TIOCOUTQ, ARG_OUT, 4},
	{TIOCSTI, ARG_IN, 1},
	{TIOCGWINSZ, ARG_OUT, WINSIZE_BYTES},
	{TIOCSWINSZ, ARG_IN, WINSIZE_BYTES},
	{TIOCMGET, ARG_OUT, 4},
	{TIOCMBIS, ARG_IN, 4},
	{TIOCMBIC, ARG_IN, 4},
	{TIOCMSET, ARG_IN, 4},
	{TIOCGSOFTCAR, ARG_OUT, 4},
	{TIOCSSOFTCAR, ARG_IN, 4},
	{FIONREAD, ARG_OUT, 4},
	{TIOCPKT, ARG_IN, 4},
	{FIONBIO, ARG_IN, 4},
	{FIOASYNC, ARG_IN, 4},
	{TIOCGETD, ARG_OUT, 4},
	{TIOCSETD, ARG_IN, 4},
	{TIOCGPTN, ARG_OUT, 4},
	{TIOCSPTLCK, ARG_IN, 4},
	{TIOCGPTLCK, ARG_OUT, 4},
	{TIOCGPKT, ARG_OUT, 4},
	{FIOQSIZE, ARG_OUT, 8},
	{FIOSETOWN, ARG_IN, 4},
	{SIOCSPGRP, ARG_IN, 4},
	{FIOGETOWN, ARG_OUT, 4},
	{SIOCGPGRP, ARG_OUT, 4},
	{SIOCATMARK, ARG_OUT, 4},
	{SIOCGIFNAME, ARG_INOUT, IFREQ_BYTES},
	{SIOCGIFFLAGS, ARG_INOUT, IFREQ_BYTES},
	{SIOCSIFFLAGS, ARG_INOUT, IFREQ_BYTES},
	{SIOCGIFADDR, ARG_INOUT, IFREQ_BYTES},
	{SIOCGIFDSTADDR, ARG_INOUT, IFREQ_BYTES},
	{SIOCGIFBRDADDR, ARG_INOUT, IFREQ_BYTES},
	{SIOCGIFNETMASK, ARG_INOUT, IFREQ_BYTES},
	{SIOCGIFMETRIC, ARG_INOUT, IFREQ_BYTES},
	{SIOCGIFMTU, ARG_INOUT, IFREQ_BYTES},
	{SIOCGIFHWADDR, ARG_INOUT, IFREQ_BYTES},
	{SIOCGIFINDEX, ARG_INOUT, IFREQ_BYTES},
	{SIOCGIFTXQLEN, ARG_INOUT, IFREQ_BYTES},
	{FIBMAP, ARG_INOUT, 4},
	{FIGETBSZ, ARG_OUT, 4},
	{BLKROGET, ARG_OUT, 4},
	{BLKROSET, ARG_IN, 4},
	{BLKGETSIZE, ARG_OUT, 8},
	{BLKRAGET, ARG_OUT, 8},
	{BLKSSZGET, ARG_OUT, 4},
	{BLKPBSZGET, ARG_OUT, 4},
	{BLKGETSIZE64, ARG_OUT, 8},
	{BLKDISCARD, ARG_IN, 16},
	{FS_IOC_GETFLAGS, ARG_INOUT, 8}, /* 4; some files: as its number says */
	{FS_IOC_SETFLAGS, ARG_IN, 8},
};

static const struct request *find(unsigned number)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(requests); i++)
		if (requests[i].number == number)
			return &requests[i];
	return NULL;
}

static long pinned(struct door *d, size_t bytes)
{
	struct hold hold;
	long result = hold_take(&hold, d->arg[2], bytes);

	if (result == 0)
		result = door_make(d);
	hold_drop(&hold);
	return result;
}

/* The extents follow. */
static long fiemap(struct door *d)
{
	struct bounced *b = &d->bounced[2];
	struct fiemap head;
	long result;
	int rc;

	if (copy_in(&head, d->arg[2], sizeof(head)) < sizeof(head))
		return door_make(d);
	rc = door_bounce_some(&d->bounce, d->arg[2],
			      sizeof(head) +
				      head.fm_extent_count *
					      sizeof(struct fiemap_extent),
			      FIEMAP_BYTES, ARG_INOUT, b, &d->use[2]);
	if (rc < 0)
		return rc;
	if (b->mine) { /* the count that the memory was made for */
		memcpy(b->mine, &head, MIN(sizeof(head), b->bytes));
		memcpy(b->was, &head, MIN(sizeof(head), b->bytes));
	}
	result = door_make(d);
	rc = door_return(b, d->arg[2], b->bytes);
	return rc < 0 ? rc : result;
}

long door_ioctl(struct door *d)
{
	unsigned number = (unsigned)d->arg[1];
	const struct request *r = find(number);
	size_t bytes = _IOC_SIZE(number);

	if (r)
		return door_make_with(d, 2, r->kind, r->bytes);
	if (number == FS_IOC_FIEMAP)
		return fiemap(d);
	return pinned(d, bytes > PAGE_BYTES ? bytes : PAGE_BYTES);
}
