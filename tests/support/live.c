/* SPDX-License-Identifier: MIT */
#include "support/live.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/access.h"
#include "support/random.h"
#include "support/wait.h"

const char *live_missing(void)
{
	static char text[256];
	struct vvm_probe probe;

	if (vvm_probe(&probe) == 0 && probe.usable)
		return NULL;
	snprintf(text, sizeof(text), "%s (%s)", vvm_strerror(probe.error),
		 probe.reason ? probe.reason : "");
	return text;
}

const char *live_missing_system_calls(void)
{
	struct vvm_probe probe;

	if (vvm_probe(&probe) == 0 && (probe.flags & VVM_PROBE_USER_ONLY))
		return "userfaultfd only for user-mode faults, system calls "
		       "get EFAULT";
	if (live_guarded())
		return "no userfaultfd, system calls get EFAULT";
	return live_missing();
}

/* In a child: a mode may take signals of the process for itself. */
const char *live_mode_missing(const char *mode)
{
	struct vvm_options o;
	struct vvm *vm;
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		setenv("VVM_FAULTS", mode, 1);
		setenv("VVM_LOG", "none", 1);
		live_options(&o, 64);
		status = vvm_open(&vm, &o);
		vvm_close(status ? NULL : vm);
		_exit(-status);
	}
	live_check(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status ? vvm_strerror(-WEXITSTATUS(status)) : NULL;
}

bool live_inline(void)
{
	const char *mode = getenv("VVM_FAULTS");

	return (mode && !strcmp(mode, "inline")) || live_guarded();
}

bool live_guarded(void)
{
	const char *mode = getenv("VVM_FAULTS");
	struct vvm_probe probe;

	if (mode && strcmp(mode, "auto") != 0)
		return !strcmp(mode, "guard");
	return vvm_probe(&probe) == 0 && !(probe.flags & VVM_PROBE_PERMITTED);
}

void live_begin(uint64_t budget_pages)
{
	live_catch();
	vm = live_open(budget_pages);
}

void live_end(void)
{
	live_ok(vvm_close(vm));
}

void live_options(struct vvm_options *o, uint64_t budget_pages)
{
	live_ok(vvm_options_init(o));
	o->resident_bytes = budget_pages * LIVE_PAGE;
	o->stat_segment = 0;
}

void live_limits(struct vvm_options *o, uint64_t budget_pages,
		 uint64_t swap_limit_bytes, uint64_t wait_ms, const char *path)
{
	live_options(o, budget_pages);
	o->swap_limit_bytes = swap_limit_bytes;
	o->frame_wait_ms = wait_ms;
	if (path)
		o->swap_path = path;
}

struct vvm *live_open(uint64_t budget_pages)
{
	struct vvm_options o;
	struct vvm *vm = NULL;

	live_options(&o, budget_pages);
	live_ok(vvm_open(&vm, &o));
	live_check(vm != NULL);
	return vm;
}

char *live_map(struct vvm *vm, uint64_t pages, unsigned prot)
{
	uint64_t addr = VVM_ANYWHERE;

	live_ok(vvm_map(vm, &addr, pages * LIVE_PAGE, prot, "test"));
	live_check(addr % LIVE_PAGE == 0);
	live_check(vvm_ptr(vm, addr) == (void *)(uintptr_t)addr);
	return vvm_ptr(vm, addr);
}

uint64_t live_addr(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

struct vvm_stats live_stats(struct vvm *vm)
{
	struct vvm_stats st;

	live_ok(vvm_stats(vm, &st, sizeof st));
	return st;
}

struct vvm_stats live_idle_stats(struct vvm *vm)
{
	struct vvm_stats last = live_stats(vm), now;

	for (int i = 0; i < 2000; i++) {
		/* On a loaded machine who works does nothing for a while. */
		live_nap_us((long)wait_scaled(1000));
		now = live_stats(vm);
		if (memcmp(&now, &last, sizeof(now)) == 0)
			return now;
		last = now;
	}
	live_fail("the counters do not come to rest");
}

unsigned char live_flags(struct vvm *vm, const void *page)
{
	unsigned char flags = 0xff;

	live_ok(vvm_residency(vm, live_addr(page), LIVE_PAGE, &flags));
	return flags;
}

uint64_t live_count_flags(struct vvm *vm, const char *base, uint64_t pages,
			  unsigned char want)
{
	unsigned char *flags = malloc(pages);
	uint64_t n = 0;

	live_check(flags != NULL);
	live_ok(vvm_residency(vm, live_addr(base), pages * LIVE_PAGE, flags));
	for (uint64_t i = 0; i < pages; i++)
		n += (flags[i] & want) == want;
	free(flags);
	return n;
}

void live_push_out(struct vvm *vm, const char *base, uint64_t pages,
		   char *other, uint64_t other_pages)
{
	for (int round = 0; round < 50; round++) {
		if (!live_count_flags(vm, base, pages, VVM_PAGE_RESIDENT))
			return;
		for (uint64_t i = 0; i < other_pages; i++)
			*(volatile uint64_t *)(other + i * LIVE_PAGE + 8) =
				live_stamp(i, (uint64_t)round);
	}
	live_fail("pages stay resident under 50 rounds of other writes");
}
