/* SPDX-License-Identifier: MIT */
/* space/lives.c - what is known of the library's threads, at first and last. */
#include "space/lives.h"

#include "os/os.h"

void lives_init(struct lives *ls, struct vvm *vm)
{
	unsigned i;

	lock_init(&ls->lock, LOCK_MISC);
	ls->guard = (struct guard){.event = -1};
	ls->fd = -1;
	for (i = 0; i < LIVES; i++)
		ls->life[i] = (struct life){.vm = vm, .fd = -1};
}

int lives_open(struct lives *ls)
{
	int rc = os_epoll(&ls->fd);

	return rc < 0 ? rc : os_eventfd(&ls->guard.event);
}

void lives_close(struct lives *ls)
{
	unsigned i;

	for (i = 0; i < LIVES; i++) {
		os_close(ls->life[i].fd);
		ls->life[i].fd = -1;
	}
	os_close(ls->fd);
	os_close(ls->guard.event);
	ls->fd = ls->guard.event = -1;
}
