/* SPDX-License-Identifier: MIT */
/*
 * door/message.c - sendmsg(2), recvmsg(2), and many of them at a time.
 *
 * The kernel gets a header of ours, with name, control data and vector where
 * they are paged copied. A message is one call, so that no datagram is lost to
 * an address; of a stream's more than BOUNCE_BYTES go in several, the control
 * data with the first.
 *
 * Many at a time are made one by one, as the kernel makes them.
 */
#define _GNU_SOURCE 1
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <asm/unistd.h>

#include "door/transfer.h"
#include "os/os.h"

#define MESSAGES_MOST 1024 /* UIO_MAXIOV */
#define NAME_MOST     sizeof(struct sockaddr_storage)
#define CONTROL_MOST  ((size_t)1 << 20) /* of a message there is no more */

struct message {
	struct vector vector; /* first: aim() */
	struct msghdr given;  /* as the program has it */
	struct msghdr *use;   /* as the kernel gets it */
	struct bounced name, control;
	haddr_t at; /* of the program's header */
	bool sent;  /* the control data has gone */
};

static void aim_message(struct door *d, const struct vector *v,
			struct iovec *iov, unsigned count)
{
	struct message *m = v->arg;

	m->use->msg_iov = iov;
	m->use->msg_iovlen = count;
	if (d->call->writes && m->sent) {
		m->use->msg_control = NULL;
		m->use->msg_controllen = 0;
	}
	m->sent = true;
}

/* Name and control data. A name's length is an int to the kernel. */
static int bounce_parts(struct door *d, struct message *m)
{
	enum arg_kind kind = d->call->writes ? ARG_IN : ARG_INOUT;
	size_t name = (int)m->given.msg_namelen > 0 ? m->given.msg_namelen : 0;
	uint64_t use;
	int rc;

	rc = door_bounce_some(&d->bounce, (uintptr_t)m->given.msg_name, name,
			      NAME_MOST, kind, &m->name, &use);
	m->use->msg_name = (void *)(uintptr_t)use;
	if (rc < 0)
		return rc;
	rc = door_bounce_some(&d->bounce, (uintptr_t)m->given.msg_control,
			      m->given.msg_controllen, CONTROL_MOST, kind,
			      &m->control, &use);
	m->use->msg_control = (void *)(uintptr_t)use;
	return rc;
}

/* Of what there was room for, as much as the kernel says there is. */
static int return_parts(struct door *d, struct message *m)
{
	const struct msghdr *use = m->use;
	int rc;

	if (d->call->writes)
		return 0;
	rc = door_return(&m->name, (uintptr_t)m->given.msg_name,
			 use->msg_namelen);
	if (rc == 0)
		rc = door_return(&m->control, (uintptr_t)m->given.msg_control,
				 use->msg_controllen);
#define RETURN(field)                                                 \
	(rc == 0 && copy_out(m->at + offsetof(struct msghdr, field),  \
			     &use->field,                             \
			     sizeof(use->field)) < sizeof(use->field) \
		 ? -EFAULT                                            \
		 : rc)
	if (m->given.msg_name)
		rc = RETURN(msg_namelen);
	rc = RETURN(msg_controllen);
	rc = RETURN(msg_flags);
#undef RETURN
	return rc;
}

static bool any_paged(const struct vector *v)
{
	unsigned i;

	for (i = 0; i < v->count; i++)
		if (door_is_paged((uintptr_t)v->iov[i].iov_base,
				  v->iov[i].iov_len))
			return true;
	return false;
}

/* The message of the program's header `at`. Its flags are in d->use[2]. */
static long one_message(struct door *d, haddr_t at)
{
	struct message m = {
		.at = at,
		.vector = {.file = (int)d->arg[0], .aim = aim_message}};
	unsigned flags = (unsigned)d->use[2];
	long result;
	int rc;

	m.vector.arg = &m;
	m.vector.whole = flags & MSG_PEEK;
	m.vector.all = flags & MSG_WAITALL;
	d->use[1] = at;
	m.use = bounce_take(&d->bounce, sizeof(*m.use), 0);
	if (!m.use)
		return -ENOMEM;
	if (copy_in(m.use, at, sizeof(*m.use)) < sizeof(*m.use))
		return door_make(d);
	m.given = *m.use;
	d->use[1] = (uintptr_t)m.use;
	rc = bounce_parts(d, &m);
	if (rc == 0)
		rc = vector_take(&d->bounce, (uintptr_t)m.given.msg_iov,
				 m.given.msg_iovlen, &m.vector);
	if (rc == -ENOMEM)
		return rc;
	if (d->call->writes && (flags & MSG_ZEROCOPY) && any_paged(&m.vector))
		return -ENOBUFS;
	if (rc == 0 && m.vector.total) {
		result = transfer(d, &m.vector);
	} else {
		if (m.vector.count)
			m.use->msg_iov = m.vector.iov;
		result = door_make(d);
	}
	if (result >= 0 && return_parts(d, &m) < 0)
		result = -EFAULT;
	return result;
}

long door_message(struct door *d)
{
	return one_message(d, d->arg[1]);
}

/* ---- many ---- */

/* Also gives back what the message took. */
static long next_message(struct door *d, unsigned i)
{
	haddr_t at = d->arg[1] + i * sizeof(struct mmsghdr);
	unsigned length;
	long result;

	bounce_end(&d->bounce);
	bounce_begin(&d->bounce);
	result = one_message(d, at);
	if (result < 0)
		return result;
	length = (unsigned)result;
	at += offsetof(struct mmsghdr, msg_len);
	if (copy_out(at, &length, sizeof(length)) < sizeof(length))
		return -EFAULT;
	return result;
}

/* The rest of recvmmsg(2)'s time, which is looked at after each. */
struct time_left {
	haddr_t at; /* 0: no limit */
	uint64_t end_ns;
};

static int time_begin(struct time_left *t, haddr_t at)
{
	struct timespec given;

	*t = (struct time_left){.at = at};
	if (!at)
		return 0;
	if (copy_in(&given, at, sizeof(given)) < sizeof(given))
		return -EFAULT;
	if (given.tv_sec < 0 || given.tv_nsec < 0 ||
	    given.tv_nsec >= 1000000000)
		return -EINVAL;
	t->end_ns = os_now_ns() + (uint64_t)given.tv_sec * 1000000000 +
		    (uint64_t)given.tv_nsec;
	return 0;
}

/* True: it is up. */
static bool time_is_up(struct time_left *t)
{
	uint64_t now = os_now_ns(),
		 left = t->end_ns > now ? t->end_ns - now : 0;
	struct timespec rest = {.tv_sec = (time_t)(left / 1000000000),
				.tv_nsec = (long)(left % 1000000000)};

	if (!t->at)
		return false;
	copy_out(t->at, &rest, sizeof(rest));
	return left == 0;
}

long door_messages(struct door *d)
{
	unsigned i, count = MIN((unsigned)d->arg[2], MESSAGES_MOST);
	unsigned flags = (unsigned)d->arg[3];
	struct time_left time;
	long result = 0;
	int rc = time_begin(&time, d->call->writes ? 0 : d->arg[4]);

	if (rc < 0)
		return rc;
	d->nr = d->call->writes ? __NR_sendmsg : __NR_recvmsg;
	d->use[3] = d->use[4] = 0;
	for (i = 0; i < count; i++) {
		d->use[2] = flags & ~(unsigned)MSG_WAITFORONE;
		result = next_message(d, i);
		if (result < 0)
			break;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (time_is_up(&time)) {
			i++;
			break;
		}
	}
	return i || !count ? (long)i : result;
}
