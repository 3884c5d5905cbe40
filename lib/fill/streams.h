/* SPDX-License-Identifier: MIT */
/*
 * fill/streams.h - the streams of faults of a space's threads, and what is to
 * be read ahead of them.
 */
#ifndef VVM_STREAMS_H
#define VVM_STREAMS_H

#include "fill/ahead.h"

/* -ENOMEM. */
int streams_init(struct vvm *vm);
void streams_fini(struct vvm *vm);
/*
 * A thread faulted on a page that was read, is being read, or was kept on
 * standby. thread: anything that tells threads apart. True: the job is to be
 * done. => nothing of ours is locked; the caller may be a signal handler that
 * interrupted user code.
 */
bool streams_read(struct vvm *vm, struct vvm_stat_actor *actor, uint64_t thread,
		  gaddr_t addr, haddr_t host, unsigned advice,
		  struct ahead_job *job);
/*
 * A thread touched a page that was never written, or was all zero when it was
 * evicted: fills those with zeros that it will touch next.
 */
void streams_zeros(struct vvm *vm, struct vvm_stat_actor *actor,
		   uint64_t thread, haddr_t host, unsigned advice);

#endif
