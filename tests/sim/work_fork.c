/* SPDX-License-Identifier: MIT */
/*
 * sim/work_fork.c - forks of the program, and what its children do.
 *
 * A child that has inherited the memory must find it as its copy of the model
 * says, whatever the other threads were doing; then it goes on as its parent
 * does. One that has not must die of whatever it touches there, also when it
 * has mapped other things since.
 */
#include "sim/work.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "sim/forks.h"
#include "sim/memory.h"
#include "sim/sched.h"
#include "sim/watch.h"

#define CHILDREN 16
#define MOST	 4 /* processes at a time */

static struct {
	pid_t pid;
	int proc;
} children[CHILDREN];
static unsigned child_count, depth;
static int known_in; /* the process that knows that it has the memory */

bool sim_may_touch(void)
{
	return known_in == sim_proc;
}

/* ---- a child without the memory ---- */

/* Where they land, if that is not seen to, is in the hole. */
static void map_things(void)
{
	const struct sim_region *r;
	char *p;

	for (r = sim_regions; r < sim_regions + SIM_REGIONS; r++) {
		if (!r->used)
			continue;
		p = mmap(NULL, pages_to_bytes(r->pages), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			sim_fail("mmap in a child");
		memset(p, 0xaa, pages_to_bytes(r->pages));
	}
}

static void check_dead(void)
{
	const struct sim_region *r;
	unsigned page;
	uint64_t value;

	if (!K->params.hardened) /* which writes into objects */
		sim_heap_forked(false);
	map_things();
	for (r = sim_regions; r < sim_regions + SIM_REGIONS; r++)
		for (page = 0; r->used && page < r->pages; page++)
			if (!r->page[page].unmapped && !sim_lossy() &&
			    sim_load_word(sim_word_at(r, page, 0), &value) == 0)
				sim_fail("a child without the memory reads "
					 "%llx at %p",
					 (unsigned long long)value,
					 (void *)sim_word_at(r, page, 0));
}

/* ---- one that has it ---- */

static void check_alive(void)
{
	known_in = sim_proc;
	sim_watch(sim_vm);
	sim_verify_all();
	sim_heap_forked(true);
	sim_work((unsigned)sim_below(12));
	sim_await_children();
	sim_verify_all();
	if (sim_chance(2))
		sim_close();
}

static _Noreturn void child(void)
{
	struct vvm_region region;
	int rc;

	depth++;
	child_count = 0;

	sim_self->doing = "a child's life";
	sim_watch(NULL);
	sim_model_forked();
	if (sim_chance(4)) /* as one that executes a program */
		sim_exit_process();
	rc = vvm_query(sim_vm, 0, &region);
	if (rc == -ECHILD)
		check_dead();
	else if (!K->params.inherit)
		sim_fail("a child uses a space that it must not have");
	else
		check_alive();
	sim_exit_process();
}

/* ---- the parent ---- */

static unsigned processes(void)
{
	unsigned i, n = 0;

	for (i = 0; i < SIM_PROCS; i++)
		n += K->proc[i].used;
	return n;
}

static void reap(unsigned i)
{
	pid_t pid = children[i].pid;
	int proc = children[i].proc;

	children[i] = children[--child_count];
	sim_await_child(pid, proc);
}

void sim_await_children(void)
{
	while (child_count)
		reap(0);
}

void sim_fork_op(void)
{
	int proc;
	pid_t pid;

	if (!K->params.forks || depth > 1)
		return;
	if (child_count && sim_chance(2)) {
		reap((unsigned)sim_below(child_count));
		return;
	}
	if (processes() >= MOST || child_count == CHILDREN)
		return;
	pid = sim_fork(&proc);
	if (pid == 0)
		child();
	children[child_count].pid = pid;
	children[child_count++].proc = proc;
}
