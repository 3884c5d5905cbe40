/* SPDX-License-Identifier: MIT */
/*
 * evict/follow.c - has an automatic budget follow the machine.
 *
 * The reclaimer does it, between its steps and when it would sleep: it looks at
 * the machine (os/room.c) and at what the program has waited for (the counters),
 * asks policy/sizing.c, and sets the budget (space/budget.c). To lower it is
 * first of all that: from then on nobody takes a frame, and the reclaimer evicts
 * until the rest fits. Frames that are freed under the old budget would be taken
 * by the next fault.
 *
 * It looks once a second when nothing happens, four times a second when memory is
 * not plenty, and whenever frames are short: then the budget can grow before
 * anything is evicted.
 *
 * Rejected: a thread of its own. It would have to be stopped for forks, started
 * in children and watched over, and the reclaimer has nothing to do when it would
 * run.
 */
#include "evict/follow.h"
#include "space/budget.h"

#define BUSY_LOOK_US 100000
/* A fault that swap resolves without the disk's time: MEASURED.md. */
#define FAULT_US 10

static void look_at_machine(const struct room_source *s, struct room *room)
{
	room_look(s, room);
}

void follow_init(struct follower *f, struct vvm *vm,
		 struct vvm_stat_actor *actor, const struct writer *writer)
{
	f->vm = vm;
	f->actor = actor;
	f->writer = writer;
	f->looked_us = f->own_us = 0;
	f->look = look_at_machine;
	sizing_init(&f->sizing, vm->budget.least, vm->budget.most);
}

int64_t follow_due_us(const struct follower *f, uint64_t now_us, bool busy)
{
	uint64_t wait_us = f->sizing.look_us, gone_us;

	if (!space_is_automatic(f->vm))
		return -1;
	if (busy)
		wait_us = MIN(wait_us, (uint64_t)BUSY_LOOK_US);
	gone_us = now_us > f->looked_us ? now_us - f->looked_us : 0;
	return gone_us < wait_us ? (int64_t)(wait_us - gone_us) : 0;
}

/* ---- the sample ---- */

static uint64_t counted(const struct vvm *vm, enum vvm_stat_counter c)
{
	int64_t n = stat_sum(&vm->stats, c);

	return n > 0 ? (uint64_t)n : 0;
}

/*
 * What faults have waited, about. Reads ahead take time that nobody waits for: of
 * all reads those count that faults asked for.
 */
static uint64_t waited_us(const struct vvm *vm)
{
	uint64_t faults = counted(vm, VVM_STAT_faults_swapin),
		 reads = counted(vm, VVM_STAT_swapin_reads),
		 us = counted(vm, VVM_STAT_swapin_us);

	if (reads > faults)
		us = us / reads * faults + us % reads * faults / reads;
	return us + faults * FAULT_US + counted(vm, VVM_STAT_stall_us);
}

static uint64_t pages_of(uint64_t bytes)
{
	return bytes == UINT64_MAX ? SIZING_UNKNOWN : bytes >> PAGE_SHIFT;
}

static uint64_t cpu_us(void)
{
	uint64_t us = 0;

	return os_thread_cpu_us(os_tid(), &us) == 0 ? us : 0;
}

static void take_sample(struct follower *f, struct sizing_sample *s)
{
	const struct vvm *vm = f->vm;
	const struct frames *fr = &vm->frames;
	struct room room;

	f->look(&vm->room, &room);
	*s = (struct sizing_sample){
		.budget = atomic_load(&fr->budget),
		.used = atomic_load(&fr->used),
		.pinned = atomic_load(&fr->pinned),
		.keep_free = atomic_load(&fr->high),
		.waiting = counted(vm, VVM_STAT_waiting_faults),
		.frame_wait_us = vm->conf.frame_wait_ms * 1000,
		.swap_full = f->writer->swap_full,
		.filled = counted(vm, VVM_STAT_swapin_pages) +
			  counted(vm, VVM_STAT_unpacked_pages) +
			  counted(vm, VVM_STAT_faults_zero) +
			  counted(vm, VVM_STAT_zero_ahead_pages) +
			  counted(vm, VVM_STAT_api_fills),
		.wait_us = waited_us(vm),
	};
	s->domain[SIZING_MACHINE].total = pages_of(room.ram_bytes);
	s->domain[SIZING_MACHINE].free = pages_of(room.free_bytes);
	s->domain[SIZING_MACHINE].stall_us = room.stall_us;
	s->domain[SIZING_GROUP].total = pages_of(room.group.limit_bytes);
	s->domain[SIZING_GROUP].free = pages_of(room.group.free_bytes);
	s->domain[SIZING_GROUP].stall_us = room.group.stall_us;
}

void follow_look(struct follower *f, uint64_t now_us)
{
	uint64_t begun_us = cpu_us(), pages;
	enum vvm_stat_resize reason;
	struct sizing_sample s;

	f->looked_us = now_us;
	take_sample(f, &s);
	s.now_us = now_us;
	s.work_us = begun_us - MIN(f->own_us, begun_us);
	pages = sizing_look(&f->sizing, &s, &reason);
	if (reason != VVM_STAT_RESIZE_NONE)
		budget_follow(f->vm, f->actor, pages, reason);
	f->own_us += cpu_us() - begun_us;
}
