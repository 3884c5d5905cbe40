/* SPDX-License-Identifier: MIT */
/*
 * fault/handler.h - the fault handler threads ("thread" mode).
 */
#ifndef VVM_HANDLER_H
#define VVM_HANDLER_H

#include "fill/ahead.h"

/* Starts vm->handler_count handlers. -ENOMEM, -EAGAIN, ...; none runs then. */
int handlers_start(struct vvm *vm);
/*
 * Stops and frees them. => no regions are left, vm->stopping is set. Wakes
 * every thread that still waits on one of their userfaultfds.
 */
void handlers_stop(struct vvm *vm);
/* In a fork child, where their threads are not: frees what they had. */
void handlers_abandon(struct vvm *vm);
/* In a fork child: closes the descriptors, and nothing else. */
void handlers_shed(struct vvm *vm);
/* Asks a handler to read [addr, end) ahead; advice, so it may be forgotten. */
void handlers_willneed(struct vvm *vm, gaddr_t addr, gaddr_t end);
/* Inline mode: a job of the calling thread's stream. Async-signal-safe. */
void handlers_read_ahead(struct vvm *vm, struct ahead_job *job);

#endif
